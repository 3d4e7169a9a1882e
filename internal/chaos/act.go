package chaos

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/elector-dev/elector/internal/chaos/history"
)

const (
	// actEvery is how often bound work acts.
	actEvery = 10 * time.Millisecond
	// writeEvery is every how many acts one is a write to the register.
	writeEvery = 25
	// actEnv makes a process of this program the command of an elector: the socket that it tells its acts to.
	actEnv = "CHAOS_ACT_SOCKET"
)

// The manners in which a command takes SIGTERM.
const (
	polite   = "polite"   // ends at once
	slow     = "slow"     // acts for a while yet, within its grace
	stubborn = "stubborn" // goes on
)

// actor is what a command says of itself first.
type actor struct {
	Elector string
	Token   int64
	PID     int
}

// MaybeAct makes this process the command of an elector if it was started as one, and does not return then.
func MaybeAct() {
	socket := os.Getenv(actEnv)
	if socket == "" || os.Getenv("ELECTOR_TERM_TOKEN") == "" || len(os.Args) != 3 {
		return
	}
	grace, err := time.ParseDuration(os.Args[2])
	if err == nil {
		err = act(socket, os.Args[1], grace)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "command of the elector:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// act acts until it is told to stop, and takes that as its manners are. The error says that it could not act.
func act(socket, manner string, grace time.Duration) error {
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGTERM)
	token, err := strconv.ParseInt(os.Getenv("ELECTOR_TERM_TOKEN"), 10, 64)
	if err != nil {
		return err
	}
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return err
	}
	out := json.NewEncoder(conn)
	if err := out.Encode(actor{os.Getenv("ELECTOR_TERM_IDENTITY"), token, os.Getpid()}); err != nil {
		return err
	}
	tick := time.NewTicker(actEvery)
	defer tick.Stop()
	var enough <-chan time.Time
	for {
		if err := out.Encode(now()); err != nil {
			return err
		}
		select {
		case <-told:
			switch manner {
			case polite:
				return nil
			case slow:
				enough = time.After(time.Duration(rand.Float64() * float64(grace)))
			}
		case <-enough:
			return nil
		case <-tick.C:
		}
	}
}

// actors hears what the commands do.
type actors struct {
	recorder *recorder
	register *register
	lanes    map[string]*lane
	listener net.Listener
}

// actSocket is where commands tell of their acts.
func actSocket(dir string) string { return filepath.Join(dir, "acts") }

func newActors(dir string, r *recorder, values *register, lanes []*lane) (*actors, error) {
	a := &actors{recorder: r, register: values, lanes: map[string]*lane{}}
	for _, l := range lanes {
		a.lanes[l.elector] = l
	}
	var err error
	a.listener, err = net.Listen("unix", actSocket(dir))
	return a, err
}

// run hears commands until the context ends.
func (a *actors) run(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	stop := context.AfterFunc(ctx, func() { _ = a.listener.Close() })
	defer stop()
	for {
		conn, err := a.listener.Accept()
		if err != nil {
			return
		}
		all.Go(func() {
			stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
			defer stop()
			defer conn.Close()
			a.hear(conn)
		})
	}
}

// hear records what one command does, to its end.
func (a *actors) hear(conn net.Conn) {
	in := json.NewDecoder(bufio.NewReader(conn))
	var who actor
	if in.Decode(&who) != nil || a.lanes[who.Elector] == nil {
		return
	}
	l := a.lanes[who.Elector]
	l.command.Store(&who)
	defer l.command.CompareAndSwap(&who, nil)
	place := -1
	for n := 1; ; n++ {
		var at history.Instant
		if in.Decode(&at) != nil {
			return
		}
		place = a.recorder.acted(place, history.Work{Elector: who.Elector, Kind: history.Child, Token: who.Token}, at)
		if n%writeEvery == 0 {
			a.register.write(who.Elector, who.Token)
		}
	}
}

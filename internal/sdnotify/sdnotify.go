// Package sdnotify tells systemd how the elector is (sd_notify(3)): ready when its listeners answer, one line about
// its state, alive for as long as its loop runs, and stopping, with the time that it still needs.
//
// The message is a datagram, so it is sent from here: the environment is given and not the process's own, which
// libraries for this read.
package sdnotify

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/elector-dev/elector/internal/election"
)

// Elector is what systemd is told of; *election.Elector is one.
type Elector interface {
	Look() election.Answer
	Watch() (election.State, <-chan struct{})
	Stalled() bool
}

var _ Elector = (*election.Elector)(nil)

// Notifier tells one service manager. The zero value tells nobody.
type Notifier struct {
	socket   string
	watchdog time.Duration // how often the service manager wants a sign of life; 0: never
}

// extension is how much longer than by the unit's time-out a stop may take, asked for anew before half of it has
// passed.
const extension = 10 * time.Second

// New reads what the service manager has put into the environment, as os.Environ returns it. pid is this process's
// own, of which a watchdog meant for another is none.
func New(env []string, pid int) Notifier {
	vars := map[string]string{}
	for _, kv := range env {
		if name, value, ok := strings.Cut(kv, "="); ok {
			vars[name] = value
		}
	}
	n := Notifier{socket: vars["NOTIFY_SOCKET"]}
	usec, err := strconv.ParseInt(vars["WATCHDOG_USEC"], 10, 64)
	meant := vars["WATCHDOG_PID"] == "" || vars["WATCHDOG_PID"] == strconv.Itoa(pid)
	if n.socket != "" && err == nil && usec > 0 && meant {
		n.watchdog = time.Duration(usec) * time.Microsecond
	}
	return n
}

// On reports whether there is a service manager to tell.
func (n Notifier) On() bool { return n.socket != "" }

// send sends one message. Who does not listen is not waited for, nor told of: nothing depends on it.
func (n Notifier) send(lines ...string) {
	address := &net.UnixAddr{Name: n.socket, Net: "unixgram"} // a leading @ is an abstract one
	conn, err := net.DialUnix("unixgram", nil, address)
	if err != nil {
		return
	}
	defer conn.Close()
	_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = conn.Write([]byte(strings.Join(lines, "\n")))
}

// Run tells that the elector is ready, and goes on telling until it has ended. stopping is closed when it begins to
// stop. It blocks; ctx ends it earlier. It returns at once where there is nobody to tell. The error is always nil.
func (n Notifier) Run(ctx context.Context, e Elector, stopping <-chan struct{}) error {
	if !n.On() {
		return nil
	}
	n.send("READY=1", "STATUS="+describe(e.Look()))
	pulse := 5 * time.Second // for the time left of a leader's certainty, and while stopping
	if n.watchdog > 0 {
		pulse = min(pulse, n.watchdog/3)
	}
	tick := time.NewTicker(pulse)
	defer tick.Stop()
	stops := false
	for {
		state, changed := e.Watch()
		lines := []string{"STATUS=" + describe(e.Look())}
		if n.watchdog > 0 && !e.Stalled() {
			lines = append(lines, "WATCHDOG=1")
		}
		if stops {
			lines = append(lines, fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", extension.Microseconds()))
		}
		n.send(lines...)
		if state.Ended {
			return nil
		}
		select {
		case <-changed:
		case <-tick.C:
		case <-stopping:
			stopping, stops = nil, true
			n.send("STOPPING=1")
		case <-ctx.Done():
			return nil
		}
	}
}

// describe is a state in one line.
func describe(now election.Answer) string {
	switch {
	case now.Leading:
		return fmt.Sprintf("leads with token %d", now.Token)
	case now.Phase == election.SteppingDown, now.Ended:
		return string(now.Phase) + because(now.Cause)
	case !now.Connected:
		return "no contact with etcd" + because(now.Cause)
	case now.Leader.Identity != "":
		return string(now.Phase) + because(now.Cause) + "; " + strconv.Quote(now.Leader.Identity) + " leads"
	}
	return string(now.Phase) + because(now.Cause)
}

func because(cause election.Cause) string {
	if cause == election.CauseNone {
		return ""
	}
	return " (" + string(cause) + ")"
}

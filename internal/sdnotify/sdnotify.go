// Package sdnotify tells systemd how the elector is (sd_notify(3)): ready when its listeners answer, one line about
// its state, alive for as long as its loop runs, and stopping, with the time that it still needs.
//
// A message is a datagram to a socket that the environment names. It is sent from here and not through
// coreos/go-systemd: that reads and unsets the variables of the process, and the environment is given to elector's
// commands, so that tests can run them side by side.
package sdnotify

import (
	"context"
	"fmt"
	"net"
	"slices"
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

// variables are what the service manager puts into the environment of the process that it listens to.
var variables = []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}

// Notifier tells one service manager. The zero value tells nobody.
type Notifier struct {
	socket   string
	watchdog time.Duration // how often the service manager wants a sign of life; 0: never
}

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

// Without is an environment for a child process: without the variables, since what a child says to the service manager
// would be taken for the elector's word where the unit has NotifyAccess=all.
func Without(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return slices.Contains(variables, name)
	})
}

// The time that a stop may take counts anew from each message that asks for more, and systemd wants the next within
// what it was asked for.
const (
	extension = 10 * time.Second
	pulse     = 3 * time.Second // between two messages while nothing changes; also how old the contact in the status may be
)

// Run tells that the elector is ready, and goes on telling until it has ended. stopping is closed when it begins to
// stop. It blocks; ctx ends it earlier. It returns at once where there is nobody to tell. The error is always nil.
func (n Notifier) Run(ctx context.Context, e Elector, stopping <-chan struct{}) error {
	if n.socket == "" {
		return nil
	}
	every := pulse
	if n.watchdog > 0 {
		every = min(every, max(n.watchdog/3, time.Millisecond))
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	lines := []string{"READY=1"}
	for wake := stopping; ; {
		state, changed := e.Watch()
		stops := closed(stopping) // known before the end is, which follows from it
		n.send(append(lines, n.news(e, stops)...)...)
		if lines = nil; state.Ended {
			return nil
		}
		if stops {
			wake = nil
		}
		select {
		case <-changed:
		case <-tick.C:
		case <-wake:
		case <-ctx.Done():
			return nil
		}
	}
}

// news is what there is to tell at this moment. An elector whose loop stands still is not said to be alive, and asks for
// no more time to stop: systemd has no watchdog while it stops a unit, only its time-out.
func (n Notifier) news(e Elector, stops bool) []string {
	stalled := e.Stalled()
	lines := []string{"STATUS=" + describe(e.Look(), stalled)}
	if n.watchdog > 0 && !stalled {
		lines = append(lines, "WATCHDOG=1")
	}
	if stops {
		lines = append(lines, "STOPPING=1")
	}
	if stops && !stalled {
		lines = append(lines, fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", extension.Microseconds()))
	}
	return lines
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

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

// describe is a state in one line. Of a yes it tells the beginning and not the end: an end would be a promise, and
// none is made by a text that somebody may read at any time.
func describe(now election.Answer, stalled bool) string {
	because := ""
	if now.Cause != election.CauseNone {
		because = " (" + string(now.Cause) + ")"
	}
	leader := now.Leader.Identity // others may have written it: quoted, it is one line
	switch {
	case now.Ended:
		return "has stopped"
	case stalled:
		return "stands still: its loop does not run"
	case now.Leading:
		return fmt.Sprintf("leads with token %d since %s", now.Token, now.Since.UTC().Format(time.RFC3339))
	case now.Phase == election.SteppingDown, now.Phase == election.Fenced: // the second has no session to be in contact by
		return string(now.Phase) + because
	case !now.Connected:
		return "no contact with etcd" + because
	case now.Phase == election.Follower && leader != "":
		return "follows " + strconv.Quote(leader)
	case leader != "":
		return string(now.Phase) + because + "; " + strconv.Quote(leader) + " leads"
	}
	return string(now.Phase) + because
}

package sdnotify

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/elector-dev/elector/internal/election"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// manager is a service manager that listens.
type manager struct {
	*testing.T
	conn *net.UnixConn
}

func listen(t *testing.T, name string) *manager {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &manager{t, conn}
}

// hears waits for a message with a line, and returns all lines of it.
func (m *manager) hears(want string) []string {
	m.Helper()
	b := make([]byte, 4096)
	if err := m.conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		m.Fatal(err)
	}
	for {
		n, err := m.conn.Read(b)
		if err != nil {
			m.Fatalf("never hears %q: %v", want, err)
		}
		if lines := strings.Split(string(b[:n]), "\n"); slices.Contains(lines, want) {
			return lines
		}
	}
}

// scripted is an elector that is what it is told to be.
type scripted struct {
	mu      sync.Mutex // guards the fields below
	now     election.Answer
	stalled bool
	changed chan struct{}
}

func (s *scripted) Look() election.Answer { s.mu.Lock(); defer s.mu.Unlock(); return s.now }
func (s *scripted) Stalled() bool         { s.mu.Lock(); defer s.mu.Unlock(); return s.stalled }
func (s *scripted) Watch() (election.State, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now.State, s.changed
}

func (s *scripted) becomes(f func(*scripted)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s)
	close(s.changed)
	s.changed = make(chan struct{})
}

// start runs a notifier until the elector ends or the test does.
func start(t *testing.T, n Notifier, s *scripted, stopping <-chan struct{}) (ended <-chan struct{}) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := n.Run(ctx, s, stopping); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	return done
}

func TestSystemdIsToldOfEachStateFromReadyToTheEnd(t *testing.T) {
	for _, name := range []string{filepath.Join(t.TempDir(), "notify"), "@elector-test-" + filepath.Base(t.TempDir())} {
		m := listen(t, name)
		s := &scripted{changed: make(chan struct{})}
		s.now.Phase = election.Connecting
		stopping := make(chan struct{})
		ended := start(t, New([]string{"NOTIFY_SOCKET=" + name}, 1), s, stopping)
		if lines := m.hears("READY=1"); !slices.Contains(lines, "STATUS=no contact with etcd") {
			t.Errorf("ready with %q", lines)
		}
		s.becomes(func(s *scripted) { s.now.Leading, s.now.Token, s.now.Connected = true, 7, true })
		if lines := m.hears("STATUS=leads with token 7"); slices.Contains(lines, "WATCHDOG=1") {
			t.Errorf("a watchdog that nobody has asked for: %q", lines)
		}
		close(stopping)
		m.hears("STOPPING=1")
		m.hears("EXTEND_TIMEOUT_USEC=10000000")
		s.becomes(func(s *scripted) {
			s.now = election.Answer{State: election.State{Phase: election.SteppingDown, Cause: election.CauseShutdown, Ended: true}}
		})
		m.hears("STATUS=stepping-down (shutdown)")
		<-ended
	}
}

func TestWatchdogIsFedOnlyWhileTheLoopRuns(t *testing.T) {
	name := filepath.Join(t.TempDir(), "notify")
	m := listen(t, name)
	s := &scripted{changed: make(chan struct{})}
	start(t, New([]string{"NOTIFY_SOCKET=" + name, "WATCHDOG_USEC=30000", "WATCHDOG_PID=1"}, 1), s, nil)
	m.hears("WATCHDOG=1")
	m.hears("WATCHDOG=1")
	s.becomes(func(s *scripted) { s.stalled, s.now.Token, s.now.Leading = true, 8, true })
	for range 10 {
		if lines := m.hears("STATUS=leads with token 8"); slices.Contains(lines, "WATCHDOG=1") {
			t.Fatalf("fed with a loop that stands still: %q", lines)
		}
	}
}

func TestWhereNobodyAsksNobodyIsTold(t *testing.T) {
	if err := New(os.Environ()[:0], 1).Run(t.Context(), &scripted{}, nil); err != nil {
		t.Error(err)
	}
	for _, env := range [][]string{
		{"WATCHDOG_USEC=1000"}, {"NOTIFY_SOCKET=/x", "WATCHDOG_USEC=1000", "WATCHDOG_PID=2"}, {"NOTIFY_SOCKET=/x", "WATCHDOG_USEC=-1"},
		{"NOTIFY_SOCKET=/x", "WATCHDOG_USEC=soon"},
	} {
		if n := New(env, 1); n.watchdog != 0 {
			t.Errorf("%v: a watchdog every %v", env, n.watchdog)
		}
	}
	// A manager that has gone is not waited for.
	s := &scripted{changed: make(chan struct{})}
	s.now.Ended = true
	if err := New([]string{"NOTIFY_SOCKET=/nowhere/notify"}, 1).Run(t.Context(), s, nil); err != nil {
		t.Error(err)
	}
}

func TestStatusIsOneLineWhateverAnIdentityHolds(t *testing.T) {
	now := election.Answer{Connected: true}
	now.Phase, now.Leader.Identity = election.Follower, "evil\nREADY=1"
	if text := describe(now); strings.Contains(text, "\n") {
		t.Errorf("%q", text)
	}
}

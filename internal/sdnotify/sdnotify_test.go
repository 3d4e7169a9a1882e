package sdnotify

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/elector-dev/elector/internal/election"
	"github.com/elector-dev/elector/internal/electiontest"
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
	changed chan struct{}
}

func (s *scripted) Look() election.Answer { s.mu.Lock(); defer s.mu.Unlock(); return s.now }
func (s *scripted) Stalled() bool         { return false }
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
		s.becomes(func(s *scripted) {
			s.now.Leading, s.now.Token, s.now.Connected, s.now.Since = true, 7, true, time.Unix(1e9, 0)
		})
		if lines := m.hears("STATUS=leads with token 7 since 2001-09-09T01:46:40Z"); len(lines) != 1 {
			t.Errorf("nobody has asked for a sign of life, and it does not stop: %q", lines)
		}
		close(stopping)
		if lines := m.hears("STOPPING=1"); !slices.Contains(lines, "EXTEND_TIMEOUT_USEC=10000000") {
			t.Errorf("stops with %q", lines)
		}
		s.becomes(func(s *scripted) { s.now = election.Answer{State: election.State{Ended: true}} })
		m.hears("STATUS=has stopped")
		<-ended
	}
}

// An elector without a session ends at once, and whichever of the two is heard of first.
func TestSystemdIsToldOfAStopThatTakesNoTime(t *testing.T) {
	name := filepath.Join(t.TempDir(), "notify")
	m := listen(t, name)
	s := &scripted{changed: make(chan struct{})}
	s.now.Ended = true
	stopping := make(chan struct{})
	close(stopping)
	<-start(t, New([]string{"NOTIFY_SOCKET=" + name}, 1), s, stopping)
	m.hears("STOPPING=1")
}

// stuckRecorder stops an elector's loop between two of its turns.
type stuckRecorder struct {
	election.Recorder
	stop  chan struct{} // closed to have it stop
	stuck chan struct{} // gets a value when it stands
	free  chan struct{}
}

func (r *stuckRecorder) LoopLag(time.Duration) {
	select {
	case <-r.stop:
		select {
		case r.stuck <- struct{}{}:
		case <-r.free:
		}
		<-r.free
	default:
	}
}
func (r *stuckRecorder) Renewal(election.RenewalResult, time.Duration, time.Duration) {}
func (r *stuckRecorder) Handover(time.Duration)                                       {}
func (r *stuckRecorder) Session(election.SessionResult)                               {}
func (r *stuckRecorder) TermStarted()                                                 {}
func (r *stuckRecorder) TermEnded(election.Cause)                                     {}
func (r *stuckRecorder) LeaderChanged()                                               {}
func (r *stuckRecorder) Twins(int)                                                    {}

// clock is a boot clock that can be set ahead.
type clock struct {
	start time.Time
	ahead atomic.Int64
}

func (c *clock) Now() election.Instant {
	return election.Instant(time.Hour + time.Since(c.start) + time.Duration(c.ahead.Load()))
}

func TestAnElectorWhoseLoopStandsStillGetsNeitherItsWatchdogFedNorMoreTimeToStop(t *testing.T) {
	name := filepath.Join(t.TempDir(), "notify")
	m := listen(t, name)
	boot := &clock{start: time.Now()}
	loop := &stuckRecorder{stop: make(chan struct{}), stuck: make(chan struct{}), free: make(chan struct{})}
	e, err := election.New(election.Config{
		Identity: "a", Incarnation: "1", Election: "default/test", TTL: election.MinTTL, AnswerMax: time.Second,
		Clock: boot, Store: electiontest.NewCluster(boot).Store("a", "1"), Logger: slog.New(slog.DiscardHandler), Recorder: loop,
	})
	if err != nil {
		t.Fatal(err)
	}
	running, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	defer wg.Wait()
	free := sync.OnceFunc(func() { close(loop.free) })
	defer free()
	defer stop()
	wg.Go(func() { _ = e.Run(running, nil) }) // its error is always nil
	wg.Go(func() {
		n := New([]string{"NOTIFY_SOCKET=" + name, "WATCHDOG_USEC=30000", "WATCHDOG_PID=1"}, 1)
		_ = n.Run(context.Background(), e, running.Done()) // as well
	})
	m.hears("WATCHDOG=1")
	m.hears("WATCHDOG=1")
	close(loop.stop)
	<-loop.stuck
	boot.ahead.Store(int64(3 * election.MinTTL))
	for range 10 {
		if lines := m.hears("STATUS=stands still: its loop does not run"); len(lines) != 1 {
			t.Errorf("says of a loop that stands still: %q", lines)
		}
	}
	stop()
	for range 10 {
		if lines := m.hears("STOPPING=1"); len(lines) != 2 {
			t.Errorf("asks systemd not to end it: %q", lines)
		}
	}
	free()
	m.hears("EXTEND_TIMEOUT_USEC=10000000")
}

func TestChildrenDoNotHearOfTheServiceManager(t *testing.T) {
	env := []string{"A=1", "NOTIFY_SOCKET=/x", "WATCHDOG_USEC=1", "WATCHDOG_PID=2", "NOTIFY_SOCKETS=3"}
	if got := Without(env); !slices.Equal(got, []string{"A=1", "NOTIFY_SOCKETS=3"}) || env[1] != "NOTIFY_SOCKET=/x" {
		t.Errorf("%q of %q", got, env)
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

func TestStatusIsOneLineAndSaysWhatMatters(t *testing.T) {
	w2 := election.Candidate{Identity: "w2", Token: 5}
	for want, now := range map[string]election.Answer{
		`follows "w2"`: {Connected: true, State: election.State{Phase: election.Follower, Cause: election.CauseRegistered, Leader: w2}},
		`follows "evil\nREADY=1"`: {Connected: true, State: election.State{
			Phase: election.Follower, Leader: election.Candidate{Identity: "evil\nREADY=1"}}},
		"follower (registered)":               {Connected: true, State: election.State{Phase: election.Follower, Cause: election.CauseRegistered}},
		`ineligible (unhealthy); "w2" leads`:  {Connected: true, State: election.State{Phase: election.Ineligible, Cause: election.CauseUnhealthy, Leader: w2}},
		"no contact with etcd (session-lost)": {State: election.State{Phase: election.Connecting, Cause: election.CauseSessionLost}},
		"fenced (token-regression)":           {State: election.State{Phase: election.Fenced, Cause: election.CauseTokenRegression}},
		"stepping-down (lease-expired)":       {State: election.State{Phase: election.SteppingDown, Cause: election.CauseLeaseExpired}},
		"has stopped":                         {State: election.State{Phase: election.Connecting, Cause: election.CauseShutdown, Ended: true}},
	} {
		if got := describe(now, false); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

package work

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/elector-dev/elector/internal/election"
)

// patience is how long tests wait for what must come.
const patience = 30 * time.Second

// puppet is an elector whose states a test publishes.
type puppet struct {
	mu      sync.Mutex // guards state and changed
	state   election.State
	changed chan struct{}

	now, workEnd atomic.Int64  // Instants
	asked        chan struct{} // gets one for each time that WorkEnd is called; nil: nobody wants to know
}

func newPuppet() *puppet {
	p := &puppet{changed: make(chan struct{})}
	p.now.Store(int64(time.Hour))
	p.publish(election.Connecting, 0, election.CauseNone)
	return p
}

func (p *puppet) publish(phase election.Phase, token int64, cause election.Cause) {
	p.change(func(s *election.State) { s.Phase, s.Token, s.Cause = phase, token, cause })
}

func (p *puppet) end() { p.change(func(s *election.State) { s.Ended = true }) }

func (p *puppet) change(f func(*election.State)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f(&p.state)
	p.state.Seq++
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *puppet) Watch() (election.State, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state, p.changed
}

func (p *puppet) Look() election.Answer {
	s, _ := p.Watch()
	return election.Answer{State: s, Leading: s.Phase == election.Leader}
}

func (p *puppet) WorkEnd() election.Instant {
	if p.asked != nil {
		p.asked <- struct{}{}
	}
	return election.Instant(p.workEnd.Load())
}

func (p *puppet) Now() election.Instant { return election.Instant(p.now.Load()) }

// rig is hooks under test.
type rig struct {
	*Hooks
	t       *testing.T
	elector *puppet
	file    string // what commands write, as $FILE
	log     *kept
	results chan string // "on-lead ok" for each run
}

func newRig(t *testing.T, change func(*HooksConfig)) *rig {
	t.Helper()
	b := &rig{t: t, elector: newPuppet(), file: filepath.Join(t.TempDir(), "out"), log: &kept{}, results: make(chan string, 1000)}
	b.elector.workEnd.Store(int64(2 * time.Hour))
	cfg := HooksConfig{
		HookSet: HookSet{Timeout: patience}, Elector: b.elector, Clock: b.elector, Identity: "a", Election: "default/x",
		Encode: func(a election.Answer) []byte { return fmt.Appendf(nil, "%d %s", a.Seq, a.Phase) },
		Env:    append(os.Environ(), "FILE="+b.file, "ELECTOR_TERM_TOKEN=inherited"),
		Ran:    func(hook, result string, _ time.Duration) { b.results <- hook + " " + result },
		Logger: slog.New(slog.NewTextHandler(b.log, nil)),
	}
	change(&cfg)
	b.Hooks = NewHooks(cfg)
	return b
}

// start has Run going until the test ends the elector, at its own end if need be.
func (b *rig) start() (ended <-chan struct{}) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := b.Run(b.t.Context()); err != nil {
			b.t.Error(err)
		}
	}()
	b.t.Cleanup(func() { b.elector.end(); <-done })
	return done
}

// during begins a term, whose work is lead, and returns what ends it and joins the work.
func (b *rig) during(token int64, lead election.Lead) (end func(election.Cause)) {
	ctx, cancel := context.WithCancelCause(context.Background())
	done := make(chan error, 1)
	b.elector.publish(election.Leader, token, election.CauseWon)
	go func() { done <- lead(ctx, termOf(token)) }()
	return func(cause election.Cause) {
		b.t.Helper()
		b.elector.publish(election.SteppingDown, 0, cause)
		cancel(&election.CauseError{Cause: cause})
		if err := await(b.t, "the work's end", done); err != nil {
			b.t.Error(err)
		}
		b.elector.publish(election.Connecting, 0, cause)
	}
}

func termOf(token int64) election.Term {
	return election.Term{Token: token, Key: fmt.Sprint("/key/", token), Identity: "a", Election: "default/x"}
}

// wrote is what commands have written, as lines.
func (b *rig) wrote() []string {
	text, err := os.ReadFile(b.file)
	if err != nil {
		b.t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

func await[T any](t *testing.T, what string, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatalf("never comes: %s", what)
		panic("not reached")
	}
}

// expect waits until the next runs have ended as told.
func (b *rig) expect(want ...string) {
	b.t.Helper()
	for i := range want {
		if got := await(b.t, want[i], b.results); got != want[i] {
			b.t.Fatalf("run %d is %q, want %q", i, got, want[i])
		}
	}
}

// settle waits until the log has been told of a run that Ran has been told of.
func (b *rig) settle() {
	if err := b.take(b.t.Context()); err != nil {
		b.t.Error(err)
	}
	b.give()
}

func sh(script string) *Hook { return &Hook{Argv: []string{"/bin/sh", "-c", script}} }

// desk is a server that hooks are told to. Those that it holds are answered when the test says so.
type desk struct {
	*httptest.Server
	held    []string      // hooks that wait for an answer
	arrived chan string   // "on-change 4 leader" for each
	answer  chan struct{} // lets one held go
}

func newDesk(t *testing.T, held ...string) *desk {
	d := &desk{held: held, arrived: make(chan string, 100), answer: make(chan struct{})}
	d.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		d.arrived <- r.Header.Get("Elector-Hook") + " " + strings.TrimSpace(string(body))
		if slices.Contains(d.held, r.Header.Get("Elector-Hook")) {
			select {
			case <-d.answer:
			case <-r.Context().Done():
			}
		}
	}))
	t.Cleanup(d.Close)
	return d
}

func (d *desk) hook() *Hook { return &Hook{URL: d.URL} }

// roundTrip answers requests in a bubble, where there is no network.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// inHookBubble runs f with every hook a URL. told gets a line for each run and forgets it.
func inHookBubble(t *testing.T, f func(t *testing.T, b *rig, told func() []string)) {
	synctest.Test(t, func(t *testing.T) {
		var lines []string // written by whoever has the turn, and read when all stand still
		b := newRig(t, func(c *HooksConfig) {
			to := &Hook{URL: "http://hook.test/"}
			c.BeforeLead, c.OnLead, c.BeforeRelease, c.OnFollow, c.OnChange = to, to, to, to, to
		})
		b.client.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			body, err := io.ReadAll(r.Body)
			lines = append(lines, r.Header.Get("Elector-Hook")+" "+strings.TrimSpace(string(body)))
			return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, err
		})
		f(t, b, func() []string {
			synctest.Wait()
			defer func() { lines = nil }()
			return lines
		})
	})
}

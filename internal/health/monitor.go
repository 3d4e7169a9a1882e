// Package health watches whether the worker is well, through checks that an operator has chosen: each is looked at
// again and again, and is up or down.
//
// A look that nobody answers counts as a failure while it still is out, so that a worker, or a file system, that hangs
// does not keep the good word that was last heard of it.
package health

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// Probe is one way to look. It returns nil when the worker is well, else why not, in a sentence for an operator, which
// is best the same for the same reason: Changed hears of another. It returns soon after ctx has ended.
type Probe func(ctx context.Context) error

// Check is a named probe. Name is what metrics, the state and logs show.
type Check struct {
	Name  string
	Probe Probe
}

// Config is what a Monitor needs. All fields are required but for Failed and After; of Checks there may be none.
type Config struct {
	Checks   []Check
	Interval time.Duration // from the start of one look at a check to the start of the next
	Timeout  time.Duration // for a look to answer; at most Interval
	// Rise and Fall are how many successes or failures in a row turn a check up or down. A check begins down, and its
	// first success turns it up: there is nothing yet that it could have recovered from.
	Rise, Fall int
	// After, unless nil, is the monitor whose place this one takes. A check of the same name goes on as it was there;
	// another begins up if all were, so that it ends no term before it has been looked at. Changed is told at once.
	After *Monitor
	// Changed is told the results in the order of Checks when a check has turned, or the reason of one that is down has
	// changed. It is called by one goroutine at a time and may block until ctx ends. What changes meanwhile is told in
	// one next call: each tells what was so when it began, and never older results than the one before.
	Changed func(ctx context.Context, all []Result)
	Logger  *slog.Logger
	Failed  func(check string) // counts the looks that failed; called concurrently, must not block
}

// Result is how a check is.
type Result struct {
	Check  string
	Up     bool
	Seen   bool      // has been looked at
	Reason string    // why it is down, in the words of the last failure
	Since  time.Time // when it turned, or, when it never has, when its monitor was made
}

// unseen is the reason of a check that has not been looked at.
const unseen = "not looked at yet"

// Monitor looks at checks. Results may be called concurrently, and before and after Run.
type Monitor struct {
	cfg  Config
	late error // of a look that has not answered in time

	mu      sync.Mutex // guards the fields below, for a few assignments
	results []Result
	news    chan struct{} // holds one while Changed has not been told of results
}

// New returns a monitor whose checks are all down. It starts nothing. The error says what is wrong with cfg.
func New(cfg Config) (*Monitor, error) {
	if err := validate(cfg); err != nil {
		return nil, fmt.Errorf("health: %w", err)
	}
	if cfg.Failed == nil {
		cfg.Failed = func(string) {}
	}
	m := &Monitor{cfg: cfg, late: fmt.Errorf("no answer within %v", cfg.Timeout), news: make(chan struct{}, 1)}
	for _, c := range cfg.Checks {
		m.results = append(m.results, begin(c.Name, cfg.After))
	}
	if cfg.After != nil {
		m.news <- struct{}{}
	}
	return m, nil
}

// begin is the result with which a check begins.
func begin(name string, after *Monitor) Result {
	down := Result{Check: name, Reason: unseen, Since: time.Now()}
	if after == nil {
		return down
	}
	well := true
	for _, r := range after.Results() {
		if r.Check == name {
			return r
		}
		well = well && r.Up
	}
	if well {
		return Result{Check: name, Up: true, Since: down.Since}
	}
	return down
}

func validate(cfg Config) error {
	names := make(map[string]bool)
	for _, c := range cfg.Checks {
		if c.Name == "" || c.Probe == nil {
			return errors.New("a check needs a name and a probe")
		}
		if names[c.Name] { // nobody could tell which of the two is down
			return fmt.Errorf("the check %q is there twice", c.Name)
		}
		names[c.Name] = true
	}
	switch {
	case cfg.Interval <= 0 || cfg.Timeout <= 0:
		return fmt.Errorf("interval %v and timeout %v must be positive", cfg.Interval, cfg.Timeout)
	case cfg.Timeout > cfg.Interval: // the next look would be late whenever one is not answered
		return fmt.Errorf("timeout %v is longer than the interval %v", cfg.Timeout, cfg.Interval)
	case cfg.Rise < 1 || cfg.Fall < 1:
		return fmt.Errorf("rise %d and fall %d must be at least 1", cfg.Rise, cfg.Fall)
	case cfg.Changed == nil || cfg.Logger == nil:
		return errors.New("changed and logger are required")
	}
	return nil
}

// Run looks at the checks, each by itself: at once, and then every Interval, never twice at a time. It blocks until ctx
// has ended and every probe, and Changed, have returned. It is called once. The error is always nil.
func (m *Monitor) Run(ctx context.Context) error {
	var all sync.WaitGroup
	for i, c := range m.cfg.Checks {
		all.Go(func() { m.watch(ctx, &watched{Check: c, at: i, risen: m.results[i].Up}) })
	}
	m.tell(ctx)
	all.Wait()
	return nil
}

// Results is how the checks are now, in their order. It does not block.
func (m *Monitor) Results() []Result {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.results)
}

// tell has Changed hear of what is new until ctx ends.
func (m *Monitor) tell(ctx context.Context) {
	for {
		select {
		case <-m.news:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			return
		}
		m.cfg.Changed(ctx, m.Results())
	}
}

// watched is a check with what has been counted of it. The goroutine that watches it owns it.
type watched struct {
	Check
	at             int  // its place among the results
	passed, failed int  // looks in a row
	risen          bool // has been up
}

// watch looks at a check until ctx ends.
func (m *Monitor) watch(ctx context.Context, w *watched) {
	for ctx.Err() == nil {
		next := time.After(m.cfg.Interval)
		m.look(ctx, w)
		select {
		case <-next:
		case <-ctx.Done():
		}
	}
}

// look looks once and notes the answer. It returns when the probe has, and not when the answer is overdue: no other
// look begins meanwhile, and each that is missed for that counts as a failure.
func (m *Monitor) look(ctx context.Context, w *watched) {
	began := time.Now() // before the deadline is reckoned
	within, cancel := context.WithTimeout(ctx, m.cfg.Timeout)
	defer cancel()
	answer := make(chan error)
	go func() { answer <- w.Probe(within) }()
	select {
	case err := <-answer:
		// By the clock: a connection's deadline, which is that of within, can be noticed before within has ended.
		if time.Since(began) >= m.cfg.Timeout {
			err = m.late // which says more than that a deadline was exceeded
		}
		m.note(ctx, w, err)
		return
	case <-within.Done():
	}
	m.note(ctx, w, m.late)
	missed := time.NewTicker(m.cfg.Interval)
	defer missed.Stop()
	for {
		select {
		case <-answer: // too late to be one
			return
		case <-missed.C:
			m.note(ctx, w, m.late)
		}
	}
}

// note counts a look. One that ctx has ended says nothing about the worker.
func (m *Monitor) note(ctx context.Context, w *watched, err error) {
	if ctx.Err() != nil {
		return
	}
	m.mu.Lock()
	old := m.results[w.at]
	now := w.count(old, err, m.cfg.Rise, m.cfg.Fall)
	m.results[w.at] = now
	if now != old {
		select {
		case m.news <- struct{}{}:
		default:
		}
	}
	m.mu.Unlock()
	if err != nil {
		m.cfg.Failed(w.Name)
	}
	switch {
	case now.Up && !old.Up:
		m.cfg.Logger.Info("check passed", "check", w.Name)
	case old.Up && !now.Up, err != nil && !old.Seen: // that it is down from the start has a reason too
		m.cfg.Logger.Warn("check failed", "check", w.Name, "err", err)
	case err != nil:
		m.cfg.Logger.Debug("look failed", "check", w.Name, "err", err)
	}
}

// count counts a look, and returns the result that follows.
func (w *watched) count(r Result, err error, rise, fall int) Result {
	r.Seen = true
	if err == nil {
		w.passed, w.failed = w.passed+1, 0
		if !r.Up && (w.passed >= rise || !w.risen) {
			w.risen = true
			r.Up, r.Reason, r.Since = true, "", time.Now()
		}
		return r
	}
	w.passed, w.failed = 0, w.failed+1
	if r.Up && w.failed >= fall {
		r.Up, r.Since = false, time.Now()
	}
	if !r.Up {
		r.Reason = err.Error()
	}
	return r
}

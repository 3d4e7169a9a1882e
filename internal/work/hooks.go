package work

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/elector-dev/elector/internal/election"
)

// HooksElector is what hooks ask of an elector; *election.Elector is one. Its methods are called concurrently and do
// not block.
type HooksElector interface {
	// Watch returns the published state and a channel that is closed when a newer one is published. The last has Ended.
	Watch() (election.State, <-chan struct{})
	// Look evaluates leadership now, on a state at least as new as Watch has returned, and promises nothing.
	Look() election.Answer
	// WorkEnd is when the work of the term under way must have ended. It moves. Zero when there is none.
	WorkEnd() election.Instant
}

var _ HooksElector = (*election.Elector)(nil)

// HookSet is what hooks there are.
type HookSet struct {
	BeforeLead, OnLead, BeforeRelease, OnFollow, OnChange *Hook // nil: none

	Timeout time.Duration // of each run
}

// HooksConfig is what hooks there are at first and what they are told. All fields but the hooks, Env and Ran are required.
type HooksConfig struct {
	HookSet

	Elector  HooksElector
	Encode   func(election.Answer) []byte // makes the JSON that a hook gets, without a newline
	Identity string
	Election string   // "<namespace>/<name>"
	Env      []string // what commands get, besides ELECTOR_HOOK and ELECTOR_TERM_*
	Clock    election.Clock
	// Ran is told of each run that has ended: its hook, its result (ok, failed, timeout or cancelled), and how long it
	// took. nil: nobody is.
	Ran    func(hook, result string, took time.Duration)
	Logger *slog.Logger
}

// Hooks run what an operator wants run when the elector begins to lead, stops, or changes.
//
// What holds:
//
//  1. At most one runs at any instant.
//  2. They run in the order of what they tell of: of a term before-lead, on-lead, before-release, on-follow. If on-lead
//     has told of a term, nothing of a later one is told before on-follow has told of its end.
//  3. on-lead and on-follow alternate. Who is behind is told less: a term that is over before on-lead has had its turn
//     gets none, and no on-follow of its own.
//  4. on-change is told the newest state, and never an older one after it. Its order to the others is not promised: it
//     may tell of a term before on-lead does, or after, and without its key if neither BeforeLead nor the work has begun.
//  5. The state that a hook gets is that of the instant at which it is run, which may be newer than what it tells of.
//  6. No run outlasts Timeout, none of on-lead its term, and none of before-release the end of the term's work. One that
//     fails is told to the log and to Ran; only before-lead's has a consequence.
//
// The last holds while this process runs. One that is frozen cuts nothing short, and unlike the command of elector run
// hooks have no guard: what they do must stand to be done late, or carry the token to whom can refuse it.
//
// The methods may be called concurrently, but for Run.
type Hooks struct {
	cfg    HooksConfig
	set    atomic.Pointer[HookSet]
	client *http.Client
	turn   chan struct{}                 // held, by sending, while a hook runs
	known  atomic.Pointer[election.Term] // the latest that has asked for a hook; on-change has its key from here
	owed   chan struct{}                 // wakes Run: a later term waits for on-follow

	// Whoever has the turn owns the fields below.
	begun   bool   // on-lead or on-follow has told something
	led     *led   // what on-lead told last, until on-follow has told of its end
	changed uint64 // Seq of the state that on-change was told last
}

// led is a term whose beginning on-lead has told of.
type led struct {
	token int64
	key   string
	over  chan struct{} // closed when on-follow has told of its end
}

// NewHooks starts nothing.
func NewHooks(cfg HooksConfig) *Hooks {
	if cfg.Ran == nil {
		cfg.Ran = func(string, string, time.Duration) {}
	}
	h := &Hooks{cfg: cfg, client: newHookClient(), turn: make(chan struct{}, 1), owed: make(chan struct{}, 1)}
	h.Replace(cfg.HookSet)
	return h
}

// Replace has other hooks run from the next run on. One that is under way goes on. It does not block.
func (h *Hooks) Replace(set HookSet) { h.set.Store(&set) }

// take blocks until it is the caller's turn, or until ctx ends, whose cause it then returns.
func (h *Hooks) take(ctx context.Context) error {
	select {
	case h.turn <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if ctx.Err() != nil { // both were so
		h.give()
		return context.Cause(ctx)
	}
	return nil
}

func (h *Hooks) give() { <-h.turn }

// takeFor is take for a hook of a term: it lets on-follow tell first that the term before is over.
func (h *Hooks) takeFor(ctx context.Context, term election.Term) error {
	for {
		if err := h.take(ctx); err != nil {
			return err
		}
		before := h.led
		if before == nil || before.token == term.Token {
			return nil
		}
		h.give()
		select {
		case h.owed <- struct{}{}:
		default: // Run has yet to take the last one
		}
		select {
		case <-before.over:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Run runs on-follow and on-change until they have told of the elector's last state, and then returns nil. It blocks until
// then, and ctx's end does not hurry it, since the last words come after that: an elector that is never run keeps it for
// ever. Hooks of a second term wait for it. It may be called once.
func (h *Hooks) Run(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	for {
		changed, told, ended := h.tellNewest(ctx)
		switch {
		case told:
			continue
		case ended:
			return nil
		}
		select {
		case <-changed:
		case <-h.owed:
		}
	}
}

// tellNewest runs on-follow or on-change if one of them has something to tell, and reports that. If not, the elector has
// ended, or there may be more once changed is closed. The state is read when the turn has come, so that it is the newest.
func (h *Hooks) tellNewest(ctx context.Context) (changed <-chan struct{}, told, ended bool) {
	_ = h.take(ctx) // no run is without end, and this ctx is
	defer h.give()
	_, changed = h.cfg.Elector.Watch()
	now := h.cfg.Elector.Look()
	w := word{token: now.Token, phase: now.Phase, cause: now.Cause, now: now}
	if t := h.known.Load(); t != nil && t.Token == now.Token {
		w.key = t.Key
	}
	switch {
	case h.follows(now):
		w.hook = hookOnFollow
		if h.led != nil { // it tells of the end of that term
			w.token, w.key = h.led.token, h.led.key
		}
		h.say(ctx, h.set.Load().OnFollow, w)
		if h.led != nil {
			close(h.led.over)
		}
		h.begun, h.led = true, nil
	case now.Seq > h.changed:
		w.hook, h.changed = hookOnChange, now.Seq
		h.say(ctx, h.set.Load().OnChange, w)
	default:
		return changed, false, now.Ended
	}
	return changed, true, false
}

// follows reports whether on-follow has something to tell: that the term which on-lead has told of is over, which a
// later one tells too, or, when nothing has been told yet, that the elector does not lead.
func (h *Hooks) follows(now election.Answer) bool {
	switch {
	case h.led == nil:
		return !h.begun && now.Phase == election.Follower
	case h.known.Load().Token != h.led.token:
		return true
	}
	return now.Phase != election.Leader && now.Phase != election.SteppingDown
}

// BeforeLead runs before-lead for a term that is about to begin. An error refuses the term: the hook has failed or has
// not ended in time, or ctx has. It blocks for as long as the hook before it and this one take, or until ctx ends.
func (h *Hooks) BeforeLead(ctx context.Context, term election.Term) error {
	h.known.Store(&term)
	hook := h.set.Load().BeforeLead
	if hook == nil {
		return nil
	}
	if err := h.takeFor(ctx, term); err != nil {
		return fmt.Errorf("before-lead: wait for the hook before it: %w", err)
	}
	defer h.give()
	now := h.cfg.Elector.Look()
	if err := h.tell(ctx, hook, word{hookBeforeLead, term.Token, term.Key, election.Verifying, now.Cause, now}); err != nil {
		return fmt.Errorf("before-lead: %w", err)
	}
	return nil
}

// Lead is the work of a term: it runs on-lead, which is killed when ctx ends, and then waits for that. on-lead's failure
// does not end the term. The error is always nil.
func (h *Hooks) Lead(ctx context.Context, term election.Term) error {
	h.known.Store(&term)
	h.onLead(ctx, term)
	<-ctx.Done()
	return nil
}

func (h *Hooks) onLead(ctx context.Context, term election.Term) {
	if h.takeFor(ctx, term) != nil {
		return
	}
	defer h.give()
	now := h.cfg.Elector.Look()
	if now.Token != term.Token {
		return // the term is over, though its work has not been told yet
	}
	h.begun, h.led = true, &led{token: term.Token, key: term.Key, over: make(chan struct{})}
	h.say(ctx, h.set.Load().OnLead, word{hookOnLead, term.Token, term.Key, election.Leader, now.Cause, now})
}

// Around is a term's work with before-release behind it: that runs when the work has returned and, since the elector
// waits for both, before the key goes. It is cut short when the work of the term must have ended, and is not run after
// that. A nil lead waits for the end of the term.
func (h *Hooks) Around(lead election.Lead) election.Lead {
	if lead == nil {
		lead = func(ctx context.Context, _ election.Term) error { <-ctx.Done(); return nil }
	}
	return func(ctx context.Context, term election.Term) error {
		h.known.Store(&term)
		err := lead(ctx, term)
		if h.set.Load().BeforeRelease != nil {
			h.beforeRelease(ctx, term)
		}
		return err
	}
}

// beforeRelease runs before-release of a term whose context is ended, unless its work has returned by itself.
func (h *Hooks) beforeRelease(ended context.Context, term election.Term) {
	cause := election.CauseWorkEnded
	if e := (*election.CauseError)(nil); errors.As(context.Cause(ended), &e) {
		cause = e.Cause
	}
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(ended))
	var watcher sync.WaitGroup
	defer watcher.Wait()
	defer cancel(nil)
	if h.workLeft() <= 0 {
		cancel(errWorkEnd)
	}
	watcher.Go(func() { h.endWithWork(ctx, cancel) })
	if err := h.takeFor(ctx, term); err != nil {
		h.cfg.Logger.Warn("a hook is not run: no time is left for it", "hook", hookBeforeRelease, "token", term.Token, "cause", string(cause))
		return
	}
	defer h.give()
	now := h.cfg.Elector.Look()
	h.say(ctx, h.set.Load().BeforeRelease, word{hookBeforeRelease, term.Token, term.Key, election.SteppingDown, cause, now})
}

// workLeft is how much time the work of the term under way has left.
func (h *Hooks) workLeft() time.Duration { return h.cfg.Elector.WorkEnd().Sub(h.cfg.Clock.Now()) }

// endWithWork cancels ctx when the work of the term must have ended. It looks now and then, as renewals move that, and
// as timers stand still while the host is suspended. It returns when ctx has ended.
func (h *Hooks) endWithWork(ctx context.Context, cancel context.CancelCauseFunc) {
	for left := h.workLeft(); left > 0; left = h.workLeft() {
		select {
		case <-time.After(min(left, guardEvery)):
		case <-ctx.Done():
			return
		}
	}
	cancel(errWorkEnd)
}

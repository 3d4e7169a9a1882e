package work

import (
	"context"
	"sync"
	"time"

	"github.com/elector-dev/elector/internal/election"
)

// Elector is what holds ask of an elector; *election.Elector is one.
type Elector interface {
	Answer(limit time.Duration) election.Answer
	AnswerTo(owed *election.Promises, limit time.Duration) election.Answer
	Bar(ctx context.Context, b election.Bar) error
}

var _ Elector = (*election.Elector)(nil)

// NoHold is why an elector that needs a hold may not campaign.
var NoHold = election.Bar{Cause: election.CauseUnhealthy, Why: "no worker holds"}

// HoldsConfig is what Holds need. Elector and Clock are required.
type HoldsConfig struct {
	Elector  Elector
	Clock    election.Clock
	Required bool          // the elector is eligible only while a hold is open
	Drain    time.Duration // how long after the end of a term holds may stay open before they are cut
}

// Holds are the open holds of an elector. Its methods may be called concurrently.
type Holds struct {
	cfg HoldsConfig

	mu      sync.Mutex // guards the fields below, for a few assignments and an evaluation
	open    map[*Hold]struct{}
	wound   int64            // token of the term whose work is being wound up, or was: Lead may not see what is told of it from now on
	changed chan struct{}    // closed when a hold is let go of
	owed    election.Instant // until when holds that were cut may be acted on
	turn    chan struct{}    // held, by sending, while the elector is told of eligibility, so that the last word is the true one
}

// NewHolds returns holds of which none is open. It starts nothing. An elector of which a hold is required begins
// with election.Config.Barred.
func NewHolds(cfg HoldsConfig) *Holds {
	return &Holds{cfg: cfg, open: make(map[*Hold]struct{}), changed: make(chan struct{}), turn: make(chan struct{}, 1)}
}

// Hold is one worker's. It is let go of once, by Close or by Cut.
type Hold struct {
	all  *Holds
	owed election.Promises
	cut  chan struct{} // closed when Holds wants it gone
	drop sync.Once     // closes cut
	once sync.Once
}

// Open opens a hold. It blocks until the elector knows, or ctx ends.
func (hs *Holds) Open(ctx context.Context) (*Hold, error) {
	h := &Hold{all: hs, cut: make(chan struct{})}
	hs.mu.Lock()
	hs.open[h] = struct{}{}
	hs.mu.Unlock()
	if err := hs.tell(ctx); err != nil {
		h.Close()
		return nil, err
	}
	return h, nil
}

// tell has the elector know whether it is eligible.
func (hs *Holds) tell(ctx context.Context) error {
	if !hs.cfg.Required {
		return nil
	}
	select {
	case hs.turn <- struct{}{}:
		defer func() { <-hs.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	var b election.Bar
	if hs.Count() == 0 {
		b = NoHold
	}
	return hs.cfg.Elector.Bar(ctx, b)
}

// Count is how many holds are open.
func (hs *Holds) Count() int {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	return len(hs.open)
}

// Answer evaluates leadership for the hold's worker. A yes is owed to it: the key stays until it has run out, or
// until the hold is closed. Work that has returned by itself is joined before the term is over: what is told meanwhile
// is owed like any other promise, whatever becomes of the hold.
func (h *Hold) Answer(limit time.Duration) election.Answer {
	hs := h.all
	hs.mu.Lock()
	defer hs.mu.Unlock()
	if now := hs.cfg.Elector.Answer(0); now.Leading && now.Token == hs.wound {
		return hs.cfg.Elector.Answer(limit)
	}
	return hs.cfg.Elector.AnswerTo(&h.owed, limit)
}

// Unwanted is closed when the hold is to be cut, since its worker has not let go of it in time.
func (h *Hold) Unwanted() <-chan struct{} { return h.cut }

// Close lets go of the hold on the worker's side: it has stopped, and is owed nothing any more. An elector that
// needs a hold and has no other steps down. It blocks until the elector knows.
func (h *Hold) Close() { h.letGo(false) }

// Cut lets go of a hold whose worker has not been heard of, or does not listen. What it has been promised is
// still owed to it.
func (h *Hold) Cut() { h.letGo(true) }

func (h *Hold) letGo(owes bool) {
	h.once.Do(func() {
		hs := h.all
		hs.mu.Lock()
		if owes { // a term that is ending already waits for it in Lead, which finds the hold or this
			hs.owed = max(hs.owed, h.owed.Until())
		}
		delete(hs.open, h)
		close(hs.changed)
		hs.changed = make(chan struct{})
		hs.mu.Unlock()
		h.owed.Settle(owes)
		ctx, cancel := context.WithTimeout(context.Background(), tellTimeout)
		defer cancel()
		_ = hs.tell(ctx) // an elector that has ended, or whose loop stands still, leads no more
	})
}

// tellTimeout bounds how long a hold that was let go of waits for the elector's loop.
const tellTimeout = 5 * time.Second

// Lead is the work of a term: it returns when the term has ended and every hold that was told a yes in it has
// been let go of. Those that are not within Drain are cut. It waits until what those that were cut have been
// promised has run out.
func (hs *Holds) Lead(ctx context.Context, t election.Term) error {
	<-ctx.Done()
	hs.wind(t.Token)
	patience := time.NewTimer(hs.cfg.Drain)
	defer patience.Stop()
	for {
		told, changed := hs.told()
		if len(told) == 0 {
			break
		}
		select {
		case <-changed:
			continue
		case <-patience.C:
			hs.drop(told)
		}
		break
	}
	hs.mu.Lock()
	until := hs.owed
	hs.mu.Unlock()
	if left := until.Sub(hs.cfg.Clock.Now()); left > 0 {
		<-time.After(left)
	}
	return nil
}

func (hs *Holds) wind(token int64) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	hs.wound = token
}

// told lists the open holds that have been told a yes, and a channel that is closed when one is let go of.
func (hs *Holds) told() (told []*Hold, changed <-chan struct{}) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	for h := range hs.open {
		if h.owed.Until() > 0 {
			told = append(told, h)
		}
	}
	return told, hs.changed
}

// drop cuts holds. They may stay open for a while yet.
func (hs *Holds) drop(told []*Hold) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	for _, h := range told {
		hs.owed = max(hs.owed, h.owed.Until())
		h.drop.Do(func() { close(h.cut) })
	}
}

package health

import (
	"context"
	"strings"
	"sync"

	"github.com/elector-dev/elector/internal/election"
)

// Gate gathers all that may stand against a candidacy, each under a name of its own, and tells the elector of the
// whole. Its methods may be called concurrently.
type Gate struct {
	order []string
	tell  func(ctx context.Context, whole election.Bar) error

	turn chan struct{} // held, by sending, while the elector is told, so that the last word is the true one
	mu   sync.Mutex    // guards bars, for an assignment
	bars map[string]election.Bar
}

// NewGate returns a gate for the named things, the weightiest first: of several that stand against a candidacy the first
// gives its cause. tell blocks until the elector knows, or ctx ends.
func NewGate(tell func(ctx context.Context, whole election.Bar) error, order ...string) *Gate {
	return &Gate{order: order, tell: tell, turn: make(chan struct{}, 1), bars: make(map[string]election.Bar)}
}

// Put notes what a thing says without telling the elector, which is not there yet.
func (g *Gate) Put(name string, b election.Bar) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.bars[name] = b
}

// Set notes what a thing says and tells the elector of the whole. It blocks until that knows, or ctx ends; the error is
// tell's, or ctx's. What was noted then is told with the next word.
func (g *Gate) Set(ctx context.Context, name string, b election.Bar) error {
	g.Put(name, b)
	select {
	case g.turn <- struct{}{}:
		defer func() { <-g.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return g.tell(ctx, g.Whole())
}

// Whole is what all say together; zero when nothing stands against a candidacy.
func (g *Gate) Whole() election.Bar {
	g.mu.Lock()
	defer g.mu.Unlock()
	var whole election.Bar
	var why []string
	for _, name := range g.order {
		b := g.bars[name]
		if b.Cause == election.CauseNone {
			continue
		}
		if whole.Cause == election.CauseNone {
			whole.Cause = b.Cause
		}
		why = append(why, b.Why)
	}
	whole.Why = strings.Join(why, "; ")
	return whole
}

// Bar is what checks say: those that are down, with their reasons.
func Bar(all []Result) election.Bar {
	var why []string
	for _, r := range all {
		if !r.Up {
			why = append(why, "check "+r.Check+": "+r.Reason)
		}
	}
	if why == nil {
		return election.Bar{}
	}
	return election.Bar{Cause: election.CauseUnhealthy, Why: strings.Join(why, "; ")}
}

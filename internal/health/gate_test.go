package health

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/elector-dev/elector/internal/election"
)

func TestGateTellsTheWholeAndItsWeightiestCause(t *testing.T) {
	var told election.Bar
	g := NewGate(func(_ context.Context, b election.Bar) error { told = b; return nil }, "drain", "checks", "hold")
	unwell := Bar([]Result{{Check: "tcp x:1", Up: true}, {Check: "http y", Reason: "status 500"}, {Check: "file z", Reason: "not looked at yet"}})
	drained := election.Bar{Cause: election.CauseDrained, Why: "kernel update"}
	for _, step := range []struct {
		name string
		bar  election.Bar
		want election.Bar
	}{
		{"hold", election.Bar{Cause: election.CauseUnhealthy, Why: "no worker holds"}, election.Bar{Cause: election.CauseUnhealthy, Why: "no worker holds"}},
		{"drain", drained, election.Bar{Cause: election.CauseDrained, Why: "kernel update; no worker holds"}},
		{"hold", election.Bar{}, drained},
		{"checks", unwell, election.Bar{Cause: election.CauseDrained, Why: "kernel update; check http y: status 500; check file z: not looked at yet"}},
		{"drain", election.Bar{}, unwell},
		{"checks", Bar([]Result{{Check: "http y", Up: true}}), election.Bar{}},
	} {
		if err := g.Set(t.Context(), step.name, step.bar); err != nil || told != step.want {
			t.Errorf("after %s %+v: told %+v, %v", step.name, step.bar, told, err)
		}
	}
	gone := errors.New("the elector has ended")
	g.tell = func(context.Context, election.Bar) error { return gone }
	if err := g.Set(t.Context(), "hold", election.Bar{}); !errors.Is(err, gone) {
		t.Error(err)
	}
}

// A word that the elector does not take keeps nobody who has less patience.
func TestGateKeepsNobodyLongerThanAsked(t *testing.T) {
	taken, waits := make(chan struct{}), make(chan struct{})
	var told election.Bar
	g := NewGate(func(_ context.Context, b election.Bar) error {
		close(waits)
		<-taken
		told = b
		return nil
	}, "checks", "drain")
	var first sync.WaitGroup
	first.Go(func() { _ = g.Set(context.Background(), "checks", election.Bar{}) })
	<-waits
	ctx, cancel := context.WithCancelCause(t.Context())
	late := errors.New("too late")
	cancel(late)
	drained := election.Bar{Cause: election.CauseDrained, Why: "drained"}
	if err := g.Set(ctx, "drain", drained); !errors.Is(err, late) {
		t.Error(err)
	}
	close(taken)
	first.Wait()
	g.tell = func(_ context.Context, b election.Bar) error { told = b; return nil }
	if err := g.Set(t.Context(), "checks", election.Bar{}); err != nil || told != drained {
		t.Errorf("after that it was told %+v, %v", told, err)
	}
}

// The last word is the true one, whoever says it.
func TestGateTellsTheNewestLast(t *testing.T) {
	var mu sync.Mutex
	var told election.Bar
	g := NewGate(func(_ context.Context, b election.Bar) error {
		mu.Lock()
		defer mu.Unlock()
		told = b
		return nil
	}, "a", "b")
	var all sync.WaitGroup
	for _, name := range []string{"a", "b"} {
		all.Go(func() {
			for range 500 {
				g.Set(context.Background(), name, election.Bar{Cause: election.CauseUnhealthy, Why: name})
				g.Set(context.Background(), name, election.Bar{})
			}
		})
	}
	all.Wait()
	if told != (election.Bar{}) {
		t.Errorf("in the end it was told %+v", told)
	}
}

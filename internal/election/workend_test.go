package election_test

import (
	"context"
	"testing"
	"time"

	"github.com/elector-dev/elector/internal/election"
)

func TestWorkMustHaveEndedAMarginBeforeTheLeaseCanExpire(t *testing.T) {
	const grace = 2 * time.Second
	inBubble(t, func(f *fleet) {
		var a *member
		var left time.Duration
		ended := make(chan struct{})
		a = f.join("a", func(ctx context.Context, _ election.Term) error {
			<-ctx.Done()
			time.Sleep(2 * ttl) // of the bubble's time: slow to stop, while renewals go on
			left = a.WorkEnd().Sub(f.clock.Now())
			close(ended)
			return nil
		}, func(c *election.Config) { c.Grace = grace })
		if end := a.WorkEnd(); end != 0 {
			t.Errorf("no term, and its work must have ended at %v", end)
		}
		a.awaitPhase(election.Leader)
		now := a.Look()
		if got, want := a.WorkEnd(), now.At.Add(now.LeaseLeft-election.Margin(ttl)); got != want {
			t.Errorf("must have ended at %v, want %v", got, want)
		}
		if err := a.resign(election.Resignation{Cooldown: time.Hour}); err != nil {
			t.Fatal(err)
		}
		<-ended
		if left <= 0 {
			t.Errorf("two TTLs after the resignation the work had %v left though its lease is renewed", left)
		}
		a.await("an end of the term", func(s election.State) bool { return s.Phase != election.SteppingDown })
		if end := a.WorkEnd(); end != 0 {
			t.Errorf("the term is over, and its work must have ended at %v", end)
		}
	})
}

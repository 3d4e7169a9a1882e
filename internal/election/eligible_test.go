package election_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/elector-dev/elector/internal/election"
)

func (m *member) bar(cause election.Cause) error {
	ctx, cancel := context.WithTimeout(context.Background(), ttl)
	defer cancel()
	b := election.Bar{Cause: cause, Why: "because it is " + string(cause)}
	err := m.Bar(ctx, b)
	if s, _ := m.Watch(); err == nil && s.Bar != b {
		m.t.Errorf("barred by %+v, and shows %+v", b, s.Bar)
	}
	return err
}

func TestLeaderThatIsNotEligibleAnyMoreStepsDownByChoice(t *testing.T) {
	inBubble(t, func(f *fleet) {
		a := f.join("a", nil)
		a.awaitPhase(election.Leader)
		b := f.join("b", nil)
		b.awaitPhase(election.Follower)
		yes := a.Answer(time.Minute)
		if err := a.bar(election.CauseUnhealthy); err != nil {
			t.Fatal(err)
		}
		if now := a.Look(); now.Leading || now.Cause != election.CauseUnhealthy {
			t.Errorf("barred: %+v", now)
		}
		b.awaitPhase(election.Leader)
		if f.clock.Now() < yes.ExpiresAt {
			t.Errorf("b leads at %v, promised until %v", f.clock.Now(), yes.ExpiresAt)
		}
		s := a.await("naming b", func(s election.State) bool { return s.Leader.Identity == "b" })
		if s.Phase != election.Ineligible || s.Cause != election.CauseUnhealthy || f.cluster.Candidates() != 1 {
			t.Errorf("%d keys stand; barred: %+v", f.cluster.Candidates(), s)
		}
		if err := a.bar(election.CauseNone); err != nil {
			t.Fatal(err)
		}
		a.awaitPhase(election.Follower)
	})
}

func TestCandidateThatIsNotEligibleLeavesTheQueue(t *testing.T) {
	inBubble(t, func(f *fleet) {
		a := f.join("a", nil)
		a.awaitPhase(election.Leader)
		b := f.join("b", nil)
		b.awaitPhase(election.Follower)
		if err := b.bar(election.CauseDrained); err != nil {
			t.Fatal(err)
		}
		b.await("an open session without a key", func(s election.State) bool { return s.Phase == election.Ineligible && s.Leader.Identity == "a" })
		a.stop()
		<-a.done
		b.await("nobody", func(s election.State) bool { return s.Leader.Token == 0 })
		if f.cluster.Candidates() != 0 {
			t.Errorf("%d keys stand", f.cluster.Candidates())
		}
		b.bar(election.CauseNone)
		b.awaitPhase(election.Leader)
	})
}

func TestElectorThatIsNotEligibleAtTheStartWaits(t *testing.T) {
	inBubble(t, func(f *fleet) {
		a := f.join("a", nil, func(c *election.Config) { c.Barred = election.Bar{Cause: election.CauseUnhealthy} })
		s := a.await("a session", func(s election.State) bool { return s.Lease != 0 })
		if s.Phase != election.Ineligible || s.Cause != election.CauseUnhealthy || s.Bar.Cause != election.CauseUnhealthy || s.EverRegistered {
			t.Errorf("before the first check: %+v", s)
		}
		a.bar(election.CauseNone)
		a.awaitPhase(election.Leader)
		a.stop()
		<-a.done
		if err := a.bar(election.CauseUnhealthy); !errors.Is(err, election.ErrNoSession) {
			t.Errorf("told after its end: %v", err)
		}
	})
}

func TestWorkThatNeedsTimeToStopIsToldThatMuchBeforeTheLeaseCanExpire(t *testing.T) {
	const grace = 2500 * time.Millisecond
	inBubble(t, func(f *fleet) {
		var told atomic.Int64
		a := f.join("a", func(ctx context.Context, _ election.Term) error {
			<-ctx.Done()
			told.Store(int64(f.clock.Now()))
			time.Sleep(grace) // of the bubble's time
			return nil
		}, func(c *election.Config) { c.Grace = grace })
		s := a.awaitPhase(election.Leader)
		b := f.join("b", nil)
		b.awaitPhase(election.Follower)
		if now := a.Look(); !now.Leading || now.LeaseLeft < grace {
			t.Fatalf("leads with %+v", now)
		}
		a.cut.Store(true)
		down := a.awaitPhase(election.SteppingDown)
		if down.Cause != election.CauseLeaseExpired {
			t.Errorf("cause %s", down.Cause)
		}
		left := a.Look().LeaseLeft
		a.cut.Store(false) // a late renewal does not undo it
		b.awaitPhase(election.Leader)
		if told.Load() == 0 || left < grace {
			t.Errorf("told at %v, %v before the lease could expire", told.Load(), left)
		}
		if again, _ := a.Watch(); again.Token == s.Token {
			t.Error("the term goes on")
		}
	})
}

package election_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/elector-dev/elector/internal/election"
)

// overheard hands out the requests for sessions, with their sinks.
type overheard struct {
	election.Store
	opened chan election.OpenRequest
}

func (o overheard) Open(ctx context.Context, req election.OpenRequest) (election.Session, election.Opened, error) {
	s, opened, err := o.Store.Open(ctx, req)
	if err == nil {
		o.opened <- req
	}
	return s, opened, err
}

func TestRefusalBesideTheCandidacyIsPublishedAndCostsNoTerm(t *testing.T) {
	inBubble(t, func(f *fleet) {
		opened := make(chan election.OpenRequest, 9)
		a := f.join("a", nil, func(c *election.Config) { c.Store = overheard{c.Store, opened} })
		first := a.awaitPhase(election.Leader)
		req := <-opened
		says := func(why string) election.State {
			t.Helper()
			s := a.await("saying "+why, func(s election.State) bool { return s.Refusal == why })
			if !a.Look().Leading || s.Token != first.Token {
				t.Errorf("with %q it is %+v", why, s)
			}
			return s
		}
		forewarn := func(why string) {
			t.Helper()
			if err := a.Forewarn(f.Context(), why); err != nil {
				t.Fatal(err)
			}
			if s, _ := a.Watch(); why != "" && s.Refusal == "" {
				t.Errorf("%q is not published when it has been taken", why)
			}
		}
		for _, why := range []string{"early", ""} {
			forewarn(why)
			if s, _ := a.Watch(); s.Refusal != why {
				t.Errorf("forewarned of %q, and says %q", why, s.Refusal)
			}
		}
		req.Sink(election.Refused{Session: req.Number, Why: "now"})
		says("now")
		forewarn("soon")
		says("now") // before what is only to come
		req.Sink(election.Refused{Session: req.Number - 1, Why: "of another session"})
		synctest.Wait()
		says("now")
		req.Sink(election.Refused{Session: req.Number})
		says("soon")
		forewarn("")
		says("")

		req.Sink(election.Refused{Session: req.Number, Why: "again"})
		says("again")
		a.stop()
		<-a.done
		if err := a.Forewarn(f.Context(), "late"); !errors.Is(err, election.ErrNoSession) {
			t.Errorf("an elector that has ended takes it: %v", err)
		}
	})
}

func TestRefusalBesideTheCandidacyEndsWithItsSession(t *testing.T) {
	inBubble(t, func(f *fleet) {
		opened := make(chan election.OpenRequest, 9)
		a := f.join("a", nil, func(c *election.Config) { c.Store = overheard{c.Store, opened} })
		first := a.awaitPhase(election.Leader)
		req := <-opened
		req.Sink(election.Refused{Session: req.Number, Why: "now"})
		a.await("the refusal", func(s election.State) bool { return s.Refusal == "now" })
		a.cut.Store(true)
		a.await("its end with the session", func(s election.State) bool { return s.Lease == 0 && s.Refusal == "" })
		a.cut.Store(false)
		if again := a.awaitPhase(election.Leader); again.Token <= first.Token || again.Refusal != "" {
			t.Errorf("leads again as %+v", again)
		}
	})
}

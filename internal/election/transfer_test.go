package election_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/elector-dev/elector/internal/election"
	"github.com/elector-dev/elector/internal/electiontest"
)

func (m *member) transfer(to string, token int64) (election.Candidate, error) {
	ctx, cancel := context.WithTimeout(context.Background(), ttl)
	defer cancel()
	_, heir, err := m.Transfer(ctx, election.Transfer{To: to, Token: token})
	return heir, err
}

// queued is electors in their order, of which the first leads.
func (f *fleet) queued(n int, lead election.Lead) []*member {
	var all []*member
	for i := range n {
		m := f.join(fmt.Sprint("c", i), lead)
		if i == 0 {
			m.awaitPhase(election.Leader)
		} else {
			m.awaitPhase(election.Follower)
		}
		all = append(all, m)
	}
	return all
}

func TestLeadIsPassedToTheLastOfFive(t *testing.T) {
	inBubble(t, func(f *fleet) {
		working := make(chan int64, 8)
		all := f.queued(5, func(ctx context.Context, term election.Term) error {
			<-ctx.Done()
			time.Sleep(time.Second) // of the bubble's time: work that is joined
			working <- term.Token
			return nil
		})
		old, last := all[0], all[4]
		token := old.Look().Token
		yes := old.Answer(time.Minute)
		heir, err := old.transfer("c4", 0)
		if err != nil || heir.Identity != "c4" {
			t.Fatalf("%+v, %v", heir, err)
		}
		if now := old.Look(); now.Leading || now.Phase != election.SteppingDown || now.Cause != election.CauseTransferred {
			t.Errorf("after the transfer: %+v", now)
		}
		s := last.awaitPhase(election.Leader)
		if f.clock.Now() < yes.ExpiresAt {
			t.Errorf("leads at %v, promised until %v", f.clock.Now(), yes.ExpiresAt)
		}
		if joined := <-working; joined != token || s.Token != heir.Token {
			t.Errorf("work of %d was joined; %d leads, %d was to", joined, s.Token, heir.Token)
		}
		for _, m := range all[:4] { // all come back, behind it
			m.await("standing again", func(s election.State) bool { return s.Phase == election.Follower && s.Leader.Identity == "c4" })
		}
	})
}

func TestTransfersAreRefused(t *testing.T) {
	inBubble(t, func(f *fleet) {
		all := f.queued(2, nil)
		for _, c := range []struct {
			by    *member
			to    string
			token int64
			want  error
		}{
			{all[1], "c0", 0, election.ErrNotLeading},
			{all[0], "nobody", 0, election.ErrNotStanding},
			{all[0], "c0", 0, election.ErrNotStanding},
			{all[0], "c1", 99, election.ErrTokenMismatch},
		} {
			if _, err := c.by.transfer(c.to, c.token); !errors.Is(err, c.want) {
				t.Errorf("to %s: %v, want %v", c.to, err, c.want)
			}
		}
		f.cluster.Stand("etcdctl", "")
		f.cluster.Stand("near", "1")
		if _, err := all[0].transfer("near", 0); !errors.Is(err, election.ErrForeignBetween) {
			t.Errorf("over one that is no elector: %v", err)
		}
		for range election.MaxPassed {
			f.cluster.Stand("between", "1")
		}
		f.cluster.Stand("far", "1")
		if _, err := all[0].transfer("far", 0); !errors.Is(err, election.ErrTooFarBack) {
			t.Errorf("beyond a transaction: %v", err)
		}
		if !all[0].Look().Leading {
			t.Error("a transfer that was refused ended the term")
		}
	})
}

// Applied and not answered, or not applied at all: the key goes in any case, and somebody leads.
func TestTransferThatIsLostLeavesALeader(t *testing.T) {
	for name, c := range map[string]struct {
		fault electiontest.Fault
		next  string
	}{
		"before": {electiontest.BeforeApply, "c1"}, "after": {electiontest.AfterApply, "c2"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(f *fleet) {
				all := f.queued(3, nil)
				f.cluster.Inject(func(_, op string) electiontest.Fault {
					if op == "pass" {
						return c.fault
					}
					return electiontest.None
				})
				if _, err := all[0].transfer("c2", 0); err != nil {
					t.Fatal(err)
				}
				all[0].await("naming "+c.next, func(s election.State) bool { return s.Leader.Identity == c.next })
			})
		})
	}
}

func TestTransferToOneThatHasGoneGoesToWhoeverIsNext(t *testing.T) {
	inBubble(t, func(f *fleet) {
		all := f.queued(3, func(ctx context.Context, _ election.Term) error {
			<-ctx.Done()
			time.Sleep(2 * time.Second)
			return nil
		})
		if _, err := all[0].transfer("c2", 0); err != nil {
			t.Fatal(err)
		}
		all[2].stop()
		<-all[2].done
		all[1].awaitPhase(election.Leader)
	})
}

func TestTermThatIsVetoedGoesToTheNext(t *testing.T) {
	inBubble(t, func(f *fleet) {
		asked := make(chan int64, 8)
		a := f.join("a", nil, func(c *election.Config) {
			c.Vet = func(_ context.Context, term election.Term) error {
				asked <- term.Token
				return errors.New("the volume is busy")
			}
		})
		s := a.awaitPhase(election.Ineligible)
		began := f.clock.Now()
		if s.Cause != election.CauseVetoed || a.Look().Leading {
			t.Errorf("vetoed: %+v", s)
		}
		b := f.join("b", nil)
		b.awaitPhase(election.Leader)
		a.awaitPhase(election.Follower)
		if cooled := f.clock.Now().Sub(began); cooled < ttl || cooled > ttl+time.Second {
			t.Errorf("campaigns again after %v", cooled)
		}
		if len(asked) != 1 {
			t.Errorf("asked %d times", len(asked))
		}
	})
}

func TestTermBeginsWhenItsVetoIsKnownToBeNone(t *testing.T) {
	inBubble(t, func(f *fleet) {
		answer := make(chan error)
		a := f.join("a", nil, func(c *election.Config) {
			c.Vet = func(ctx context.Context, _ election.Term) error { return <-answer }
		})
		a.awaitPhase(election.Verifying)
		time.Sleep(ttl / 4) // of the bubble's time, in which renewals go on
		if a.Look().Leading {
			t.Error("leads before it is known")
		}
		answer <- nil
		began := f.clock.Now()
		a.awaitPhase(election.Leader)
		if took := f.clock.Now().Sub(began); took > 50*time.Millisecond {
			t.Errorf("leads only %v later", took)
		}
	})
}

// A veto that hangs is ended, and only then does the key go.
func TestVetoThatHangsCostsTheKeyAndNothingElse(t *testing.T) {
	inBubble(t, func(f *fleet) {
		var ended election.Instant
		a := f.join("a", nil, func(c *election.Config) {
			c.Vet = func(ctx context.Context, _ election.Term) error {
				<-ctx.Done()
				time.Sleep(100 * time.Millisecond) // to be killed
				ended = f.clock.Now()
				if why := (*election.CauseError)(nil); !errors.As(context.Cause(ctx), &why) || why.Cause != election.CauseNotPublished {
					t.Errorf("ended since %v", context.Cause(ctx))
				}
				return ctx.Err()
			}
		})
		a.awaitPhase(election.Verifying)
		began := f.clock.Now()
		b := f.join("b", nil)
		b.awaitPhase(election.Leader)
		if took := f.clock.Now().Sub(began); ended == 0 || f.clock.Now() < ended || took > ttl {
			t.Errorf("b leads after %v, the veto ended at %v", took, ended)
		}
	})
}

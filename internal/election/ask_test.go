package election_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/elector-dev/elector/internal/election"
	"github.com/elector-dev/elector/internal/electiontest"
)

func (m *member) resign(wish election.Resignation) error {
	ctx, cancel := context.WithTimeout(context.Background(), ttl)
	defer cancel()
	return m.Resign(ctx, wish)
}

func (m *member) put(text string, token int64) (*election.Value, error) {
	ctx, cancel := context.WithTimeout(context.Background(), ttl)
	defer cancel()
	return m.PutValue(ctx, election.ValuePut{Bytes: []byte(text), ContentType: "text/plain", Token: token})
}

func TestElectorThatResignsGoesToTheEndOfTheQueue(t *testing.T) {
	inBubble(t, func(f *fleet) {
		a := f.join("a", nil)
		first := a.awaitPhase(election.Leader)
		b := f.join("b", nil)
		b.awaitPhase(election.Follower)
		if err := b.resign(election.Resignation{}); !errors.Is(err, election.ErrNotLeading) {
			t.Errorf("a follower resigned: %v", err)
		}
		yes := a.Answer(time.Minute)
		if err := a.resign(election.Resignation{}); err != nil {
			t.Fatal(err)
		}
		if now := a.Look(); now.Leading || now.Phase != election.SteppingDown || now.Cause != election.CauseResigned {
			t.Errorf("after resigning: %+v", now)
		}
		next := b.awaitPhase(election.Leader)
		if next.Token <= first.Token || f.clock.Now() < yes.ExpiresAt {
			t.Errorf("b leads with %d after %d at %v, promised until %v", next.Token, first.Token, f.clock.Now(), yes.ExpiresAt)
		}
		a.awaitPhase(election.Follower)
	})
}

func TestElectorThatIsGivenTheTokenReleasesAtOnce(t *testing.T) {
	for name, hesitant := range map[string]bool{"at first": false, "after a resignation without it": true} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(f *fleet) {
				a := f.join("a", nil)
				token := a.awaitPhase(election.Leader).Token
				a.Answer(time.Minute)
				if err := a.resign(election.Resignation{Token: token + 1}); !errors.Is(err, election.ErrTokenMismatch) {
					t.Errorf("with another token: %v", err)
				}
				if !a.Look().Leading {
					t.Fatal("another token was enough to make it resign")
				}
				if hesitant {
					if err := a.resign(election.Resignation{}); err != nil {
						t.Fatal(err)
					}
					if err := a.resign(election.Resignation{}); !errors.Is(err, election.ErrNotLeading) {
						t.Errorf("resigned twice: %v", err)
					}
				}
				before := f.clock.Now()
				if err := a.resign(election.Resignation{Token: token}); err != nil {
					t.Fatal(err)
				}
				a.await("giving the key up", func(s election.State) bool { return s.Phase != election.SteppingDown && s.Token == 0 })
				if took := f.clock.Now().Sub(before); took > 100*time.Millisecond {
					t.Errorf("the key went %v after its worker had stopped", took)
				}
			})
		})
	}
}

func TestElectorThatCoolsDownWatchesAndHoldsNoKey(t *testing.T) {
	inBubble(t, func(f *fleet) {
		a := f.join("a", nil)
		a.awaitPhase(election.Leader)
		before := f.clock.Now()
		if err := a.resign(election.Resignation{Cooldown: 3 * ttl}); err != nil {
			t.Fatal(err)
		}
		if s := a.awaitPhase(election.Ineligible); s.Cause != election.CauseResigned || s.Registered {
			t.Errorf("cooling down: %+v", s)
		}
		b := f.join("b", nil)
		b.awaitPhase(election.Leader)
		a.await("naming b", func(s election.State) bool { return s.Leader.Identity == "b" })
		if now := a.Look(); now.Phase != election.Ineligible || now.Leader.Identity != "b" || !now.Connected {
			t.Errorf("cooling down: %+v", now)
		}
		if f.cluster.Candidates() != 1 {
			t.Errorf("%d keys stand", f.cluster.Candidates())
		}
		a.awaitPhase(election.Follower)
		if cooled := f.clock.Now().Sub(before); cooled < 3*ttl {
			t.Errorf("campaigns again after %v", cooled)
		}
	})
}

func TestElectorThatCoolsDownStopsWhenAsked(t *testing.T) {
	inBubble(t, func(f *fleet) {
		a := f.join("a", nil)
		a.awaitPhase(election.Leader)
		if err := a.resign(election.Resignation{Cooldown: time.Hour}); err != nil {
			t.Fatal(err)
		}
		a.awaitPhase(election.Ineligible)
		a.stop()
		<-a.done
		if err := a.resign(election.Resignation{}); !errors.Is(err, election.ErrNoSession) {
			t.Errorf("asked after its end: %v", err)
		}
	})
}

func TestResignationWaitsForTheWork(t *testing.T) {
	inBubble(t, func(f *fleet) {
		var ended atomic.Int64
		a := f.join("a", func(ctx context.Context, _ election.Term) error {
			<-ctx.Done()
			var why *election.CauseError
			if !errors.As(context.Cause(ctx), &why) || why.Cause != election.CauseResigned {
				t.Errorf("work is told %v", context.Cause(ctx))
			}
			time.Sleep(time.Second) // of the bubble's time
			ended.Store(int64(f.clock.Now()))
			return nil
		})
		token := a.awaitPhase(election.Leader).Token
		b := f.join("b", nil)
		b.awaitPhase(election.Follower)
		if err := a.resign(election.Resignation{Token: token}); err != nil {
			t.Fatal(err)
		}
		b.awaitPhase(election.Leader)
		if ended.Load() == 0 {
			t.Error("b leads while a's work is still ending")
		}
	})
}

func TestValueIsShownByAllWhileItsTermLasts(t *testing.T) {
	inBubble(t, func(f *fleet) {
		a := f.join("a", nil)
		token := a.awaitPhase(election.Leader).Token
		b := f.join("b", nil)
		b.await("naming a", func(s election.State) bool { return s.Leader.Token == token })
		if _, err := b.put("x", token); !errors.Is(err, election.ErrNotLeading) {
			t.Errorf("a follower published: %v", err)
		}
		if _, err := a.put("x", token+1); !errors.Is(err, election.ErrTokenMismatch) {
			t.Errorf("published under another token: %v", err)
		}
		v, err := a.put("10.0.0.1:80", token)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range []*member{a, b} {
			s := m.await("the value", func(s election.State) bool { return s.Value != nil })
			if got := m.Look().Value; got == nil || string(got.Bytes) != "10.0.0.1:80" || got.Token != token || got.Revision != v.Revision {
				t.Errorf("%s shows %+v, %+v", m.Identity(), got, s)
			}
		}
		a.stop()
		next := b.awaitPhase(election.Leader)
		if got := b.Look(); got.Value != nil {
			t.Errorf("b leads with %d and shows the value of %d", next.Token, got.Value.Token)
		}
		if _, err := b.put("10.0.0.2:80", next.Token); err != nil {
			t.Error(err)
		}
		b.await("its own value", func(s election.State) bool { return s.Value != nil && s.Value.Token == next.Token })
	})
}

func TestValueIsNotShownWithoutContact(t *testing.T) {
	inBubble(t, func(f *fleet) {
		a := f.join("a", nil)
		token := a.awaitPhase(election.Leader).Token
		b := f.join("b", nil)
		b.awaitPhase(election.Follower)
		if _, err := a.put("x", token); err != nil {
			t.Fatal(err)
		}
		b.await("the value", func(s election.State) bool { return s.Value != nil })
		b.cut.Store(true)
		b.await("losing its session", func(s election.State) bool { return s.Phase == election.Connecting })
		if got := b.Look(); got.Connected || got.Value != nil {
			t.Errorf("without contact: %+v", got)
		}
	})
}

func TestAnUnansweredPutSaysNothingOfItsOutcome(t *testing.T) {
	for _, fault := range []electiontest.Fault{electiontest.BeforeApply, electiontest.AfterApply, electiontest.NeverReplies} {
		inBubble(t, func(f *fleet) {
			a := f.join("a", nil)
			token := a.awaitPhase(election.Leader).Token
			f.cluster.Inject(func(_, op string) electiontest.Fault {
				if op == "value" {
					return fault
				}
				return electiontest.None
			})
			_, err := a.put("x", token)
			for _, certain := range []error{election.ErrNotLeading, election.ErrTokenMismatch, election.ErrValueChanged, election.ErrNoSession} {
				if err == nil || errors.Is(err, certain) {
					t.Errorf("fault %d: %v", fault, err)
				}
			}
			if shown := a.Look().Value != nil; shown && fault != electiontest.AfterApply {
				t.Errorf("fault %d: the value is shown", fault)
			}
			if !a.Look().Leading {
				t.Errorf("fault %d: a put that was not answered cost the lead", fault)
			}
		})
	}
}

func TestQueueIsReadOnceASecond(t *testing.T) {
	inBubble(t, func(f *fleet) {
		a := f.join("a", nil)
		a.awaitPhase(election.Leader)
		b := f.join("b", nil)
		b.awaitPhase(election.Follower)
		reads := func(m *member) election.Queue {
			q, err := m.Candidates(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			return q
		}
		if q := reads(b); q.Total != 2 || q.Standings[0].Identity != "a" || q.Standings[1].Identity != "b" {
			t.Errorf("queue %+v", q)
		}
		c := f.join("c", nil)
		c.awaitPhase(election.Follower)
		time.Sleep(time.Second - time.Millisecond) // of the bubble's time
		if q := reads(b); q.Total != 2 {
			t.Errorf("read again within a second: %+v", q)
		}
		time.Sleep(time.Millisecond)
		if q := reads(b); q.Total != 3 {
			t.Errorf("after a second: %+v", q)
		}
		b.stop()
		<-b.done
		time.Sleep(time.Second)
		if _, err := b.Candidates(context.Background()); !errors.Is(err, election.ErrNoSession) {
			t.Errorf("asked after its end: %v", err)
		}
	})
}

// counting is a recorder that keeps how many twins it was told of.
type counting struct {
	stuckRecorder
	twins atomic.Int64
}

func (c *counting) Twins(n int)                                                  { c.twins.Store(int64(n)) }
func (c *counting) Renewal(election.RenewalResult, time.Duration, time.Duration) {}

func TestAnotherProcessUnderTheSameIdentityIsCountedUntilItIsGone(t *testing.T) {
	inBubble(t, func(f *fleet) {
		a := f.join("a", nil)
		a.awaitPhase(election.Leader)
		seen := &counting{}
		twin := f.join("a", nil, func(c *election.Config) {
			c.Incarnation, c.Store, c.Recorder = "a-2", f.cluster.Store("a", "a-2"), seen
		})
		twin.awaitPhase(election.Follower)
		time.Sleep(ttl) // of the bubble's time
		if n := seen.twins.Load(); n != 1 {
			t.Errorf("%d twins counted", n)
		}
		a.stop()
		<-a.done
		time.Sleep(2 * time.Minute)
		if n := seen.twins.Load(); n != 0 {
			t.Errorf("%d twins counted after the other had gone", n)
		}
	})
}

// counted has the store tell of each look at the queue.
type counted struct {
	election.Store
	look func()
}

func (c counted) Open(ctx context.Context, req election.OpenRequest) (election.Session, election.Opened, error) {
	s, o, err := c.Store.Open(ctx, req)
	return countedSession{s, c.look}, o, err
}

type countedSession struct {
	election.Session
	look func()
}

func (c countedSession) Candidates(ctx context.Context) (election.Queue, error) {
	c.look()
	return c.Session.Candidates(ctx)
}

func TestElectorsThatComeToStandTogetherDoNotAllReadTheQueueAtOnce(t *testing.T) {
	const many, window = 100, 100 * time.Millisecond
	inBubble(t, func(f *fleet) {
		var mu sync.Mutex
		looks := map[time.Duration]int{}
		began := f.clock.Now()
		look := func() {
			mu.Lock()
			defer mu.Unlock()
			looks[f.clock.Now().Sub(began)/window]++
		}
		for i := range many {
			id := fmt.Sprintf("c%d", i)
			f.join(id, nil, func(c *election.Config) { c.Store = counted{f.cluster.Store(id, id+"-1"), look} })
		}
		time.Sleep(ttl) // of the bubble's time
		mu.Lock()
		defer mu.Unlock()
		total, most := 0, 0
		for _, n := range looks {
			total, most = total+n, max(most, n)
		}
		if total != many || most > many/4 {
			t.Errorf("%d candidates read the queue %d times, %d times of that within %v", many, total, most, window)
		}
	})
}

func TestQueueThatCouldNotBeReadIsReadAgain(t *testing.T) {
	inBubble(t, func(f *fleet) {
		a := f.join("a", nil)
		a.awaitPhase(election.Leader)
		var reads atomic.Int64
		f.cluster.Inject(func(_, op string) electiontest.Fault {
			if op == "read" && reads.Add(1) == 1 {
				return electiontest.BeforeApply
			}
			return electiontest.None
		})
		seen := &counting{}
		twin := f.join("a", nil, func(c *election.Config) {
			c.Incarnation, c.Store, c.Recorder = "a-2", f.cluster.Store("a", "a-2"), seen
		})
		twin.awaitPhase(election.Follower)
		time.Sleep(2 * time.Minute) // of the bubble's time
		if reads.Load() < 2 || seen.twins.Load() != 1 {
			t.Errorf("read %d times, %d twins counted", reads.Load(), seen.twins.Load())
		}
	})
}

// Who asks while etcd is silent waits for one reading, and not for one after another.
func TestManyWhoAskForTheQueueAreToldOfOneFailure(t *testing.T) {
	inBubble(t, func(f *fleet) {
		a := f.join("a", nil)
		a.awaitPhase(election.Leader)
		f.cluster.Inject(func(_, op string) electiontest.Fault {
			if op == "read" {
				return electiontest.NeverReplies
			}
			return electiontest.None
		})
		began, told := time.Now(), make(chan error)
		for range 20 {
			go func() {
				_, err := a.Candidates(context.Background())
				told <- err
			}()
		}
		for range 20 {
			if err := <-told; err == nil {
				t.Error("a queue that nobody has read")
			}
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("the last was told after %v", took)
		}
	})
}

func TestHistoryTellsEveryTermThatWasSeen(t *testing.T) {
	inBubble(t, func(f *fleet) {
		a := f.join("a", nil)
		first := a.awaitPhase(election.Leader)
		b := f.join("b", nil)
		b.await("naming a", func(s election.State) bool { return s.Leader.Token == first.Token })
		if err := a.resign(election.Resignation{Token: first.Token}); err != nil {
			t.Fatal(err)
		}
		second := b.awaitPhase(election.Leader)
		a.await("naming b", func(s election.State) bool { return s.Leader.Token == second.Token })
		for m, cause := range map[*member]election.Cause{a: election.CauseResigned, b: election.CauseNone} {
			h := m.History()
			if len(h) != 2 || h[0].Token != first.Token || h[1].Token != second.Token {
				t.Fatalf("%s remembers %+v", m.Identity(), h)
			}
			if h[0].Cause != cause || h[0].To.IsZero() || h[0].To.Before(h[0].From) || !h[1].To.IsZero() || h[1].Identity != "b" {
				t.Errorf("%s remembers %+v", m.Identity(), h)
			}
		}
	})
}

func TestHistoryKeepsTheLatestThousandTerms(t *testing.T) {
	inBubble(t, func(f *fleet) {
		a := f.join("a", nil)
		for range 1030 {
			s := a.awaitPhase(election.Leader)
			if err := a.resign(election.Resignation{Token: s.Token}); err != nil {
				t.Fatal(err)
			}
			a.await("the next term", func(n election.State) bool { return n.Token > s.Token })
		}
		h := a.History()
		last := a.Look().Token
		sorted := slices.IsSortedFunc(h, func(x, y election.PastTerm) int { return int(x.Token - y.Token) })
		if len(h) != 1000 || h[999].Token != last || !sorted {
			t.Errorf("%d terms, the last of %d, sorted %v; leads with %d", len(h), h[len(h)-1].Token, sorted, last)
		}
	})
}

// Nothing runs that could take what is asked, or nothing runs any more.
func TestWhatIsAskedWaitsForTheLoopAndNoLongerThanItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := complete()
		e, err := election.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		asks := map[string]func(context.Context) error{
			"resign":     func(ctx context.Context) error { return e.Resign(ctx, election.Resignation{}) },
			"bar":        func(ctx context.Context) error { return e.Bar(ctx, election.Bar{}) },
			"forewarn":   func(ctx context.Context) error { return e.Forewarn(ctx, "") },
			"unfence":    e.Unfence,
			"candidates": func(ctx context.Context) error { _, err := e.Candidates(ctx); return err },
			"put": func(ctx context.Context) error {
				_, err := e.PutValue(ctx, election.ValuePut{Token: 1})
				return err
			},
		}
		tired := errors.New("tired")
		for name, ask := range asks {
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(time.Minute, func() { cancel(tired) })
			if err := ask(ctx); !errors.Is(err, tired) {
				t.Errorf("%s, before Run: %v", name, err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := e.Run(ctx, nil); err != nil {
			t.Fatal(err)
		}
		for name, ask := range asks {
			if err := ask(t.Context()); !errors.Is(err, election.ErrNoSession) {
				t.Errorf("%s, after Run: %v", name, err)
			}
		}
	})
}

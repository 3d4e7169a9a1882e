package work

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/elector-dev/elector/internal/election"
	"github.com/elector-dev/elector/internal/electiontest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	ttl       = 15 * time.Second
	answerMax = 2 * time.Second
	drain     = 10 * time.Second
)

type clock struct{ start time.Time }

func (c clock) Now() election.Instant { return election.Instant(time.Hour + time.Since(c.start)) }

// fleet is electors on a fake etcd, in a bubble.
type fleet struct {
	*testing.T
	clock   clock
	cluster *electiontest.Cluster
}

func inBubble(t *testing.T, f func(*fleet)) {
	synctest.Test(t, func(t *testing.T) {
		c := clock{time.Now()}
		f(&fleet{t, c, electiontest.NewCluster(c)})
	})
}

// member is an elector that needs holds.
type member struct {
	*election.Elector
	t     *testing.T
	holds *Holds
	stop  context.CancelFunc
	ended chan struct{}
}

func (f *fleet) join(identity string, required bool) *member {
	f.Helper()
	return f.start(identity, required, func(m *member) election.Lead { return All(nil, m.holds.Lead) })
}

// start has the elector do the work that is made for it.
func (f *fleet) start(identity string, required bool, work func(*member) election.Lead) *member {
	f.Helper()
	cfg := election.Config{
		Identity: identity, Incarnation: identity + "-1", Election: "default/test", TTL: ttl, AnswerMax: answerMax,
		Clock: f.clock, Store: f.cluster.Store(identity, identity+"-1"), Logger: slog.New(slog.DiscardHandler),
	}
	if required {
		cfg.Barred = NoHold
	}
	e, err := election.New(cfg)
	if err != nil {
		f.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	m := &member{
		Elector: e, t: f.T, stop: stop, ended: make(chan struct{}),
		holds: NewHolds(HoldsConfig{Elector: e, Clock: f.clock, Required: required, Drain: drain}),
	}
	go func() {
		defer close(m.ended)
		if err := e.Run(ctx, work(m)); err != nil {
			f.Error(err)
		}
	}()
	f.Cleanup(func() { stop(); <-m.ended })
	return m
}

func (m *member) hold() *Hold {
	m.t.Helper()
	h, err := m.holds.Open(context.Background())
	if err != nil {
		m.t.Fatal(err)
	}
	return h
}

// await blocks until what the elector answers is as wanted, and returns how long that took.
func (m *member) await(what string, want func(election.Answer) bool) time.Duration {
	m.t.Helper()
	began, limit := time.Now(), time.After(10*ttl)
	for {
		_, changed := m.Watch()
		if want(m.Look()) {
			return time.Since(began)
		}
		select {
		case <-changed:
		case <-limit:
			m.t.Fatalf("%s: never %s: %+v", m.Identity(), what, m.Look())
		}
	}
}

func leads(a election.Answer) bool   { return a.Leading }
func follows(a election.Answer) bool { return a.Registered && !a.Leading }

// pair is an elector that leads with a worker that has been told so, and one that stands ready.
func (f *fleet) pair() (a, b *member, working *Hold) {
	f.Helper()
	a, b = f.join("a", true), f.join("b", true)
	working = a.hold()
	a.await("leading", leads)
	b.hold()
	b.await("following", follows)
	if yes := working.Answer(time.Minute); !yes.Leading || yes.ExpiresIn != answerMax {
		f.Fatalf("its worker is told %+v", yes)
	}
	return a, b, working
}

func TestDeadWorkerCostsTheLeadAtOnce(t *testing.T) {
	inBubble(t, func(f *fleet) {
		a, b, working := f.pair()
		working.Close()
		if now := a.Look(); now.Leading || now.Cause != election.CauseUnhealthy {
			t.Errorf("its worker is dead, and it says %+v", now)
		}
		if took := b.await("leading", leads); took > 50*time.Millisecond {
			t.Errorf("the next leads after %v", took)
		}
		synctest.Wait()
		if now := a.Look(); now.Phase != election.Ineligible || f.cluster.Candidates() != 1 {
			t.Errorf("without a worker: %+v, %d keys", now, f.cluster.Candidates())
		}
		a.hold()
		a.await("following", follows)
	})
}

func TestPromisesToOthersOutliveADeadWorker(t *testing.T) {
	inBubble(t, func(f *fleet) {
		a, b, working := f.pair()
		yes := a.Answer(time.Minute) // of a poller
		working.Close()
		if b.await("leading", leads); f.clock.Now() < yes.ExpiresAt {
			t.Errorf("the next leads at %v, a poller has been promised until %v", f.clock.Now(), yes.ExpiresAt)
		}
	})
}

func TestWorkerThatIsNotHeardOfIsOwedWhatItWasPromised(t *testing.T) {
	inBubble(t, func(f *fleet) {
		_, b, working := f.pair()
		until := working.Answer(time.Minute).ExpiresAt
		working.Cut()
		if took := b.await("leading", leads); f.clock.Now() < until || took > answerMax+50*time.Millisecond {
			t.Errorf("the next leads after %v, at %v, promised until %v", took, f.clock.Now(), until)
		}
	})
}

func TestKeyIsReleasedWhenTheWorkerHasStopped(t *testing.T) {
	const stopping = 3 * time.Second
	inBubble(t, func(f *fleet) {
		a, b, working := f.pair()
		a.stop()
		synctest.Wait()
		if no := working.Answer(time.Minute); no.Leading {
			t.Errorf("stepping down, and its worker is told %+v", no)
		}
		time.Sleep(stopping)
		synctest.Wait()
		if b.Look().Leading {
			t.Error("the next leads while the worker is stopping")
		}
		working.Close()
		if took := b.await("leading", leads); took > 50*time.Millisecond {
			t.Errorf("the next leads %v after the worker has stopped", took)
		}
	})
}

func TestWorkerThatDoesNotLetGoIsCut(t *testing.T) {
	inBubble(t, func(f *fleet) {
		a, b, working := f.pair()
		a.stop()
		asked := time.Now()
		<-working.Unwanted()
		if after := time.Since(asked); after != drain {
			t.Errorf("cut after %v", after)
		}
		b.await("leading", leads)
		working.Cut()
	})
}

func TestPromiseOfACutWorkerIsKept(t *testing.T) {
	inBubble(t, func(f *fleet) {
		a := f.join("a", false)
		a.await("leading", leads)
		working := a.hold()
		until := working.Answer(time.Minute).ExpiresAt
		a.holds.cfg.Drain = 0
		a.stop()
		<-working.Unwanted()
		working.Cut()
		<-a.ended
		if f.clock.Now() < until {
			t.Errorf("released at %v, promised until %v", f.clock.Now(), until)
		}
	})
}

func TestWorkerThatIsLostWhileItIsToStopIsOwedWhatItWasPromised(t *testing.T) {
	inBubble(t, func(f *fleet) {
		a, b, working := f.pair()
		until := working.Answer(time.Minute).ExpiresAt
		a.stop()
		synctest.Wait()
		working.Cut() // not heard of for too long, while the term is ending
		if b.await("leading", leads); f.clock.Now() < until {
			t.Errorf("the next leads at %v, its worker has been promised until %v", f.clock.Now(), until)
		}
	})
}

func TestHoldThatOutlastsTwoTermsIsCutOnce(t *testing.T) {
	inBubble(t, func(f *fleet) {
		a := f.join("a", false)
		working := a.hold()
		for range 2 {
			a.await("leading", leads)
			working.Answer(time.Minute)
			token := a.Look().Token
			if err := a.Resign(context.Background(), election.Resignation{Token: token}); err != nil {
				t.Fatal(err)
			}
			a.await("a later term", func(now election.Answer) bool { return now.Token > token })
		}
		<-working.Unwanted()
		working.Cut()
	})
}

// A command that has ended by itself ends its term only when all of the work has returned: until then the answer is yes.
func TestHoldThatIsToldAYesAfterTheWorkHasReturnedIsOwedIt(t *testing.T) {
	inBubble(t, func(f *fleet) {
		ending, ended, wound := make(chan struct{}), make(chan struct{}), make(chan struct{})
		a := f.start("a", false, func(m *member) election.Lead {
			lead := All(m.holds.Lead, func(ctx context.Context, _ election.Term) error {
				select {
				case <-ending:
				case <-ctx.Done():
				}
				return nil
			})
			var first sync.Once
			return func(ctx context.Context, term election.Term) error {
				err := lead(ctx, term)
				first.Do(func() { close(ended); <-wound }) // as before-release does
				return err
			}
		})
		a.await("leading", leads)
		close(ending)
		<-ended
		working := a.hold()
		yes := working.Answer(time.Minute)
		if !yes.Leading || yes.ExpiresIn != answerMax {
			t.Fatalf("its worker is told %+v", yes)
		}
		b := f.join("b", false)
		b.await("following", follows)
		close(wound)
		if b.await("leading", leads); f.clock.Now() < yes.ExpiresAt {
			t.Errorf("the next leads at %v, a worker has been promised until %v", f.clock.Now(), yes.ExpiresAt)
		}
		working.Close()
	})
}

func TestOneHoldOfTwoIsEnough(t *testing.T) {
	inBubble(t, func(f *fleet) {
		a := f.join("a", true)
		if took := a.await("a session", func(a election.Answer) bool { return a.Lease != 0 }); a.Look().Phase != election.Ineligible {
			t.Errorf("without a hold after %v: %+v", took, a.Look())
		}
		first, second := a.hold(), a.hold()
		a.await("leading", leads)
		first.Close()
		first.Close()
		first.Cut()
		synctest.Wait()
		if n := a.holds.Count(); n != 1 || !a.Look().Leading {
			t.Errorf("%d holds are open: %+v", n, a.Look())
		}
		second.Close()
		if a.Look().Leading {
			t.Error("leads without a hold")
		}
	})
}

func TestHoldsOfFollowersKeepNothingWaiting(t *testing.T) {
	inBubble(t, func(f *fleet) {
		a := f.join("a", false)
		a.await("leading", leads)
		h := a.hold() // and is never told a yes
		a.stop()
		began := time.Now()
		<-a.ended
		if took := time.Since(began); took > 100*time.Millisecond {
			t.Errorf("waited %v for somebody who was told nothing", took)
		}
		h.Close()
		if _, err := a.holds.Open(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestAllPartsOfTheWorkAreJoined(t *testing.T) {
	failed := errors.New("failed")
	var ends []string
	lead := All(
		func(ctx context.Context, _ election.Term) error {
			<-ctx.Done()
			ends = append(ends, "told")
			return nil
		},
		nil,
		func(context.Context, election.Term) error { return failed },
	)
	if err := lead(t.Context(), election.Term{}); !errors.Is(err, failed) || len(ends) != 1 {
		t.Errorf("%v, %v", err, ends)
	}
	if All(nil, nil) != nil {
		t.Error("no parts are some work")
	}
}

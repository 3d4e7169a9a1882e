package election_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/elector-dev/elector/internal/election"
	"github.com/elector-dev/elector/internal/electiontest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const ttl = 10 * time.Second

// bubbleClock counts from an hour before the bubble's start, so that no instant is zero.
type bubbleClock struct{ start time.Time }

func (c bubbleClock) Now() election.Instant {
	return election.Instant(time.Hour + time.Since(c.start))
}

// fleet is a cluster and its electors in a synctest bubble, with the promise checked all along.
type fleet struct {
	*testing.T
	clock   bubbleClock
	cluster *electiontest.Cluster

	mu       sync.Mutex // guards electors
	electors []*member
}

func (f *fleet) members() []*member {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.electors)
}

type member struct {
	*election.Elector
	t    *testing.T
	stop context.CancelFunc
	done chan struct{}
	cut  atomic.Bool
}

// inBubble runs a test with an empty fleet, and stops what is left of it.
func inBubble(t *testing.T, f func(*fleet)) {
	synctest.Test(t, func(t *testing.T) {
		clock := bubbleClock{time.Now()}
		fl := &fleet{T: t, clock: clock, cluster: electiontest.NewCluster(clock)}
		fl.cluster.Inject(fl.fate)
		ctx, cancel := context.WithCancel(t.Context())
		checked := make(chan struct{})
		go func() { defer close(checked); fl.check(ctx) }()
		f(fl)
		for _, m := range fl.members() {
			m.stop()
		}
		for _, m := range fl.members() {
			<-m.done
		}
		cancel()
		<-checked
	})
}

// fate cuts off the members that are to be cut off.
func (f *fleet) fate(identity, _ string) electiontest.Fault {
	for _, m := range f.members() {
		if m.Identity() == identity && m.cut.Load() {
			return electiontest.NeverReplies
		}
	}
	return electiontest.None
}

// check is the promise, at every fifth millisecond of bubble time: whoever says yes owns the oldest key.
func (f *fleet) check(ctx context.Context) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, m := range f.members() {
			before, _, _ := f.cluster.Oldest() // others may act in the same instant, between two looks
			a := m.Look()
			if after, _, _ := f.cluster.Oldest(); a.Leading && before.Token != a.Token && after.Token != a.Token {
				f.Errorf("%s says yes with token %d at %v; the oldest key has %d", m.Identity(), a.Token, a.At, after.Token)
				return
			}
		}
	}
}

func (f *fleet) join(identity string, lead election.Lead, change ...func(*election.Config)) *member {
	f.Helper()
	cfg := election.Config{
		Identity: identity, Incarnation: identity + "-1", Election: "default/test",
		TTL: ttl, AnswerMax: 2 * time.Second,
		Clock: f.clock, Store: f.cluster.Store(identity, identity+"-1"), Logger: slog.New(slog.DiscardHandler),
	}
	for _, c := range change {
		c(&cfg)
	}
	e, err := election.New(cfg)
	if err != nil {
		f.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	m := &member{Elector: e, t: f.T, stop: stop, done: make(chan struct{})}
	f.mu.Lock()
	f.electors = append(f.electors, m)
	f.mu.Unlock()
	go func() {
		defer close(m.done)
		if err := e.Run(ctx, lead); err != nil {
			f.Errorf("Run: %v", err)
		}
	}()
	return m
}

// await blocks until a state satisfies want, within bubble time.
func (m *member) await(what string, want func(election.State) bool) election.State {
	m.t.Helper()
	limit := time.After(10 * ttl)
	for {
		s, changed := m.Watch()
		if want(s) {
			return s
		}
		select {
		case <-changed:
		case <-limit:
			m.t.Fatalf("%s: %s did not happen; state %+v", m.Identity(), what, s)
		}
	}
}

func (m *member) awaitPhase(p election.Phase) election.State {
	m.t.Helper()
	return m.await(string(p), func(s election.State) bool { return s.Phase == p })
}

func TestElectorLeadsAndHandsOverWithAGreaterToken(t *testing.T) {
	inBubble(t, func(f *fleet) {
		a := f.join("a", nil)
		first := a.awaitPhase(election.Leader)
		b := f.join("b", nil)
		b.await("naming a", func(s election.State) bool { return s.Leader.Identity == "a" && s.Registered })
		a.stop()
		<-a.done
		second := b.awaitPhase(election.Leader)
		if second.Token <= first.Token {
			t.Errorf("token %d follows %d", second.Token, first.Token)
		}
		if last, _ := a.Watch(); !last.Ended || last.Cause != election.CauseShutdown {
			t.Errorf("last state of a: %+v", last)
		}
		if f.cluster.Candidates() != 1 {
			t.Errorf("%d keys are left", f.cluster.Candidates())
		}
	})
}

func TestElectorReleasesOnlyAfterItsPromisesRanOut(t *testing.T) {
	for name, now := range map[string]bool{"promised": false, "now": true} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(f *fleet) {
				a := f.join("a", nil, func(c *election.Config) { c.ReleaseNow = now })
				a.awaitPhase(election.Leader)
				yes := a.Answer(time.Minute)
				if !yes.Leading || yes.ExpiresIn != 2*time.Second {
					t.Fatalf("answer %+v", yes)
				}
				a.stop()
				a.await("no lead", func(s election.State) bool { return s.Phase != election.Leader }) // it may step down unseen
				if a.Look().Leading {
					t.Error("still says yes while stepping down")
				}
				<-a.done
				if kept := f.clock.Now() >= yes.ExpiresAt; kept == now {
					t.Errorf("released at %v, promise until %v", f.clock.Now(), yes.ExpiresAt)
				}
			})
		})
	}
}

func TestElectorSaysNoBeforeItsLeaseCanExpire(t *testing.T) {
	inBubble(t, func(f *fleet) {
		a := f.join("a", nil)
		a.awaitPhase(election.Leader)
		b := f.join("b", nil)
		b.awaitPhase(election.Follower)
		a.cut.Store(true)
		cutAt := f.clock.Now()
		down := a.await("losing", func(s election.State) bool { return s.Phase != election.Leader })
		if down.Cause != election.CauseLeaseExpired {
			t.Errorf("cause %s", down.Cause)
		}
		b.awaitPhase(election.Leader)
		if took := f.clock.Now().Sub(cutAt); took > ttl+time.Second {
			t.Errorf("b leads %v after a was cut off", took)
		}
		a.cut.Store(false)
		a.awaitPhase(election.Follower)
	})
}

func TestElectorReentersWhenItsKeyIsDeleted(t *testing.T) {
	inBubble(t, func(f *fleet) {
		a := f.join("a", nil)
		first := a.awaitPhase(election.Leader)
		time.Sleep(time.Millisecond) // to between two looks of f.check: within the instant of the deletion it may still say yes
		f.cluster.DeleteKey(first.Token)
		down := a.await("losing", func(s election.State) bool { return s.Phase != election.Leader })
		if down.Cause != election.CauseKeyDeleted {
			t.Errorf("cause %s", down.Cause)
		}
		again := a.awaitPhase(election.Leader)
		if again.Token <= first.Token || again.Lease == first.Lease {
			t.Errorf("second term %+v after %+v", again, first)
		}
	})
}

func TestCandidateReentersWhenItsKeyIsDeletedWhileItWaits(t *testing.T) {
	inBubble(t, func(f *fleet) {
		a := f.join("a", nil)
		a.awaitPhase(election.Leader)
		b := f.join("b", nil)
		s := b.awaitPhase(election.Follower)
		f.cluster.Revoke(s.Lease)
		b.await("a new key", func(n election.State) bool { return n.Registered && n.Lease != s.Lease })
		a.stop()
		b.awaitPhase(election.Leader)
	})
}

func TestElectorGivesUpAKeyThatSomebodyOverwrote(t *testing.T) {
	inBubble(t, func(f *fleet) {
		a := f.join("a", nil)
		first := a.awaitPhase(election.Leader)
		f.cluster.OverwriteKey(first.Token)
		down := a.awaitPhase(election.SteppingDown)
		if down.Cause != election.CauseKeyOverwritten {
			t.Errorf("cause %s", down.Cause)
		}
		if again := a.awaitPhase(election.Leader); again.Token <= first.Token {
			t.Errorf("token %d after %d", again.Token, first.Token)
		}
	})
}

// rebound waits until the oldest key is bound to another lease than before, and that lease is confirmed.
func (f *fleet) rebound(m *member, before election.LeaseID) {
	f.Helper()
	m.await("rebind", func(s election.State) bool { return s.Lease != before || s.Phase != election.Leader })
	time.Sleep(2 * ttl) // bubble time: renewals have to carry the term past its first deadline
	if a := m.Look(); !a.Leading {
		f.Errorf("%s does not lead after the rebind: %+v", m.Identity(), a.State)
	}
	if _, bound, _ := f.cluster.Oldest(); bound != m.Look().Lease {
		f.Errorf("key bound to lease %v, kept alive %v", bound, m.Look().Lease)
	}
}

// A follower's key is not bound anew when etcd's leader changes, and its lease goes on being renewed.
func TestFollowersRenewalsAreToldInEveryRaftTerm(t *testing.T) {
	inBubble(t, func(f *fleet) {
		f.join("a", nil).awaitPhase(election.Leader)
		b := f.join("b", nil)
		b.awaitPhase(election.Follower)
		for range 3 {
			f.cluster.BumpRaftTerm()
			<-time.After(ttl)
			if now := b.Look(); now.SinceRenewal > ttl/2 || !now.Connected {
				t.Errorf("%v since the last renewal: %+v", now.SinceRenewal, now)
			}
		}
	})
}

func TestElectorRebindsWhenTheRaftTermChanges(t *testing.T) {
	faults := map[string]electiontest.Fault{
		"plain": electiontest.None, "request lost": electiontest.BeforeApply,
		"reply lost": electiontest.AfterApply, "applied late": electiontest.ApplyLater,
	}
	for _, op := range []string{"grant", "rebind", "confirm"} {
		for name, fault := range faults {
			t.Run(op+" "+name, func(t *testing.T) {
				inBubble(t, func(f *fleet) {
					a := f.join("a", nil)
					first := a.awaitPhase(election.Leader)
					f.join("b", nil).awaitPhase(election.Follower)
					var failed atomic.Int32
					f.cluster.Inject(func(who, o string) electiontest.Fault {
						if who == "a" && o == op && failed.Add(1) <= 2 {
							return fault
						}
						return electiontest.None
					})
					before := f.cluster.Revision()
					f.cluster.BumpRaftTerm()
					time.AfterFunc(ttl/2, f.cluster.Flush)
					f.rebound(a, first.Lease)
					if s, _ := a.Watch(); s.Token != first.Token {
						t.Errorf("token %d became %d", first.Token, s.Token)
					}
					if fault == electiontest.None && f.cluster.Revision() != before+1 {
						t.Errorf("rebinding cost %d revisions", f.cluster.Revision()-before)
					}
				})
			})
		}
	}
}

func TestElectorSurvivesLostRepliesOfEveryCall(t *testing.T) {
	for _, op := range []string{"open", "grant", "put", "confirm"} {
		for name, fault := range map[string]electiontest.Fault{"request": electiontest.BeforeApply, "reply": electiontest.AfterApply} {
			t.Run(op+" "+name, func(t *testing.T) {
				inBubble(t, func(f *fleet) {
					var n atomic.Int32
					f.cluster.Inject(func(_, o string) electiontest.Fault {
						if o == op && n.Add(1) <= 3 {
							return fault
						}
						return electiontest.None
					})
					a := f.join("a", nil)
					a.awaitPhase(election.Leader)
					if f.cluster.Candidates() != 1 {
						t.Errorf("%d keys for one candidate", f.cluster.Candidates())
					}
				})
			})
		}
	}
}

func TestElectorFencesItselfWhenEtcdGoesBack(t *testing.T) {
	inBubble(t, func(f *fleet) {
		a := f.join("a", nil)
		a.awaitPhase(election.Leader)
		f.cluster.Restore(1)
		a.awaitPhase(election.Fenced)
		time.Sleep(3 * ttl)
		if s, _ := a.Watch(); s.Phase != election.Fenced || s.Cause != election.CauseTokenRegression || f.cluster.Candidates() != 0 {
			t.Errorf("state %+v, %d keys", s, f.cluster.Candidates())
		}
	})
}

func TestWorkIsJoinedBeforeTheKeyIsReleased(t *testing.T) {
	inBubble(t, func(f *fleet) {
		var ended election.Instant
		why := make(chan error, 1)
		a := f.join("a", func(ctx context.Context, term election.Term) error {
			<-ctx.Done()
			why <- context.Cause(ctx)
			time.Sleep(3 * time.Second)
			ended = f.clock.Now()
			return nil
		})
		a.awaitPhase(election.Leader)
		b := f.join("b", nil)
		b.awaitPhase(election.Follower)
		a.stop()
		b.awaitPhase(election.Leader)
		if ended == 0 || f.clock.Now().Sub(ended) > 50*time.Millisecond {
			t.Errorf("b leads at %v, the work ended at %v", f.clock.Now(), ended)
		}
		var cause *election.CauseError
		if err := <-why; !errors.As(err, &cause) || cause.Cause != election.CauseShutdown {
			t.Errorf("work was told %v", err)
		}
	})
}

func TestElectorResignsWhenItsWorkEnds(t *testing.T) {
	inBubble(t, func(f *fleet) {
		finish := make(chan struct{})
		a := f.join("a", func(ctx context.Context, _ election.Term) error {
			select {
			case <-finish:
			case <-ctx.Done():
			}
			return nil
		})
		a.awaitPhase(election.Leader)
		b := f.join("b", nil)
		b.awaitPhase(election.Follower)
		close(finish)
		b.awaitPhase(election.Leader)
		a.await("work-ended", func(s election.State) bool { return s.Phase == election.Follower })
	})
}

func TestCandidateThatCannotBeVerifiedGoesToTheBackOfTheQueue(t *testing.T) {
	inBubble(t, func(f *fleet) {
		f.cluster.Inject(func(who, op string) electiontest.Fault {
			if who == "a" && op == "confirm" {
				return electiontest.BeforeApply
			}
			return electiontest.None
		})
		a := f.join("a", nil)
		a.awaitPhase(election.Verifying)
		b := f.join("b", nil)
		b.awaitPhase(election.Leader)
		a.awaitPhase(election.Follower)
	})
}

func TestShutdownIsBoundedWithEtcdOutOfReach(t *testing.T) {
	inBubble(t, func(f *fleet) {
		a := f.join("a", nil)
		a.awaitPhase(election.Leader)
		yes := a.Answer(time.Second)
		a.cut.Store(true)
		a.stop()
		<-a.done
		if late := f.clock.Now().Sub(yes.ExpiresAt); late < 0 || late > 5*time.Second {
			t.Errorf("ended %v after the last promise", late)
		}
	})
}

// stuckRecorder stops the loop for good once told to.
type stuckRecorder struct {
	election.Recorder
	stuck atomic.Bool
	free  chan struct{}
}

func (r *stuckRecorder) LoopLag(time.Duration) {
	if r.stuck.Load() {
		<-r.free
	}
}
func (r *stuckRecorder) Renewal(election.RenewalResult, time.Duration, time.Duration) {}
func (r *stuckRecorder) Handover(time.Duration)                                       {}
func (r *stuckRecorder) Session(election.SessionResult)                               {}
func (r *stuckRecorder) TermStarted()                                                 {}
func (r *stuckRecorder) TermEnded(election.Cause)                                     {}
func (r *stuckRecorder) LeaderChanged()                                               {}
func (r *stuckRecorder) Twins(int)                                                    {}

func TestADeadlockedElectorLosesTheKeyAndSaysNo(t *testing.T) {
	inBubble(t, func(f *fleet) {
		r := &stuckRecorder{free: make(chan struct{})}
		a := f.join("a", nil, func(c *election.Config) { c.Recorder = r })
		a.awaitPhase(election.Leader)
		b := f.join("b", nil)
		b.awaitPhase(election.Follower)
		r.stuck.Store(true)
		b.awaitPhase(election.Leader)
		if a.Look().Leading {
			t.Error("both lead")
		}
		time.Sleep(ttl)
		if !a.Stalled() {
			t.Error("the stall is not reported")
		}
		close(r.free)
		a.awaitPhase(election.Follower)
	})
}

func TestFollowerNamesItsOwnIdentityOnlyWhileItLeads(t *testing.T) {
	inBubble(t, func(f *fleet) {
		a := f.join("a", nil)
		a.awaitPhase(election.Leader)
		twin := f.join("a", nil, func(c *election.Config) {
			c.Incarnation, c.Store = "a-2", f.cluster.Store("a", "a-2")
		})
		s := twin.await("seeing the other", func(s election.State) bool { return s.Leader.Incarnation == "a-1" })
		if got := twin.Look(); got.Leader != (election.Candidate{}) || got.Leading {
			t.Errorf("answers %+v, published %+v", got.Leader, s.Leader)
		}
	})
}

// slowOpener returns from Open some time after the session's watches have begun to speak.
type slowOpener struct{ election.Store }

func (s slowOpener) Open(ctx context.Context, req election.OpenRequest) (election.Session, election.Opened, error) {
	session, opened, err := s.Store.Open(ctx, req)
	time.Sleep(time.Second)
	return session, opened, err
}

func TestWhatASessionSaysWhileItIsBeingOpenedIsNotLost(t *testing.T) {
	inBubble(t, func(f *fleet) {
		a := f.join("a", nil)
		a.awaitPhase(election.Leader)
		b := f.join("b", nil, func(c *election.Config) { c.Store = slowOpener{c.Store} })
		b.await("naming a", func(s election.State) bool { return s.Leader.Identity == "a" })
	})
}

func TestElectorKeepsTryingWhileEtcdIsOutOfReach(t *testing.T) {
	inBubble(t, func(f *fleet) {
		var n atomic.Int32
		f.cluster.Inject(func(_, op string) electiontest.Fault {
			if op == "open" && n.Add(1) < 40 {
				return electiontest.NeverReplies
			}
			return electiontest.None
		})
		a := f.join("a", nil)
		s := a.await("a cause", func(s election.State) bool { return s.Cause == election.CauseSessionLost })
		if s.Phase != election.Connecting || a.Stalled() {
			t.Errorf("state %+v, stalled %v", s, a.Stalled())
		}
		for n.Load() < 40 {
			time.Sleep(ttl)
		}
		a.awaitPhase(election.Leader)
	})
}

// sleepyRecorder stops the loop once, between the decision that a term begins and its work.
type sleepyRecorder struct {
	stuckRecorder
	once sync.Once
}

func (r *sleepyRecorder) TermStarted()            { r.once.Do(func() { time.Sleep(2 * ttl) }) }
func (r *sleepyRecorder) LoopLag(_ time.Duration) {}

// A loop that stands still just before the work begins must not begin it when it wakes: another may lead.
func TestWorkOfATermThatLapsedBeforeItBeganIsNotBegun(t *testing.T) {
	inBubble(t, func(f *fleet) {
		var begun []int64
		a := f.join("a", func(ctx context.Context, term election.Term) error {
			begun = append(begun, term.Token)
			<-ctx.Done()
			return nil
		}, func(c *election.Config) { c.Recorder = &sleepyRecorder{} })
		first := a.await("a first term", func(s election.State) bool { return s.Phase == election.Leader })
		second := a.await("a second term", func(s election.State) bool {
			return s.Phase == election.Leader && s.Token > first.Token
		})
		a.stop()
		<-a.done
		if len(begun) != 1 || begun[0] != second.Token {
			t.Errorf("terms %d and %d, the first lapsed at once: work was begun for %v", first.Token, second.Token, begun)
		}
	})
}

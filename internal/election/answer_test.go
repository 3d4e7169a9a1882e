package election

import (
	"testing"
	"time"
)

// gateClock lets a reader be held inside its clock read.
type gateClock struct {
	now     chan Instant // the reading that the held reader gets
	entered chan struct{}
}

func (c gateClock) Now() Instant {
	c.entered <- struct{}{}
	return <-c.now
}

// fixedClock is set by the test.
type fixedClock struct{ at *Instant }

func (c fixedClock) Now() Instant { return *c.at }

func leadingFacts(deadline Instant) facts {
	return facts{term: true, token: 9, deadline: deadline, margin: time.Second, contact: deadline}
}

// A reader that was preempted between loading the state and reading the clock must not say yes after
// the term was stopped, since the key may be gone by then.
func TestATermIsStoppedOnlyBetweenEvaluations(t *testing.T) {
	clock := gateClock{make(chan Instant), make(chan struct{})}
	d := newDesk(clock, time.Minute, "a")
	d.publish(State{Phase: Leader, Token: 9}, leadingFacts(at(10_000)))
	answers := make(chan Answer, 1)
	go func() { answers <- d.answer(5 * time.Second) }()
	<-clock.entered
	promises := make(chan Instant, 1)
	go func() {
		_, promised := d.publish(State{Phase: SteppingDown}, facts{})
		promises <- promised
	}()
	select {
	case <-promises:
		t.Fatal("the term was stopped in the middle of an evaluation")
	default:
	}
	clock.now <- at(1000)
	a := <-answers
	if promised := <-promises; !a.Leading || promised != a.ExpiresAt.Add(a.ExpiresIn/99) {
		t.Errorf("answer %+v, promised until %v", a, promised)
	}
}

func TestANoIsNeverFollowedByAYesOfTheSameTerm(t *testing.T) {
	now := at(1000)
	d := newDesk(fixedClock{&now}, time.Minute, "a")
	d.publish(State{Phase: Leader, Token: 9}, leadingFacts(at(10_000)))
	if !d.answer(0).Leading {
		t.Fatal("does not lead")
	}
	now = at(9000) // the deadline minus the margin
	if a := d.answer(0); a.Leading || a.Phase == Leader || a.Token != 0 {
		t.Fatalf("leads at the end of certainty: %+v", a)
	}
	now = at(1000)
	if d.answer(0).Leading {
		t.Error("leads again when the clock is read differently")
	}
	if lapsed, _ := d.publish(State{Phase: Leader, Token: 9}, leadingFacts(at(20_000))); !lapsed || d.answer(0).Leading {
		t.Error("an extension revived the term")
	}
	next := leadingFacts(at(20_000))
	next.token = 10
	if lapsed, promised := d.publish(State{Phase: Leader, Token: 10}, next); lapsed || promised != 0 || !d.answer(0).Leading {
		t.Errorf("the next term does not lead, or owes what an earlier one promised: %v", promised)
	}
}

func TestAPromiseIsTheLeastOfItsLimits(t *testing.T) {
	now := at(1000)
	d := newDesk(fixedClock{&now}, 2*time.Second, "a")
	d.publish(State{Phase: Leader, Token: 9}, leadingFacts(at(10_000)))
	for _, row := range []struct {
		now  int
		ask  time.Duration
		want time.Duration
	}{
		{1000, 0, 0}, {1000, time.Second, time.Second}, {1000, time.Minute, 2 * time.Second},
		{8500, time.Minute, 500 * time.Millisecond},
	} {
		now = at(row.now)
		if a := d.answer(row.ask); a.ExpiresIn != row.want || a.ExpiresAt != now.Add(row.want) {
			t.Errorf("at %d ms asking %v: %v until %v", row.now, row.ask, a.ExpiresIn, a.ExpiresAt)
		}
	}
	if _, promised := d.publish(State{}, facts{}); promised != at(9000).Add(500*time.Millisecond/99) {
		t.Errorf("promised until %v; a consumer's clock may be 1 %% slow", promised)
	}
}

func TestALeaderIsNamedOnlyWhileInContact(t *testing.T) {
	now := at(1000)
	d := newDesk(fixedClock{&now}, time.Second, "a")
	other := Candidate{Identity: "b", Token: 8}
	d.publish(State{Phase: Follower, Leader: other, LeaderFrom: time.Now()}, facts{contact: at(2000)})
	if a := d.answer(0); a.Leader != other || !a.Connected {
		t.Errorf("in contact: %+v", a)
	}
	now = at(2000)
	if a := d.answer(0); a.Leader != (Candidate{}) || !a.LeaderFrom.IsZero() || a.Connected {
		t.Errorf("out of contact: %+v", a)
	}
}

func TestWatchersSeeEveryNewStateOnce(t *testing.T) {
	now := at(0)
	d := newDesk(fixedClock{&now}, time.Second, "a")
	before, changed := d.watch()
	d.publish(before, facts{contact: at(1)})
	select {
	case <-changed:
		t.Fatal("a renewal published a state")
	default:
	}
	for _, p := range []Phase{Follower, Verifying, Leader} {
		d.publish(State{Phase: p}, facts{})
		<-changed
		var s State
		if s, changed = d.watch(); s.Seq != before.Seq+1 || s.Phase != p {
			t.Errorf("%s with seq %d after %d", s.Phase, s.Seq, before.Seq)
		}
		before = s
		d.publish(State{Phase: p}, facts{})
		if s, _ := d.watch(); s != before {
			t.Errorf("published again: %+v", s)
		}
	}
}

func TestAnAnswerTellsOfTheLease(t *testing.T) {
	now := at(3000)
	d := newDesk(fixedClock{&now}, time.Second, "a")
	for _, row := range []struct {
		renewed, leaseEnd Instant
		since, left       time.Duration
	}{
		{at(1000), at(11_000), 2 * time.Second, 8 * time.Second},
		{at(-8000), at(2000), 11 * time.Second, 0}, // it may have expired
		{0, 0, 0, 0},
	} {
		d.publish(State{}, facts{renewed: row.renewed, leaseEnd: row.leaseEnd})
		if a := d.answer(0); a.SinceRenewal != row.since || a.LeaseLeft != row.left {
			t.Errorf("renewed %v, ends %v: %v ago, %v left", row.renewed, row.leaseEnd, a.SinceRenewal, a.LeaseLeft)
		}
	}
}

package election

import (
	"sync"
	"sync/atomic"
	"time"
)

// Answer is what an elector says at one instant. It embeds the published state, made true for that
// instant: the phase is Leader only while Leading, the leader is zero when it is not known, and the value
// is nil unless it is that leader's.
type Answer struct {
	State
	At           Instant
	Leading      bool
	ExpiresIn    time.Duration // how long a yes is certain, counted from At; 0 for a no
	ExpiresAt    Instant       // the same on the boot clock; 0 for a no
	Connected    bool          // in contact with etcd
	LeaseLeft    time.Duration // until the lease can expire; 0 without a lease
	SinceRenewal time.Duration // since the newest acknowledged renewal was sent, the grant included; 0 without a lease
}

// desk is where leadership is evaluated. Readers hold its lock for one clock read and a few
// comparisons; the elector's loop holds it to publish. Nobody holds it for I/O.
type desk struct {
	clock     Clock
	answerMax time.Duration
	identity  string

	mu      sync.RWMutex // guards the fields below
	state   State
	changed chan struct{} // closed when state is replaced
	facts   facts

	// Readers write these under the read lock, so they are atomic.
	over     atomic.Bool  // the term of facts.token will not be answered again
	promised atomic.Int64 // greatest instant that a yes was given for
}

// facts is the part of what is known that moves without a new state.
type facts struct {
	term     bool // begun and not over
	token    int64
	deadline Instant
	margin   time.Duration
	contact  Instant // contact with etcd counts until then
	leaseEnd Instant
	renewed  Instant
	workEnd  Instant // when the work of a term, answered or not, must have ended; 0 without one
}

func newDesk(clock Clock, answerMax time.Duration, identity string) *desk {
	return &desk{clock: clock, answerMax: answerMax, identity: identity, changed: make(chan struct{})}
}

// Slowest is what the slowest clock counts that a promise may be measured with while this host's counts 100: a consumer
// may be on another host. A promise is kept by that clock too.
const Slowest = 99

// answer evaluates leadership now and records the promise that a yes is: at most limit long, and none
// if limit is zero. The clock is read under the read lock and ends of terms take the write lock, so
// that no reader which was preempted in between can say yes after the key has gone.
func (d *desk) answer(limit time.Duration) Answer { return d.evaluate(limit, &d.promised) }

// evaluate is answer, with the promise put down where it belongs.
func (d *desk) evaluate(limit time.Duration, promised *atomic.Int64) Answer {
	d.mu.RLock()
	defer d.mu.RUnlock()
	a := Answer{State: d.state}
	f := &d.facts
	a.At = d.clock.Now()
	if f.term && !d.over.Load() {
		if left := f.deadline.Add(-f.margin).Sub(a.At); left > 0 {
			a.Leading = true
			a.ExpiresIn = min(left, limit, d.answerMax)
			a.ExpiresAt = a.At.Add(a.ExpiresIn)
			raise(promised, a.ExpiresAt.Add(a.ExpiresIn/Slowest))
		} else {
			d.over.Store(true) // a no is never followed by a yes of the same term
		}
	}
	a.Connected = a.At.Before(f.contact)
	a.LeaseLeft = max(0, f.leaseEnd.Sub(a.At))
	if f.renewed > 0 {
		a.SinceRenewal = a.At.Sub(f.renewed)
	}
	d.makeTrue(&a)
	return a
}

// promise raises the end of all promises given.
func (d *desk) promise(until Instant) { raise(&d.promised, until) }

// raise makes an instant that others may raise too no earlier than until.
func raise(promised *atomic.Int64, until Instant) {
	for {
		old := promised.Load()
		if int64(until) <= old || promised.CompareAndSwap(old, int64(until)) {
			return
		}
	}
}

// makeTrue corrects the published state for the instant of the answer.
func (d *desk) makeTrue(a *Answer) {
	if !a.Leading {
		if a.Phase == Leader {
			a.Phase, a.Cause = SteppingDown, CauseLeaseExpired // the loop will say so in a moment
		}
		a.Token = 0
		if !a.Connected || a.Leader.Identity == d.identity {
			a.Leader, a.LeaderFrom = Candidate{}, time.Time{}
		}
	}
	if a.Value != nil && a.Value.Token != a.Leader.Token {
		a.Value = nil // of a term that is over, or of a leader that is not known
	}
}

// publish replaces the facts and, if it differs, the state. It reports whether a reader has already
// found the deadline of this very term passed, in which case the term is over whatever the core
// believes, and until when promises run; that is final once the facts say that there is no term.
func (d *desk) publish(s State, f facts) (lapsed bool, promised Instant) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if f.term && f.token == d.facts.token && d.over.Load() {
		lapsed, f.term = true, false
	} else if f.term && f.token != d.facts.token {
		d.over.Store(false)
		d.promised.Store(0)
	}
	if !f.term {
		d.over.Store(true)
	}
	d.facts = f
	s.Seq = d.state.Seq
	if s != d.state {
		s.Seq++
		d.state = s
		close(d.changed)
		d.changed = make(chan struct{})
	}
	return lapsed, Instant(d.promised.Load())
}

// watch returns the published state and a channel that is closed when there is a newer one.
func (d *desk) watch() (State, <-chan struct{}) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.state, d.changed
}

// workEnd is when the work must have ended; zero without a term.
func (d *desk) workEnd() Instant {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.facts.workEnd
}

package election

import "time"

// core is everything an elector knows and decides by. It is a plain value: step takes one and returns
// the next, so that it can be tabled, copied and explored.
type core struct {
	releaseNow bool          // on shutdown, do not wait for promises: whoever got them is known to have stopped
	grace      time.Duration // that work needs to stop: certainty ends so much earlier
	vets       bool          // somebody is asked before a term begins

	phase    Phase
	cause    Cause
	entered  bool    // the election, at least once: the key has been seen in etcd
	shutdown bool    // asked to stop
	fenced   bool    // etcd went back in time
	done     bool    // nothing is left to wind up; the loop may return
	cooldown Instant // resigned: no candidacy begins before
	barred   Cause   // why no candidacy may be; CauseNone: one may

	// The session and its lease. session numbers the current one; events of others are ignored.
	session  int
	stage    stage
	attempt  int // opens since a session last lived for a whole TTL
	openedAt Instant
	lease    lease
	raftTerm uint64  // greatest seen in any reply of this session
	contact  Instant // when the latest answered request was sent
	refusal  string

	// The candidacy.
	key        ownKey
	campaign   call
	won        bool // Campaign returned nil
	wonAt      Instant
	ack        Renewal // newest acknowledged renewal of the lease; zero when none
	ackedIn    Instant // deadline in force when it arrived
	proving    Renewal // that the confirmation under way is for, and its ackedIn
	provingIn  Instant
	settled    Instant // Sent of the newest renewal that was confirmed or found not to count
	confirming call
	rebinding  call
	unresolved bool    // a rebind is under way or its outcome is unknown: no renewal counts
	vetting    bool    // the veto is being asked for
	vetted     bool    // nobody has one against this candidacy
	proven     Instant // deadline by confirmations while that is not known; 0: the lease has had none

	term   term
	ending ending

	// What is known of the others.
	leader      Candidate
	predecessor Instant // when its deletion was seen
	seen        evidence
}

// stage is where the session stands.
type stage uint8

const (
	noSession stage = iota
	opening
	open
	closing
)

// lease is the current lease. acked is the deadline by acknowledgements alone: the base from which a
// first confirmed renewal is judged, and the end of a follower's session.
type lease struct {
	id       LeaseID
	ttl      time.Duration
	granted  uint64 // raft term of its grant; etcd leaders of older ones do not know it
	raftTerm uint64 // the same while renewals of the lease can count; else 0
	acked    Instant
}

// ownKey is the candidate's key. token is known once the key has been seen, mod once Campaign has returned.
type ownKey struct {
	path  string
	seen  bool // in etcd, and not known to have gone
	token int64
	mod   int64 // last own write
	lease LeaseID
}

// call is a request of which at most one is under way.
type call struct {
	inFlight  bool
	notBefore Instant
}

// term is the answering side and the work of one leadership.
type term struct {
	begun    bool // leadership was published
	over     bool // and will never be answered again
	stopped  bool // promised is final
	working  bool // work has not been joined
	deadline Instant
	promised Instant
}

// ending is the winding up of a session: stop answering, join work, let promises run out, release.
type ending struct {
	on       bool
	cause    Cause
	release  bool      // delete the key and revoke the lease through this session
	promises bool      // wait for them; pointless once the key is gone
	to       Candidate // whom the lead is passed on to; zero: to whoever is next
}

// evidence is the furthest that etcd has been seen. It is judged only against replies that were sent
// after it was received, since the headers of single members lag.
type evidence struct {
	revision   int64
	revisionAt Instant
	token      int64
	tokenAt    Instant
}

func (c *core) enter(p Phase, cause Cause) { c.phase, c.cause = p, cause }

// claim is what the candidate believes about its key.
func (c *core) claim() Claim { return Claim{Token: c.key.token, Mod: c.key.mod, Lease: c.key.lease} }

// certainUntil is when the published term's certainty ends.
func (c *core) certainUntil() Instant { return c.term.deadline.Add(-c.margin()) }

// workUntil is when the work of the term must have ended: its grace after certainty does.
func (c *core) workUntil() Instant { return c.term.deadline.Add(-Margin(c.lease.ttl)) }

// margin is how long before the lease can expire a published term ends by loss.
func (c *core) margin() time.Duration { return Margin(c.lease.ttl) + c.grace }

// fenceCause is why the elector is fenced; CauseNone: it is not.
func (c *core) fenceCause() Cause {
	if c.fenced {
		return CauseTokenRegression
	}
	return CauseNone
}

// leading reports whether a term is published and not over. It is not the answer: that needs a clock.
func (c *core) leading() bool { return c.term.begun && !c.term.over }

// retryAfter is the pause after a request that was not answered.
func (c *core) retryAfter() time.Duration { return max(c.lease.ttl/40, 25*time.Millisecond) }

// verifyBy is when an unpublished winner gives its key up.
func (c *core) verifyBy() Instant { return c.wonAt.Add(c.lease.ttl / 2) }

// unledUntil is when a session without a term ends unless its lease is renewed. Whoever is asked for a veto must have
// been told before the lease can expire, as work is: only confirmed renewals count then.
func (c *core) unledUntil() Instant {
	switch {
	case !c.vetting:
		return c.lease.acked
	case c.proven > 0:
		return c.proven.Add(-Margin(c.lease.ttl))
	}
	return c.lease.acked.Add(-Margin(c.lease.ttl)) // just rebound, to a lease granted since
}

// termOnKey reports whether a term is under way or being wound up.
func (c *core) termOnKey() bool { return c.stage == open && c.term.begun }

// wanted is the request that the candidacy calls for, whether it is under way or not; nil: none. A term
// that is stepping down goes on being confirmed and rebound until its key is released: its work may
// still be ending.
func (c *core) wanted() *call {
	switch {
	case !c.won && !c.ending.on && c.barred != CauseNone:
		return nil
	case !c.won && !c.ending.on:
		return &c.campaign
	case !c.won || c.ending.on && !c.term.begun:
		return nil
	case c.unresolved:
		return &c.rebinding
	case c.ack.Sent > c.settled:
		return &c.confirming
	}
	return nil
}

// rest is how long the loop may stand idle, so that it shows that it is alive.
func (c *core) rest(ttl time.Duration) time.Duration {
	if c.termOnKey() {
		return LoopInterval(ttl)
	}
	return RestInterval(ttl)
}

// wake is the next instant at which the core has something to do on its own; zero when there is none.
func (c *core) wake() Instant {
	if c.stage != open {
		return 0
	}
	var at Instant
	sooner := func(t Instant) {
		if at == 0 || t < at {
			at = t
		}
	}
	if c.leading() {
		sooner(c.certainUntil())
	}
	switch e := c.ending; {
	case !e.on:
		sooner(c.unledUntil())
		if c.won && !c.term.begun {
			sooner(c.verifyBy())
		}
	case e.promises && c.term.stopped && !c.term.working:
		sooner(c.term.promised)
	}
	if w := c.wanted(); w != nil && !w.inFlight {
		sooner(w.notBefore)
	}
	return at
}

package election

// What each event of a session changes. Called by learn only, with events of the current session.

func (s *stepper) sessionOpened(ev SessionOpened) {
	g := ev.Opened.Grant
	s.stage = open
	s.openedAt = s.now
	s.lease = newLease(g)
	s.raftTerm = 0
	s.contact = g.Reply.Sent
	s.refusal = ""
	s.key = ownKey{path: ev.Opened.Key, lease: g.Lease}
	s.campaign, s.confirming, s.rebinding = call{notBefore: s.cooldown}, call{}, call{}
	s.won, s.unresolved = false, false
	s.vetting, s.vetted, s.proven = false, false, 0
	s.term = term{}
	s.settled = 0
	s.granted(g)
	s.predecessor = 0
	s.do(countSession{SessionIsOpen})
	s.witness(ev.Opened.First, 0)
	s.raftTerm = max(s.raftTerm, g.Reply.RaftTerm)
	if s.shutdown {
		s.end(ending{cause: CauseShutdown, release: true})
	}
}

func newLease(g Grant) lease {
	return lease{
		id: g.Lease, ttl: g.TTL, granted: g.Reply.RaftTerm, raftTerm: g.Reply.RaftTerm, acked: g.Reply.Sent.Add(g.TTL),
	}
}

// granted takes a settled grant for the first renewal of its lease. It went through raft in the lease's
// own term, which is more than an acknowledgement says.
func (s *stepper) granted(g Grant) {
	s.ack = Renewal{
		Lease: g.Lease, Sent: g.Reply.Sent, Received: g.Reply.Received, RaftTerm: g.Reply.RaftTerm, TTL: g.TTL,
	}
	s.ackedIn = s.inForce()
}

func (s *stepper) sessionFailed(ev SessionFailed) {
	s.stage = noSession
	s.refusal = ev.Refusal
	s.do(countSession{SessionNotOpen})
	if ev.Refusal != "" {
		s.rest(CauseRefused)
	} else if s.cause == CauseNone || s.cause == CauseRefused {
		s.rest(CauseSessionLost)
	}
}

func (s *stepper) sessionClosed() {
	result := SessionReleased
	switch s.ending.cause {
	case CauseLeaseExpired, CauseSessionLost, CauseKeyDeleted, CauseKeyOverwritten, CauseTokenRegression:
		result = SessionWasLost
	}
	s.do(countSession{result})
	if s.now.Sub(s.openedAt) >= s.lease.ttl {
		s.attempt = 0
	}
	s.stage = noSession
	s.rest(s.ending.cause)
	s.lease, s.key, s.term, s.ending, s.won = lease{}, ownKey{}, term{}, ending{}, false
}

// renewed takes an acknowledged keep-alive. Alone it moves only the deadline of a candidate's session.
func (s *stepper) renewed(r Renewal) {
	if s.stage != open || r.Lease != s.lease.id {
		return // of the lease before a rebind, or of the one after it, ahead of its reply
	}
	s.contact = max(s.contact, r.Sent)
	s.raftTerm = max(s.raftTerm, r.RaftTerm)
	if r.TTL <= 0 && r.RaftTerm < s.lease.granted {
		return // an etcd leader that was deposed before the lease was granted does not know it
	}
	if r.TTL <= 0 {
		s.count(RenewalNegative, r, Reply{})
		s.end(ending{cause: CauseLeaseExpired, release: true, promises: true})
		return
	}
	if !r.Received.Before(s.lease.acked.Add(-Margin(s.lease.ttl))) {
		s.count(RenewalLate, r, Reply{})
		s.end(ending{cause: CauseLeaseExpired, promises: true})
		return
	}
	if r.RaftTerm == s.lease.raftTerm {
		s.ack, s.ackedIn = r, s.inForce()
	} else {
		s.count(RenewalTermMismatch, r, Reply{})
	}
	s.lease.acked = max(s.lease.acked, r.Sent.Add(r.TTL))
}

// inForce is the deadline from which a renewal that arrives now is judged.
func (s *stepper) inForce() Instant {
	if s.term.begun {
		return s.term.deadline
	}
	return s.lease.acked
}

// ownKeyPut sees the own key with its latest write, which must be our own.
func (s *stepper) ownKeyPut(k KeyState) {
	if s.stage != open || s.ending.on {
		return
	}
	if s.key.token == 0 {
		s.key.token = k.Token // by which it can be deleted, whoever wrote to it
	}
	if !k.Own || k.Token != s.key.token {
		s.claimFailed(&k)
		return
	}
	s.key.seen, s.entered = true, true
	s.refusal = ""
	if s.phase == Connecting {
		s.enter(Follower, CauseRegistered)
	}
}

// campaignWon takes the campaign's word that no older key is left. It is no more than that until a
// renewal has been confirmed.
func (s *stepper) campaignWon(w Won) {
	s.campaign = call{}
	if s.stage != open || s.ending.on {
		return
	}
	if s.key.token != 0 && s.key.token != w.Token {
		s.keyGone()
		return
	}
	s.won, s.wonAt = true, s.now
	s.refusal = ""
	s.key.token, s.key.mod = w.Token, w.Mod
	s.raftTerm = max(s.raftTerm, w.RaftTerm)
	s.enter(Verifying, CauseWon)
}

func (s *stepper) campaignFailed(ev CampaignFailed) {
	s.campaign = call{notBefore: s.now.Add(s.retryAfter())}
	if ev.Refusal != "" && s.stage == open && !s.ending.on {
		s.campaign.notBefore = s.now.Add(s.lease.ttl / 4)
		s.refusal = ev.Refusal
		s.enter(s.phase, CauseRefused)
	}
}

// confirmed takes the reply to a confirming transaction: the only thing that begins or extends a term.
func (s *stepper) confirmed(ev Confirmed) {
	s.confirming = call{}
	if s.stage != open {
		return
	}
	ack, reply := s.proving, ev.Confirmation.Reply
	if ev.Failed {
		s.confirming.notBefore = s.now.Add(s.retryAfter())
		s.refusal = ev.Refusal
		s.count(RenewalUnconfirmed, ack, Reply{})
		return
	}
	s.refusal = ""
	s.witness(reply, 0)
	if s.unresolved || ack.Lease != s.lease.id {
		// A rebind overtook this claim: it may well not hold, and what would have been
		// extended is a lease that the key is leaving.
		s.count(RenewalTermMismatch, ack, reply)
		return
	}
	if !ev.Confirmation.Holds {
		s.count(RenewalNegative, ack, reply)
		s.claimFailed(ev.Confirmation.Found)
		return
	}
	s.key.seen, s.entered = true, true
	deadline, result := extend(s.lease.raftTerm, Margin(s.lease.ttl), ack, s.provingIn, reply, s.inForce())
	s.count(result, ack, reply)
	s.settled = max(s.settled, ack.Sent)
	if result != RenewalConfirmed {
		return
	}
	switch {
	case s.term.begun:
		s.term.deadline = max(s.term.deadline, deadline)
	case s.ending.on:
	case !ev.Confirmation.Oldest:
		s.end(ending{cause: CauseNotPublished, release: true})
	case s.vets && !s.vetted:
		s.proven = max(s.proven, deadline)
		s.askForVeto()
	default:
		s.beginTerm(deadline)
	}
}

// askForVeto asks once for each candidacy.
func (s *stepper) askForVeto() {
	if !s.vetting {
		s.vetting = true
		s.do(vet{Session: s.session, Token: s.key.token, Key: s.key.path})
	}
}

// vetoed takes the answer. What was confirmed meanwhile counts, unless a rebind has overtaken it.
func (s *stepper) vetoed(ev Vetted) {
	s.vetting = false
	switch {
	case s.stage != open || s.ending.on || !s.won:
	case ev.Refused:
		s.cooldown = max(s.cooldown, ev.Until)
		s.end(ending{cause: CauseVetoed, release: true})
	default:
		s.vetted = true
		if !s.unresolved && s.proven > 0 {
			s.beginTerm(s.proven)
		}
	}
}

func (s *stepper) beginTerm(deadline Instant) {
	if !s.now.Before(deadline.Add(-s.margin())) {
		return
	}
	s.term = term{begun: true, working: true, deadline: deadline}
	s.enter(Leader, CauseWon)
	b := beginTerm{Token: s.key.token, Key: s.key.path}
	if s.predecessor > 0 {
		b.Waited = s.now.Sub(s.predecessor)
	}
	s.do(b)
}

// claimFailed ends a candidacy whose key is not as it was left.
func (s *stepper) claimFailed(found *KeyState) {
	if found == nil || found.Token != s.key.token {
		s.keyGone() // whatever stands there now is another key
		return
	}
	s.won = false
	s.end(ending{cause: CauseKeyOverwritten, release: true, promises: true})
}

// rebound takes the reply to a rebind.
func (s *stepper) rebound(ev KeyRebound) {
	s.rebinding = call{}
	if s.stage != open {
		return
	}
	if ev.Failed {
		s.rebinding.notBefore = s.now.Add(s.retryAfter())
		s.refusal = ev.Refusal
		return
	}
	s.refusal = ""
	r := ev.Rebound
	s.witness(r.Reply, 0)
	s.raftTerm = max(s.raftTerm, r.Grant.Reply.RaftTerm)
	switch {
	case r.Bound:
		s.key.seen = true
		s.key.mod, s.key.lease = r.Reply.Revision, r.Grant.Lease
		s.lease = newLease(r.Grant)
		if r.Reply.RaftTerm != r.Grant.Reply.RaftTerm {
			s.lease.raftTerm = 0 // the key write is of another raft term: rebind again
		}
		s.settled, s.unresolved, s.proven = 0, false, 0
		s.granted(r.Grant)
	case r.Found != nil && r.Found.Own && r.Found.Token == s.key.token:
		// An earlier rebind of which we never heard was applied after all. Its lease is not
		// the one that is kept alive, so bind the key once more, from here.
		s.key.mod, s.key.lease = r.Found.Mod, r.Found.Lease
	default:
		s.claimFailed(r.Found)
	}
}

func (s *stepper) observed(ev Observed) {
	if s.stage != open {
		return
	}
	s.witness(ev.Reply, ev.Leader.Token)
	s.predecessor = 0
	if ev.Leader.Token == s.key.token {
		s.predecessor = ev.Predecessor
	}
	if !s.ending.on {
		s.leader = ev.Leader
	}
}

// count reports a renewal's result for as long as there is a key to keep by it.
func (s *stepper) count(result RenewalResult, r Renewal, confirmation Reply) {
	if s.won {
		s.do(countRenewal{Result: result, Renewal: r, Confirmation: confirmation})
	}
}

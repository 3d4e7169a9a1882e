package election

// step is the whole decision: the next core, and what the shell has to do, in order. It is pure: now
// and the instants within the events are its only clock.
//
// Every step does three things. What time alone has ended is ended first, so that no event can revive
// it. Then the event changes what is known. Then whatever the knowledge calls for, and is not under
// way yet, is begun.
func step(c core, now Instant, ev Event) (core, []action) {
	s := &stepper{core: c, now: now}
	s.expire()
	s.learn(ev)
	s.pursue()
	return s.core, s.actions
}

// stepper is one step in progress.
type stepper struct {
	core
	now     Instant
	actions []action
}

func (s *stepper) do(a action) { s.actions = append(s.actions, a) }

// expire ends what has run out.
func (s *stepper) expire() {
	if s.stage != open {
		return
	}
	if s.leading() && !s.now.Before(s.certainUntil()) {
		s.end(ending{cause: CauseLeaseExpired, promises: true})
	}
	if s.ending.on {
		return
	}
	switch {
	case !s.now.Before(s.unledUntil()):
		s.end(ending{cause: CauseLeaseExpired, promises: true})
	case s.won && !s.term.begun && !s.now.Before(s.verifyBy()):
		s.end(ending{cause: CauseNotPublished, release: true})
	}
}

// learn takes in an event.
func (s *stepper) learn(ev Event) {
	if n, ok := sessionOf(ev); ok && n != s.session {
		return
	}
	switch ev := ev.(type) {
	case SessionOpened:
		s.sessionOpened(ev)
	case SessionFailed:
		s.sessionFailed(ev)
	case SessionOver:
		s.end(ending{cause: CauseSessionLost, promises: true})
	case SessionClosed:
		s.sessionClosed()
	case Renewed:
		s.renewed(ev.Renewal)
	case InTouch:
		s.contact = max(s.contact, ev.Sent)
	case OwnKeyPut:
		s.ownKeyPut(ev.Key)
	case OwnKeyDeleted:
		s.keyGone()
	case CampaignWon:
		s.campaignWon(ev.Won)
	case CampaignFailed:
		s.campaignFailed(ev)
	case Confirmed:
		s.confirmed(ev)
	case KeyRebound:
		s.rebound(ev)
	case Observed:
		s.observed(ev)
	case TermStopped:
		s.term.stopped, s.term.promised = true, ev.PromisedUntil
	case TermLapsed:
		if s.leading() && ev.Token == s.key.token {
			s.end(ending{cause: CauseLeaseExpired, promises: true})
		}
	case WorkEnded:
		if ev.Token == s.key.token {
			s.term.working = false
			s.end(ending{cause: CauseWorkEnded, release: true, promises: true})
		}
	case ResignAsked:
		s.resignAsked(ev)
	case TransferAsked:
		s.transferAsked(ev)
	case Vetted:
		s.vetoed(ev)
	case EligibilityChanged:
		s.eligibilityChanged(ev.Barred)
	case UnfenceAsked:
		s.unfenceAsked()
	case ShutdownAsked:
		s.shutdownAsked()
	}
}

// end begins to wind the session up; a term on it is over from this step on. The first call decides.
func (s *stepper) end(e ending) {
	if s.ending.on || s.stage != open {
		return
	}
	e.on = true
	s.ending = e
	s.leader = Candidate{}
	if s.vetting {
		s.do(endVet{Cause: e.cause})
	}
	if s.leading() {
		s.term.over = true
		s.do(endTerm{Cause: e.cause})
		s.enter(SteppingDown, e.cause)
		return
	}
	s.rest(e.cause)
}

// rest enters the phase that follows a session, for a cause, unless what keeps the elector from the next
// candidacy is one of its own.
func (s *stepper) rest(cause Cause) {
	switch {
	case s.fenced:
		s.enter(Fenced, cause)
	case s.barred != CauseNone:
		s.enter(Ineligible, s.barred)
	case s.now.Before(s.cooldown):
		s.enter(Ineligible, cause)
	default:
		s.enter(Connecting, cause)
	}
}

// keyGone ends a candidacy whose key somebody deleted: there is nothing left to protect by waiting.
func (s *stepper) keyGone() {
	s.key.seen, s.won = false, false
	s.end(ending{cause: CauseKeyDeleted, release: true})
}

// witness compares a linearizable reply with the furthest that etcd has been seen, and fences the
// elector when etcd went back: it was restored from a snapshot without bumping its revision, and
// tokens would repeat. token is 0 when the reply named none.
func (s *stepper) witness(r Reply, token int64) {
	back := r.Sent > s.seen.revisionAt && r.Revision < s.seen.revision ||
		token > 0 && r.Sent > s.seen.tokenAt && token < s.seen.token
	if back {
		s.fenced = true
		s.end(ending{cause: CauseTokenRegression, release: true, promises: true})
		return
	}
	if r.Revision > s.seen.revision {
		s.seen.revision, s.seen.revisionAt = r.Revision, r.Received
	}
	if token > s.seen.token {
		s.seen.token, s.seen.tokenAt = token, r.Received
	}
	s.raftTerm = max(s.raftTerm, r.RaftTerm)
	s.contact = max(s.contact, r.Sent)
}

// resignAsked ends a term by choice, or tells of one that is ending that nobody acts on its promises any more.
func (s *stepper) resignAsked(ev ResignAsked) {
	if !s.termOnKey() || ev.Token != s.key.token {
		return
	}
	s.cooldown = max(s.cooldown, ev.Until)
	if s.ending.on {
		s.ending.promises = s.ending.promises && !ev.Stopped
		return
	}
	s.end(ending{cause: CauseResigned, release: true, promises: !ev.Stopped})
}

// transferAsked ends a term by choice, in favour of another candidate. One that is ending already goes to whoever
// is next.
func (s *stepper) transferAsked(ev TransferAsked) {
	if !s.termOnKey() || ev.Token != s.key.token {
		return
	}
	s.end(ending{cause: CauseTransferred, release: true, promises: !ev.Stopped, to: ev.To})
}

// eligibilityChanged ends the candidacy of an elector that may not campaign any more. Promises are waited
// for: nobody has said that whoever got them has stopped. One that may again takes it up in pursueCandidacy.
func (s *stepper) eligibilityChanged(barred Cause) {
	was := s.barred
	s.barred = barred
	switch {
	case barred == CauseNone:
		if s.phase == Ineligible && was != CauseNone && s.stage != closing {
			s.rest(again(was))
		}
	case s.fenced:
	case s.stage == open && s.phase != Ineligible:
		s.end(ending{cause: barred, release: true, promises: true})
	case s.stage != closing:
		s.enter(Ineligible, barred)
	}
}

// again is the cause of a candidacy that may begin since what stood against it does so no more.
func again(was Cause) Cause {
	if was == CauseDrained {
		return CauseUndrained
	}
	return CauseEligible
}

// unfenceAsked lets a fenced elector go on with etcd as it is now. A session that the fence ended is wound up all
// the same, as promises run under it.
func (s *stepper) unfenceAsked() {
	if !s.fenced {
		return
	}
	s.fenced, s.seen = false, evidence{}
	if s.phase == Fenced {
		s.rest(CauseUnfenced)
	}
}

func (s *stepper) shutdownAsked() {
	s.shutdown = true
	if s.ending.on {
		s.ending.release = true
		s.ending.promises = s.ending.promises && !s.releaseNow
		return
	}
	s.end(ending{cause: CauseShutdown, release: true, promises: !s.releaseNow})
}

// pursue begins whatever is called for and not under way.
func (s *stepper) pursue() {
	switch s.stage {
	case noSession:
		s.pursueSession()
	case open:
		s.pursueCandidacy()
		s.pursueEnding()
	}
}

func (s *stepper) pursueSession() {
	switch {
	case s.shutdown:
		s.done = true
	case s.fenced:
	default:
		s.session++
		s.attempt++
		s.stage = opening
		s.do(openSession{Session: s.session, Attempt: s.attempt})
	}
}

// pursueCandidacy keeps the campaign, the lease's raft term and the confirmations going.
func (s *stepper) pursueCandidacy() {
	if s.won && s.raftTerm > s.lease.raftTerm {
		s.unresolved = true
	}
	w := s.wanted()
	if w == nil || w.inFlight || s.now.Before(w.notBefore) {
		return
	}
	*w = call{inFlight: true}
	switch w {
	case &s.campaign:
		if s.phase == Ineligible {
			s.enter(Connecting, s.cause)
		}
		s.do(campaign{Session: s.session})
	case &s.rebinding:
		s.do(rebind{Session: s.session, Claim: s.claim(), RaftTerm: s.raftTerm})
	case &s.confirming:
		s.proving, s.provingIn = s.ack, s.ackedIn
		s.do(confirm{Session: s.session, Claim: s.claim()})
	}
}

// pursueEnding closes the session once nothing that was promised or done under it is left.
func (s *stepper) pursueEnding() {
	e, t := s.ending, s.term
	if !e.on || t.working || s.vetting || t.begun && !t.stopped {
		return
	}
	if e.promises && s.now.Before(t.promised) {
		return
	}
	s.stage = closing
	s.do(closeSession{Session: s.session, Release: e.release, Claim: s.claim(), To: e.to})
}

// sessionOf returns the session that an event belongs to, if it belongs to one.
func sessionOf(ev Event) (int, bool) {
	switch ev := ev.(type) {
	case SessionOpened:
		return ev.Session, true
	case SessionFailed:
		return ev.Session, true
	case SessionOver:
		return ev.Session, true
	case SessionClosed:
		return ev.Session, true
	case Renewed:
		return ev.Session, true
	case InTouch:
		return ev.Session, true
	case OwnKeyPut:
		return ev.Session, true
	case OwnKeyDeleted:
		return ev.Session, true
	case CampaignWon:
		return ev.Session, true
	case CampaignFailed:
		return ev.Session, true
	case Confirmed:
		return ev.Session, true
	case KeyRebound:
		return ev.Session, true
	case Observed:
		return ev.Session, true
	case ValueSeen:
		return ev.Session, true
	case Refused:
		return ev.Session, true
	case Vetted:
		return ev.Session, true
	}
	return 0, false
}

package election

import "slices"

// A scope is worth something only if its faults bite. Each kind of fault has an effect for which it is
// there, noted when it comes about outside of a fair schedule; a scope that is exhausted without it shows
// nothing of that fault, and fails.

var effectNames = [numFaults + 1]string{
	fDelay: "something happened late", fLoss: "a reply was lost after its request had been applied",
	fElect: "a key was bound to a new lease", fOldAck: "a deposed leader told what was not so",
	fOldRevoke: "a deposed leader had a live lease revoked", fPause: "a process woke with a term that had ended",
	fPreempt: "time passed within a turn", fReader: "a reader was overtaken within its evaluation",
	fPoll: "a promise outlasted its term, or a poller was told no", fShutdown: "a process wound up and ended",
	fBar: "a candidacy ended because it was not eligible", fResign: "a process wound a term up that it had been asked to resign",
	fTransfer: "the lead was passed on past somebody", fVeto: "a term was vetoed",
	fCrash: "a dead process's key ran out", fWorkReturns: "work returned on its own",
	fOperator: "a candidate gave up because of somebody's hand", fRestore: "a process saw that etcd went back",
	fUnfence: "a term began after a fence was lifted",
	fStall:   "the key of a loop that stands still ran out", fStamp: "a header told another raft term than the request's",
	fZombie: "a request that was given up changed something", fStraggler: "a call ended in the session after its own",
	someYes: "somebody led",
}

// someYes is no fault, but what each scope must show too.
const someYes = numFaults

// effect notes that a kind of fault has had its effect.
func (m *machine) effect(kind int) { m.effects |= 1 << kind }

// effectIf is effect on a condition.
func (m *machine) effectIf(on bool, kind int) {
	if on {
		m.effect(kind)
	}
}

// used reports whether a fault of that kind has happened.
func (m *machine) used(w *world, kind int) bool { return w.budget[kind] < m.scope.budget[kind] }

// effectOfPolls: a promise that is still owed when its term is over.
func (m *machine) effectOfPolls(w *world) {
	for _, p := range w.promises {
		if p.token != 0 && p.until > w.now {
			c := &w.cands[p.owner].core
			m.effectIf(int64(p.token) != c.key.token || c.term.over, fPoll)
		}
	}
}

// effectOfStep: what an event made the core do.
func (m *machine) effectOfStep(w *world, old, next *core) {
	m.effectIf(next.done && next.shutdown, fShutdown)
	m.effectIf(old.stage == closing && next.stage != closing && old.ending.cause == CauseUnhealthy, fBar)
	m.effectIf(old.stage == closing && next.stage != closing && old.ending.cause == CauseResigned, fResign)
	if next.ending.on && !old.ending.on && m.used(w, fOperator) {
		m.effectIf(slices.Contains([]Cause{CauseKeyDeleted, CauseKeyOverwritten, CauseLeaseExpired}, next.ending.cause), fOperator)
	}
}

// effectOfDelay: an act that was paid for as late has happened after all.
func (m *machine) effectOfDelay(w *world, a act) {
	c := &w.cands[a.cand]
	late := false
	switch a.op {
	case opApply, opReceive:
		late = c.calls[a.arg].late
	case opClear:
		late = c.calls[callCampaign].late
	case opKAAck:
		late = c.kas[c.kaHead(request)].late
	case opKAReceive:
		late = c.kas[0].late
	case opKASend:
		late = c.lateKA
	case opTick:
		late = c.lateTick
	case opWatch:
		late = c.lateWatch
	case opWorkEnds:
		late = c.lateWork
	case opVetted:
		late = c.lateVet
	}
	m.effectIf(late, fDelay)
}

// without lists the effects that a scope was to have and has not had.
func (s *scope) without(effects uint32) (missing []string) {
	for kind := range effectNames {
		wanted := kind == someYes || s.budget[min(kind, numFaults-1)] > 0
		if kind == fReader && !s.splitReads {
			continue // a reader cannot be overtaken, for evaluation holds the lock
		}
		if wanted && effects&(1<<kind) == 0 {
			missing = append(missing, effectNames[kind])
		}
	}
	return missing
}

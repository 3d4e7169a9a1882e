package election

// do carries out one act.
func (m *machine) do(w *world, a act) {
	i := int(a.cand)
	c := &w.cands[i]
	m.effectOfDelay(w, a)
	switch a.op {
	case opAdvance:
		m.advance(w)
	case opGoOn:
		m.goOn(w, i)
	case opTick:
		m.handle(w, i, Tick{}, m.preempts(w, a))
	case opApply:
		m.apply(w, i, int(a.arg))
	case opClear:
		c.calls[callCampaign].leg, c.calls[callCampaign].late = reply, false
	case opReceive:
		m.receive(w, i, int(a.arg), m.preempts(w, a))
	case opStamp:
		w.budget.take(fPreempt)
		call := &c.calls[a.arg]
		call.leg, call.got, call.late = received, w.now, false
	case opGiveUp:
		if call := &c.calls[a.arg]; !(call.late && w.now >= call.sent+modelTTL/10) {
			w.budget.take(fLoss)
		}
		m.giveUp(w, i, int(a.arg))
	case opObserve:
		c.calls[callObserve] = modelCall{leg: request, sent: w.now}
	case opWatch:
		m.watch(w, i)
	case opSessionOver:
		w.budget.take(fLoss)
		m.handle(w, i, SessionOver{c.core.session}, false)
	case opWorkEnds:
		if c.work == working {
			w.budget.take(fWorkReturns)
			m.effect(fWorkReturns)
		}
		token := c.workToken
		c.work, c.lateWork = noWork, false
		m.handle(w, i, WorkEnded{int64(token)}, false)
	case opVetted:
		if a.arg == 1 {
			w.budget.take(fVeto)
			m.effect(fVeto)
		}
		refused := a.arg == 1 || c.vet == told
		c.vet, c.lateVet = noWork, false
		m.handle(w, i, Vetted{Session: c.core.session, Refused: refused, Until: inst(w.now + modelTTL/2)}, false)
	case opRestamp: // the member has applied the new leader's first entry before it wrote the header
		w.budget.take(fStamp)
		m.effect(fStamp)
		c.calls[a.arg].term = w.etcd.term
	case opKAPass, opKASend, opKAAck, opKAReceive, opKAStamp, opKADrop:
		m.doKA(w, i, a)
	default:
		m.doFault(w, a)
	}
	w.tidy()
}

func (m *machine) preempts(w *world, a act) bool { return a.arg2 == 1 && w.budget.take(fPreempt) }

// watch delivers how the own key stands now. Writes in between are passed over; deletion ends it.
func (m *machine) watch(w *world, i int) {
	c := &w.cands[i]
	c.lateWatch = false
	n := c.core.session
	slot := w.etcd.keySlot(c.name)
	if slot < 0 {
		c.watchGone = true
		m.handle(w, i, OwnKeyDeleted{n}, false)
		return
	}
	k := w.etcd.keys[slot]
	c.watchMod = k.mod
	m.handle(w, i, OwnKeyPut{n, KeyState{Token: int64(k.token), Mod: int64(k.mod), Lease: LeaseID(k.lease), Own: !k.foreign}}, false)
}

// doKA moves a keep-alive on.
func (m *machine) doKA(w *world, i int, a act) {
	c := &w.cands[i]
	switch a.op {
	case opKASend:
		c.lateKA = false
		c.nextKA = w.now + modelTTL/5 // the library would sooner; more than two under way show nothing more
		for j := range c.kas {
			if c.kas[j].leg == idle {
				c.kas[j] = modelKA{leg: request, lease: c.kept, sent: w.now}
				return
			}
		}
	case opKAPass:
		w.budget.take(fStamp)
		c.kas[c.kaHead(request)].term = w.etcd.term
	case opKAAck:
		ka := &c.kas[c.kaHead(request)]
		if a.arg2 == 0 {
			m.ack(w, ka)
		} else {
			m.oldAck(w, ka, &w.etcd.deposed[a.arg2-1])
		}
	case opKAStamp:
		w.budget.take(fPreempt)
		c.kas[0].leg, c.kas[0].got, c.kas[0].late = received, w.now, false
	case opKAReceive:
		m.receiveKA(w, i, m.preempts(w, a))
	case opKADrop:
		if a.arg == 1 { // a loop that stands still: the library takes the answer, nobody else does
			c.nextKA = w.now + kaInterval
			c.shiftKA()
			return
		}
		if !(c.kas[0].late && w.now >= c.kas[0].sent+modelTTL/8) {
			w.budget.take(fLoss)
		}
		c.kas = [maxKAs]modelKA{}
	}
}

// kaInterval is a third of the TTL, rounded up to the library's tick.
const kaInterval = (modelTTL/3/500 + 1) * 500

// ack is the leader's answer: a lease that is there is renewed, even while its revoke is under way
// (etcd-io/etcd#14758).
func (m *machine) ack(w *world, ka *modelKA) {
	e := &w.etcd
	ka.leg, ka.late = reply, false
	m.effectIf(ka.term != 0 && ka.term < e.term, fStamp)
	if ka.term == 0 { // else another member has stamped it
		ka.term = e.term
	}
	slot := e.leaseSlot(ka.lease)
	if slot < 0 {
		ka.denied = true
		return
	}
	e.leases[slot].until = max(e.leases[slot].until, w.now+modelEarliest)
}

// oldAck is the answer of a leader that does not know that it was deposed: its own view of the lease
// is renewed, or it knows no such lease.
func (m *machine) oldAck(w *world, ka *modelKA, old *modelDeposed) {
	w.budget.take(fOldAck)
	e := &w.etcd
	ka.leg, ka.late, ka.term = reply, false, old.term
	slot, real := old.slot(ka.lease), e.leaseSlot(ka.lease)
	m.effectIf(slot < 0 && real >= 0 || slot >= 0 && (real < 0 || e.leases[real].until < w.now+modelEarliest), fOldAck)
	if slot < 0 {
		ka.denied = true
		return
	}
	old.leases[slot].until = max(old.leases[slot].until, w.now+modelEarliest)
}

func (c *modelCand) shiftKA() {
	copy(c.kas[:], c.kas[1:])
	c.kas[maxKAs-1] = modelKA{}
}

// receiveKA gives an answered keep-alive to the loop. A denial that carries an older raft term than
// the lease's grant is kept from the library (renewalStream.RecvMsg); any other ends its session.
func (m *machine) receiveKA(w *world, i int, preempted bool) {
	c := &w.cands[i]
	ka := c.kas[0]
	if ka.leg == reply {
		ka.got = w.now
	}
	c.shiftKA()
	r := Renewal{Lease: LeaseID(ka.lease), Sent: inst(ka.sent), Received: inst(ka.got), RaftTerm: uint64(ka.term), TTL: modelTTL.duration()}
	if ka.denied {
		r.TTL = 0
	}
	c.nextKA = w.now + kaInterval
	m.handle(w, i, Renewed{c.core.session, r}, preempted)
}

func (m *machine) doFault(w *world, a act) {
	i := int(a.cand)
	c := &w.cands[i]
	b := &w.budget
	switch a.op {
	case opPoll:
		b.take(fPoll)
		m.poll(w, i)
	case opRead:
		b.take(fReader)
		c.reading, c.readDesk, c.readClock = true, c.desk, w.now
	case opEndRead:
		m.endRead(w, i, a.arg)
	case opPause:
		b.take(fPause)
		c.paused = true
	case opWake:
		c.paused = false
		f := &c.desk.facts
		m.effectIf(f.term && !inst(w.now).Before(f.deadline.Add(-f.margin)), fPause)
	case opStraggle:
		b.take(fStraggler)
		m.straggle(w, i)
	case opStall:
		b.take(fStall)
		c.stalled = true
	case opShutdown:
		b.take(fShutdown)
		m.handle(w, i, ShutdownAsked{}, false)
		for j := range w.promises {
			if p := &w.promises[j]; int(p.owner) == i && p.token != 0 {
				p.freed = m.scope.releaseNow
			}
		}
	case opTransfer:
		b.take(fTransfer)
		m.handle(w, i, TransferAsked{Token: c.core.key.token, To: Candidate{Identity: modelNames[a.arg]}}, false)
	case opBar:
		b.take(fBar)
		barred := CauseUnhealthy
		if c.core.barred != CauseNone {
			barred = CauseNone
		}
		m.handle(w, i, EligibilityChanged{Barred: barred}, false)
	case opUnfence:
		b.take(fUnfence)
		c.maxRev, c.maxRevAt, c.outlived = 0, 0, false
		c.noToken, c.provenToken = 0, 0 // tokens come again
		m.handle(w, i, UnfenceAsked{}, false)
	case opResign:
		b.take(fResign)
		m.handle(w, i, ResignAsked{Token: c.core.key.token, Until: inst(w.now + modelTTL/2)}, false)
	case opYield:
		b.take(fResign)
		token := c.core.key.token
		m.handle(w, i, ResignAsked{Token: token, Stopped: true}, false)
		for j := range w.promises {
			if p := &w.promises[j]; int(p.owner) == i && int64(p.token) == token {
				*p = modelPromise{}
			}
		}
	case opCrash:
		b.take(fCrash)
		m.crash(w, i)
	case opRestart:
		m.start(w, i)
	case opDelete, opOverwrite, opRevokeLease:
		b.take(fOperator)
		m.operate(w, a)
	case opRivalGoes:
		id := w.etcd.keys[a.arg].lease
		m.revoke(w, id, byExpiry)
	default:
		m.doEtcd(w, a)
	}
}

func (m *machine) doEtcd(w *world, a act) {
	b := &w.budget
	switch a.op {
	case opElect:
		b.take(fElect)
		w.elect()
	case opPromote:
		w.promote()
	case opDecide:
		w.etcd.propose(uint8(a.arg))
	case opOldDecide:
		b.take(fOldRevoke)
		m.effectIf(w.etcd.leases[w.etcd.leaseSlot(uint8(a.arg))].until > w.now, fOldRevoke)
		w.etcd.propose(uint8(a.arg))
	case opRevoke:
		m.revoke(w, uint8(a.arg), byExpiry)
	case opZombie:
		b.take(fZombie)
		before := w.etcd
		m.rise(w, int(a.arg))
		m.effectIf(w.etcd != before, fZombie)
	case opRestore:
		b.take(fRestore)
		m.restore(w)
	}
}

// operate does behind the program's back what it does not promise to survive without a gap.
func (m *machine) operate(w *world, a act) {
	k := &w.etcd.keys[a.arg]
	switch a.op {
	case opDelete:
		w.excuse(k.token)
		m.removeKey(w, int(a.arg), byOperator)
		w.etcd.rev++
	case opOverwrite: // a plain put: no lease
		w.excuse(k.token)
		w.etcd.rev++
		k.mod, k.lease, k.foreign = w.etcd.rev, 0, true
	case opRevokeLease:
		w.excuse(k.token)
		m.revoke(w, k.lease, byOperator)
	}
}

// start starts a process.
func (m *machine) start(w *world, i int) {
	n := w.cands[i].incarnation + 1
	w.cands[i] = modelCand{up: true, incarnation: n}
	w.cands[i].core = core{releaseNow: m.scope.releaseNow, grace: m.scope.grace.duration(), vets: m.scope.vets, phase: Connecting}
	m.handle(w, i, Tick{}, false)
}

// crash kills a process with its work. What it sent may still be applied.
func (m *machine) crash(w *world, i int) {
	c := &w.cands[i]
	for kind := range c.calls {
		m.buryCall(w, i, kind)
	}
	w.cands[i] = modelCand{incarnation: c.incarnation}
}

// restore puts etcd back to the scope's snapshot. Its members have been down: what was under way is
// answered with an error. Leases have random numbers, so none comes twice.
func (m *machine) restore(w *world) {
	for i := range m.scope.cands {
		for kind := range w.cands[i].calls {
			if w.cands[i].calls[kind].leg != idle {
				m.breakOff(w, i, kind)
			}
		}
		w.cands[i].kas = [maxKAs]modelKA{}
	}
	for i := range w.etcd.keys {
		if w.etcd.keys[i].token != 0 {
			w.excuse(w.etcd.keys[i].token)
		}
	}
	term, lease := w.etcd.term, w.etcd.lastLease
	w.etcd = *m.scope.snapshot
	w.etcd.term, w.etcd.lastLease, w.etcd.promoted = term+1, lease, false
	w.etcd.deposed = [2]modelDeposed{}
	w.restored = true
	w.zombies = [maxZombies]modelZombie{}
	w.now++ // what is asked afterwards is asked later
}

// breakOff ends a call whose connection is gone.
func (m *machine) breakOff(w *world, i, kind int) {
	if kind == callObserve {
		w.cands[i].calls[kind] = modelCall{}
		return
	}
	m.giveUp(w, i, kind)
}

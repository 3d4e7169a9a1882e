package election

// What can happen next. An act is one transition of the world; enabled lists all that a world allows
// and perform carries one out.

type act struct {
	op   op
	cand int8
	arg  int8
	arg2 int8
}

type op uint8

const (
	opAdvance op = iota
	opGoOn
	opTick
	opApply
	opClear // the campaign's wait finds no older key
	opReceive
	opStamp // the reply is stamped, and the goroutine stopped before the loop has it
	opGiveUp
	opObserve
	opKASend
	opKAAck  // arg2: by the deposed leader
	opKAPass // a member stamps it, and passes it on to the leader later
	opRestamp
	opKAReceive
	opKAStamp
	opKADrop
	opWatch
	opSessionOver
	opWorkEnds
	opPoll
	opRead
	opEndRead
	opPause
	opWake
	opStall
	opShutdown
	opResign
	opTransfer // arg: to whom
	opVetted   // arg: vetoed
	opBar      // or lets campaign again
	opUnfence
	opYield // resigns with the token: whoever got promises has stopped
	opCrash
	opRestart
	opElect
	opPromote
	opDecide
	opOldDecide
	opRevoke
	opZombie
	opDelete
	opOverwrite
	opRevokeLease
	opRestore
	opRivalGoes
	opStraggle
)

// enabled lists what can happen in a world.
func (m *machine) enabled(w *world, acts []act) []act {
	acts = m.etcdActs(w, acts[:0])
	for i := range m.scope.cands {
		c := &w.cands[i]
		switch {
		case c.gone():
			if m.scope.restarts {
				acts = append(acts, act{op: opRestart, cand: int8(i)})
			}
		case c.paused:
			acts = append(acts, act{op: opWake, cand: int8(i)})
		default:
			acts = m.candActs(w, i, acts)
			acts = m.faultActs(w, i, acts)
		}
		acts = m.requestActs(w, i, acts)
	}
	if m.mayAdvance(w) {
		acts = append(acts, act{op: opAdvance})
	}
	return acts
}

func (m *machine) etcdActs(w *world, acts []act) []act {
	e, b := &w.etcd, &w.budget
	for i := range e.leases {
		l := e.leases[i]
		if l.id != 0 && e.promoted && l.until <= w.now && !e.revoking(l.id) {
			acts = append(acts, act{op: opDecide, arg: int8(l.id)})
		}
	}
	if e.promoted {
		for i := range e.revokes {
			if e.revokes[i].lease != 0 {
				acts = append(acts, act{op: opRevoke, arg: int8(e.revokes[i].lease)})
			}
		}
		for i := range w.zombies {
			if w.zombies[i].kind != zombieNone && b[fZombie] > 0 {
				acts = append(acts, act{op: opZombie, arg: int8(i)})
			}
		}
	} else {
		acts = append(acts, act{op: opPromote})
	}
	if e.promoted && b[fElect] > 0 {
		acts = append(acts, act{op: opElect})
	}
	for id := uint8(1); b[fOldRevoke] > 0 && id <= e.lastLease; id++ {
		if e.leaseSlot(id) >= 0 && !e.revoking(id) && e.deposedFinds(id, w.now) {
			acts = append(acts, act{op: opOldDecide, arg: int8(id)})
		}
	}
	for i := range e.keys {
		k := e.keys[i]
		if k.token == 0 {
			continue
		}
		if k.owner < 0 {
			acts = append(acts, act{op: opRivalGoes, arg: int8(i)})
		} else if b[fOperator] > 0 {
			acts = append(acts, act{op: opDelete, arg: int8(i)}, act{op: opRevokeLease, arg: int8(i)})
			if !k.foreign {
				acts = append(acts, act{op: opOverwrite, arg: int8(i)})
			}
		}
	}
	if b[fRestore] > 0 && m.scope.snapshot != nil && m.allRun(w) {
		acts = append(acts, act{op: opRestore})
	}
	return acts
}

// allRun reports whether every process is up and between turns, so that each can be told of an error.
func (m *machine) allRun(w *world) bool {
	for i := range m.scope.cands {
		if c := &w.cands[i]; !c.up || c.paused || c.stalled || c.turn != betweenTurns || c.calls[callClose].leg != idle {
			return false
		}
	}
	return true
}

// requestActs are those of requests that have left the process, whatever becomes of it.
func (m *machine) requestActs(w *world, i int, acts []act) []act {
	c, e := &w.cands[i], &w.etcd
	if !c.up {
		return acts
	}
	for kind := range c.calls {
		grants := kind == callOpen && c.calls[kind].stage == 1 || kind == callRebind && c.calls[kind].stage == 0
		if c.calls[kind].leg == request && e.promoted && !(grants && w.room() < 0) {
			acts = append(acts, act{op: opApply, cand: int8(i), arg: int8(kind)})
		}
		if c.calls[kind].leg == reply && e.promoted && w.budget[fStamp] > 0 && c.calls[kind].term < e.term && kind != callClose {
			acts = append(acts, act{op: opRestamp, cand: int8(i), arg: int8(kind)})
		}
	}
	if m.mayClear(w, i) {
		acts = append(acts, act{op: opClear, cand: int8(i)})
	}
	if head := c.kaHead(request); head >= 0 {
		if e.promoted {
			acts = append(acts, act{op: opKAAck, cand: int8(i)})
			if w.budget[fElect] > 0 && w.budget[fStamp] > 0 && c.kas[head].term == 0 {
				acts = append(acts, act{op: opKAPass, cand: int8(i)})
			}
		}
		for j := range e.deposed {
			if e.deposed[j].term != 0 && w.budget[fOldAck] > 0 {
				acts = append(acts, act{op: opKAAck, cand: int8(i), arg2: int8(j + 1)})
			}
		}
	}
	return acts
}

// kaHead is the first keep-alive, if it is on that leg: a stream is answered in order.
func (c *modelCand) kaHead(l leg) int {
	for j := range c.kas {
		switch {
		case c.kas[j].leg == idle:
			return -1
		case c.kas[j].leg == l:
			return j
		case l == request && c.kas[j].leg > request:
			continue // answered, on its way back
		default:
			return -1
		}
	}
	return -1
}

func (m *machine) candActs(w *world, i int, acts []act) []act {
	c, b := &w.cands[i], &w.budget
	add := func(o op, arg, arg2 int) { acts = append(acts, act{o, int8(i), int8(arg), int8(arg2)}) }
	if c.turn != betweenTurns {
		add(opGoOn, 0, 0)
	}
	loop := c.turn == betweenTurns && !c.stalled
	if loop && m.tickDue(w, i) {
		add(opTick, 0, 0)
		if b[fPreempt] > 0 {
			add(opTick, 0, 1)
		}
	}
	for kind := range c.calls {
		l := c.calls[kind].leg
		if (l == reply || l == received) && loop {
			add(opReceive, kind, 0)
			if b[fPreempt] > 0 {
				add(opReceive, kind, 1)
			}
		}
		if l == reply && b[fPreempt] > 0 && kind == callConfirm {
			add(opStamp, kind, 0)
		}
		if loop && m.mayGiveUp(w, i, kind) {
			add(opGiveUp, kind, 0)
		}
	}
	if m.observeDue(w, i) {
		add(opObserve, 0, 0)
	}
	if m.kaDue(w, i) {
		add(opKASend, 0, 0)
	}
	if c.kas[0].leg == reply || c.kas[0].leg == received {
		if loop {
			add(opKAReceive, 0, 0)
			if b[fPreempt] > 0 {
				add(opKAReceive, 0, 1)
			}
		}
		if c.stalled {
			add(opKADrop, 1, 0)
		}
		if c.kas[0].leg == reply && b[fPreempt] > 0 {
			add(opKAStamp, 0, 0)
		}
	}
	if c.kas[0].leg != idle && !c.stalled && (b[fLoss] > 0 || c.kas[0].late && w.now >= c.kas[0].sent+modelTTL/8) {
		add(opKADrop, 0, 0)
	}
	if loop && m.watchDue(w, i) {
		add(opWatch, 0, 0)
	}
	if loop && (c.work == told || c.work == working && b[fWorkReturns] > 0) {
		add(opWorkEnds, 0, 0)
	}
	if loop && c.vet != noWork {
		add(opVetted, 0, 0)
		if c.vet == working && b[fVeto] > 0 {
			add(opVetted, 1, 0)
		}
	}
	if loop && c.straggler.on && b[fStraggler] > 0 {
		add(opStraggle, 0, 0)
	}
	if c.reading {
		add(opEndRead, beforeClock, 0)
		add(opEndRead, afterClock, 0)
		add(opEndRead, beforePromise, 0)
	}
	return acts
}

func (m *machine) faultActs(w *world, i int, acts []act) []act {
	c, b := &w.cands[i], &w.budget
	add := func(o op) { acts = append(acts, act{op: o, cand: int8(i)}) }
	if b[fPoll] > 0 && c.desk.facts.token != 0 && !c.desk.over {
		add(opPoll)
	}
	if m.scope.splitReads && b[fReader] > 0 && !c.reading && c.desk.facts.term {
		add(opRead)
	}
	if b[fPause] > 0 {
		add(opPause)
	}
	if b[fStall] > 0 && !c.stalled && c.turn == betweenTurns {
		add(opStall)
	}
	if b[fShutdown] > 0 && !c.core.shutdown && c.turn == betweenTurns && !c.stalled {
		add(opShutdown)
	}
	if b[fResign] > 0 && c.core.termOnKey() && c.turn == betweenTurns && !c.stalled {
		add(opYield)
		if !c.core.ending.on {
			add(opResign)
		}
	}
	if b[fTransfer] > 0 && c.core.termOnKey() && !c.core.ending.on && c.turn == betweenTurns && !c.stalled {
		for heir := range m.scope.cands {
			if heir != i {
				acts = append(acts, act{op: opTransfer, cand: int8(i), arg: int8(heir)})
			}
		}
	}
	if b[fBar] > 0 && c.turn == betweenTurns && !c.stalled {
		add(opBar)
	}
	if b[fUnfence] > 0 && c.core.fenced && c.turn == betweenTurns && !c.stalled {
		add(opUnfence)
	}
	if b[fCrash] > 0 {
		add(opCrash)
	}
	if b[fLoss] > 0 && m.scope.breaks && c.core.stage == open && c.turn == betweenTurns && !c.stalled {
		add(opSessionOver)
	}
	return acts
}

// mayGiveUp: a call that has been under way for its bound may end without an answer, and at the price
// of a loss any.
func (m *machine) mayGiveUp(w *world, i, kind int) bool {
	call := &w.cands[i].calls[kind]
	if call.leg == idle || call.leg == received || kind == callObserve || call.leg == waiting && w.budget[fLoss] == 0 {
		return false
	}
	if kind == callClose && call.leg == reply {
		return false
	}
	if w.budget[fLoss] > 0 {
		return true
	}
	bound := modelTTL / 10
	switch kind {
	case callRebind, callClose:
		bound = modelTTL / 5
	case callOpen:
		bound = tick(openTimeout.Milliseconds())
	case callCampaign:
		return false
	}
	return call.late && w.now >= call.sent+bound
}

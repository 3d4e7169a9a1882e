package election

// The store's calls, as messages: applied by etcd when its leader takes them, received later, given up
// at any time. internal/etcdstore is the original.

// apply lets etcd take a request. It reports false when the model has no room for what it would make.
func (m *machine) apply(w *world, i, kind int) {
	e, c := &w.etcd, &w.cands[i]
	call := &c.calls[kind]
	call.leg, call.late = reply, false
	switch kind {
	case callOpen:
		m.applyOpen(w, i)
		return
	case callCampaign:
		call.token = w.putCampaign(int8(i), c.name, c.kept)
		call.ok, call.term = call.token != 0, e.term
		if call.ok {
			call.leg, call.sent = waiting, 0
		}
		return
	case callConfirm:
		slot := e.keySlot(c.name)
		if slot >= 0 && e.keys[slot].token == call.token && e.keys[slot].mod == call.mod && e.keys[slot].lease == call.lease {
			call.ok, call.first = true, e.oldest() == slot
			if call.first {
				c.provenToken = call.token
			}
		} else {
			call.find(e, slot, i)
		}
	case callRebind:
		if call.stage == 0 {
			grant, ok := w.grant()
			if !ok {
				call.leg = request
				return
			}
			call.grant = grant
			break
		}
		applied, bound := w.putRebind(c.name, call.token, call.mod, call.grant)
		call.ok = bound
		m.effectIf(bound, fElect)
		if !applied {
			call.found = foundNothing
			call.lease = 0 // refused: no answer but an error
		} else if !bound {
			call.find(e, e.keySlot(c.name), i)
		}
	case callObserve:
		call.token = 0
		if slot := e.oldest(); slot >= 0 {
			call.token, call.own = e.keys[slot].token, e.keys[slot].owner == int8(i)
		}
	case callClose:
		m.applyClose(w, i)
		return
	}
	call.term, call.rev = e.term, e.rev
}

// find notes the own key as it stands.
func (call *modelCall) find(e *modelEtcd, slot, owner int) {
	call.found = foundNothing
	if slot < 0 {
		return
	}
	k := e.keys[slot]
	call.found, call.own = foundKey, !k.foreign && int(k.owner) == owner
	call.token, call.mod, call.lease = k.token, k.mod, k.lease
}

func (call *modelCall) keyState() *KeyState {
	if call.found == foundNothing {
		return nil
	}
	return &KeyState{Token: int64(call.token), Mod: int64(call.mod), Lease: LeaseID(call.lease), Own: call.own}
}

// applyOpen: first what earlier sessions left is removed, then the election is read, then a lease granted.
func (m *machine) applyOpen(w *world, i int) {
	c := &w.cands[i]
	call := &c.calls[callOpen]
	if call.stage == 0 {
		if c.leftName != 0 {
			m.deleteKey(w, c.leftName, byRelease)
			c.leftName = 0
		}
		for j, id := range c.left {
			if id != 0 {
				m.revoke(w, id, byRelease)
			}
			c.left[j] = 0
		}
	} else {
		grant, ok := w.grant()
		if !ok {
			call.leg = request
			return
		}
		call.grant = grant
	}
	call.term, call.rev = w.etcd.term, w.etcd.rev
}

// receive takes a reply in and, unless the call goes on with another request, gives it to the loop.
func (m *machine) receive(w *world, i, kind int, preempted bool) {
	c := &w.cands[i]
	call := &c.calls[kind]
	if call.leg == reply {
		call.got = w.now
	}
	call.late = false
	if call.stage == 0 && (kind == callOpen || kind == callRebind) {
		m.nextRequest(w, i, kind)
		return
	}
	m.take(w, i, kind, preempted)
}

// nextRequest goes on with a call that takes two requests. A lease that was granted in another raft
// term than the reply before it is not settled: another is asked for (session.grant).
func (m *machine) nextRequest(w *world, i, kind int) {
	c := &w.cands[i]
	call := &c.calls[kind]
	next := *call
	next.leg, next.stage, next.sent = request, 1, w.now
	switch kind {
	case callOpen:
		next.gSent, next.gGot, next.gTerm, next.gRev = call.sent, call.got, call.term, call.rev
	case callRebind:
		if call.term != call.gTerm {
			m.leave(w, i, call.grant)
			next.stage, next.gTerm, next.grant = 0, call.term, 0
			break
		}
		next.gSent, next.gGot, next.gRev = call.sent, call.got, call.rev
	}
	*call = next
}

// take gives a received reply to the loop.
func (m *machine) take(w *world, i, kind int, preempted bool) {
	c := &w.cands[i]
	call := c.calls[kind]
	n := c.core.session
	rep := Reply{Sent: inst(call.sent), Received: inst(call.got), RaftTerm: uint64(call.term), Revision: int64(call.rev)}
	if kind == callOpen && call.term != call.gTerm {
		// Not settled: left to run out, and another asked for, with this reply as the earlier one.
		m.leave(w, i, call.grant)
		again := &c.calls[kind]
		again.leg, again.sent, again.grant, again.gTerm = request, w.now, 0, call.term
		return
	}
	c.calls[kind] = modelCall{}
	var ev Event
	switch kind {
	case callCampaign, callConfirm:
		if kind == callConfirm {
			m.witnessed(w, i, call.sent, call.got, call.rev)
		}
		ev = call.event(kind, n)
	case callOpen:
		first := Reply{Sent: inst(call.gSent), Received: inst(call.gGot), RaftTerm: uint64(call.gTerm), Revision: int64(call.gRev)}
		m.witnessed(w, i, call.gSent, call.gGot, call.gRev)
		c.name, c.kept, c.nextKA = call.grant, call.grant, w.now
		c.watchMod, c.watchGone, c.observed, c.hasRead = 0, false, 0, false
		g := Grant{Lease: LeaseID(call.grant), TTL: modelTTL.duration(), Reply: rep}
		ev = SessionOpened{n, Opened{Grant: g, First: first, Key: "key"}}
	case callRebind:
		ev = m.rebindReply(w, i, call, rep)
	case callObserve:
		m.witnessed(w, i, call.sent, call.got, call.rev)
		c.observed, c.hasRead = call.token, true
		o := Observed{Session: n, Reply: rep}
		if call.token != 0 {
			o.Leader = Candidate{Identity: "somebody", Token: int64(call.token)}
		}
		ev = o
	case callClose:
		c.name, c.kept, c.nextKA = 0, 0, 0
		c.watchMod, c.watchGone, c.observed, c.hasRead = 0, false, 0, false
		ev = SessionClosed{n}
	}
	m.handle(w, i, ev, preempted)
}

// event is what a campaign or a confirmation that was answered comes to.
func (call *modelCall) event(kind, session int) Event {
	switch {
	case kind == callCampaign && call.ok:
		return CampaignWon{session, Won{Token: int64(call.token), Mod: int64(call.token), RaftTerm: uint64(call.term)}}
	case kind == callCampaign:
		return CampaignFailed{Session: session}
	}
	conf := Confirmation{Holds: call.ok, Oldest: call.first, Reply: Reply{
		Sent: inst(call.sent), Received: inst(call.got), RaftTerm: uint64(call.term), Revision: int64(call.rev)}}
	if !call.ok {
		conf.Found = call.keyState()
	}
	return Confirmed{Session: session, Confirmation: conf}
}

// straggle gives the loop what came of a call of a session that was closed.
func (m *machine) straggle(w *world, i int) {
	c := &w.cands[i]
	s := c.straggler
	c.straggler = modelStraggler{}
	n := int(s.session)
	m.effectIf(n != c.core.session && c.core.stage == open, fStraggler)
	answered := s.call.leg == reply || s.call.leg == received
	var ev Event
	switch {
	case s.kind == callRebind:
		ev = KeyRebound{Session: n, Failed: true} // Close ends it, and waits for it
	case answered:
		if s.call.leg == reply {
			s.call.got = w.now
		}
		ev = s.call.event(int(s.kind), n)
	case s.kind == callConfirm:
		ev = Confirmed{Session: n, Failed: true}
	default:
		ev = CampaignFailed{Session: n}
	}
	m.handle(w, i, ev, false)
}

// rebindReply is what Rebind returns after its put was answered.
func (m *machine) rebindReply(w *world, i int, call modelCall, rep Reply) Event {
	c := &w.cands[i]
	n := c.core.session
	if !call.ok && call.found == foundNothing && call.lease == 0 { // etcd knows no such lease
		m.leave(w, i, call.grant)
		return KeyRebound{Session: n, Failed: true}
	}
	m.witnessed(w, i, call.sent, call.got, call.rev)
	g := Grant{Lease: LeaseID(call.grant), TTL: modelTTL.duration(), Reply: Reply{
		Sent: inst(call.gSent), Received: inst(call.gGot), RaftTerm: uint64(call.gTerm), Revision: int64(call.gRev)}}
	rb := Rebound{Grant: g, Reply: rep, Bound: call.ok}
	if !call.ok {
		rb.Found = call.keyState()
		m.leave(w, i, call.grant)
		return KeyRebound{Session: n, Rebound: rb}
	}
	c.kept, c.nextKA, c.kas = call.grant, w.now, [maxKAs]modelKA{}
	return KeyRebound{Session: n, Rebound: rb}
}

// giveUp ends a call without an answer: timed out, or its connection broke. What was sent may still
// be applied.
func (m *machine) giveUp(w *world, i, kind int) {
	c := &w.cands[i]
	call := c.calls[kind]
	m.effectIf(call.leg == reply, fLoss)
	m.buryCall(w, i, kind)
	n := c.core.session
	if kind == callClose {
		m.closeStage(w, i, false)
		return
	}
	c.calls[kind] = modelCall{}
	switch kind {
	case callOpen:
		m.leave(w, i, call.grant)
		m.handle(w, i, SessionFailed{Session: n}, false)
	case callCampaign:
		m.handle(w, i, CampaignFailed{Session: n}, false)
	case callConfirm:
		m.handle(w, i, Confirmed{Session: n, Failed: true}, false)
	case callRebind:
		m.leave(w, i, call.grant)
		m.handle(w, i, KeyRebound{Session: n, Failed: true}, false)
	}
}

// buryCall keeps the write of a request that is given up before it was applied.
func (m *machine) buryCall(w *world, i, kind int) {
	c := &w.cands[i]
	call := &c.calls[kind]
	if call.leg != request {
		return
	}
	z := modelZombie{owner: int8(i), name: c.name}
	switch {
	case kind == callCampaign:
		z.kind, z.lease = zombieCampaign, c.kept
	case kind == callRebind && call.stage == 1:
		z.kind, z.token, z.mod, z.lease = zombieRebind, call.token, call.mod, call.grant
	case kind == callClose && call.heir != 0:
		z.kind, z.token, z.heir = zombiePass, call.token, call.heir
	case kind == callClose && call.stage == 0:
		z.kind = zombieDelete
	case kind == callClose:
		z = modelZombie{kind: zombieRevoke, owner: int8(i), lease: call.lease}
		if call.stage == 1 {
			z.lease = c.kept
		}
	default:
		return
	}
	w.bury(z)
}

// leave keeps a lease for the next open to revoke.
func (m *machine) leave(w *world, i int, id uint8) {
	c := &w.cands[i]
	if id == 0 {
		return
	}
	for j := range c.left {
		if c.left[j] == 0 || c.left[j] == id {
			c.left[j] = id
			return
		}
	}
}

// closeSession is session.Close: what is under way ends, then the key is deleted and the leases are
// revoked, or all of it left to the next session.
func (m *machine) closeSession(w *world, i int, release bool, to Candidate) {
	c := &w.cands[i]
	for _, kind := range []int{callCampaign, callConfirm, callRebind, callObserve} {
		if kind == callRebind {
			m.leave(w, i, c.calls[kind].grant)
		}
		m.buryCall(w, i, kind)
		if w.budget[fStraggler] > 0 && kind != callObserve && c.calls[kind].leg != idle {
			c.straggler = modelStraggler{true, uint8(kind), uint8(c.core.session), c.calls[kind]}
		}
		c.calls[kind] = modelCall{}
	}
	claim := c.core.claim()
	c.calls[callClose] = modelCall{leg: request, sent: w.now, token: uint8(claim.Token), lease: uint8(claim.Lease)}
	if release {
		for heir := range m.scope.cands {
			if to.Identity == modelNames[heir] {
				c.calls[callClose].heir = uint8(heir + 1)
			}
		}
	} else {
		for range 3 {
			m.closeStage(w, i, false)
		}
	}
}

func (m *machine) applyClose(w *world, i int) {
	c := &w.cands[i]
	call := &c.calls[callClose]
	if call.heir != 0 {
		m.pass(w, i, call.token, call.heir)
		m.closeStage(w, i, true)
		return
	}
	switch call.stage {
	case 0:
		m.deleteKey(w, c.name, byRelease)
	case 1:
		m.revoke(w, c.kept, byRelease)
	case 2:
		m.revoke(w, call.lease, byRelease)
	}
	m.closeStage(w, i, true)
}

// closeStage goes on to the next request of Close; what was not removed is left to the next session.
func (m *machine) closeStage(w *world, i int, removed bool) {
	c := &w.cands[i]
	call := &c.calls[callClose]
	if call.heir != 0 { // whatever came of it, the key is deleted next
		call.heir, call.leg, call.late, call.sent = 0, request, false, w.now
		return
	}
	if !removed {
		switch call.stage {
		case 0:
			c.leftName = c.name
		case 1:
			m.leave(w, i, c.kept)
		case 2:
			m.leave(w, i, call.lease)
		}
	}
	call.stage++
	call.leg, call.late, call.sent = request, false, w.now
	if call.stage == 2 && call.lease == c.kept {
		call.stage++
	}
	if call.stage >= 3 {
		c.calls[callClose] = modelCall{leg: reply, stage: 3}
		c.kas = [maxKAs]modelKA{}
	}
}

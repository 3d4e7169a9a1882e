package election

// What must hold. Each broken rule has a name, by which a failing run is recognised.

// check judges a state: who would say yes to a reader at this very instant.
func (m *machine) check(w *world) {
	m.effectOfPolls(w)
	yes := 0
	for i := range m.scope.cands {
		c := &w.cands[i]
		if !c.up || c.paused {
			continue // a stopped process evaluates nothing
		}
		if !m.look(w, i).Leading {
			continue
		}
		m.effect(someYes)
		token := uint8(c.desk.facts.token)
		m.judgeYes(w, i, token)
		m.judgeNotice(w, i, token)
		if !w.isExcused(token) {
			yes++
		}
	}
	if yes > 1 {
		m.fail("one yes", "%d electors say yes at %v", yes, w.now)
	}
}

// judgeYes judges one evaluation that said yes.
func (m *machine) judgeYes(w *world, i int, token uint8) {
	c := &w.cands[i]
	if token == c.noToken && token != 0 {
		m.fail("a no is final", "%s says yes with token %d at %v after a no", modelNames[i], token, w.now)
	}
	if w.isExcused(token) {
		return
	}
	oldest := w.etcd.oldest()
	if slot := w.etcd.tokenSlot(token); slot >= 0 && m.scope.grace > 0 {
		if lease := w.etcd.leaseSlot(w.etcd.keys[slot].lease); lease >= 0 && w.etcd.leases[lease].until < w.now+m.scope.grace {
			m.fail("time to stop", "%s says yes with token %d at %v; its lease can end at %v", modelNames[i], token, w.now, w.etcd.leases[lease].until)
		}
	}
	switch {
	case w.etcd.tokenSlot(token) < 0:
		m.fail("a yes has its key", "%s says yes with token %d at %v; there is no such key", modelNames[i], token, w.now)
	case w.etcd.keys[oldest].token != token:
		m.fail("a yes has the oldest key", "%s says yes with token %d at %v; the oldest key has %d", modelNames[i], token, w.now, w.etcd.keys[oldest].token)
	case int(w.etcd.keys[oldest].owner) != i:
		m.fail("a yes has its key", "%s says yes with token %d at %v, which is another's", modelNames[i], token, w.now)
	}
}

// judgeNotice: what the own key's watch has told the loop ends the yes, whoever was at the key.
func (m *machine) judgeNotice(w *world, i int, token uint8) {
	c := &w.cands[i]
	if c.turn != betweenTurns || int64(token) != c.core.key.token {
		return
	}
	slot := w.etcd.keySlot(c.name)
	if c.watchGone || slot >= 0 && w.etcd.keys[slot].foreign && w.etcd.keys[slot].mod == c.watchMod {
		m.fail("what the watch tells ends the yes", "%s says yes with token %d at %v, after its watch told that the key is gone or foreign",
			modelNames[i], token, w.now)
	}
}

// witnessed is the checker's own note of how far etcd was seen by a process, and that it went back.
func (m *machine) witnessed(w *world, i int, sent, got tick, rev uint8) {
	c := &w.cands[i]
	if !m.scope.evidence {
		return
	}
	if rev > c.maxRev {
		c.maxRev, c.maxRevAt = rev, got
	} else if sent > c.maxRevAt && rev < c.maxRev {
		c.outlived = true
		m.effect(fRestore)
	}
}

// lively reports whether the scope asks for a leader in the end from this state.
func (m *machine) lively(w *world) bool {
	if m.scope.noLiveness || w.restored {
		return false
	}
	for _, k := range w.etcd.keys {
		// An operator's put has taken the key off its lease. If its owner does not come to delete it, it
		// stands until the operator removes it.
		if k.token == 0 || k.lease != 0 {
			continue
		}
		c := &w.cands[k.owner]
		knows := c.name == k.name || c.leftName == k.name
		if !c.alive() || !knows {
			return false
		}
	}
	for i := range m.scope.cands {
		if c := &w.cands[i]; c.eligible(w.now) || m.scope.restarts && c.gone() {
			return true
		}
	}
	return false
}

// alive reports whether a process may come to lead, now or some day, without being started anew.
func (c *modelCand) alive() bool { return c.up && !c.stalled && !c.core.shutdown && !c.core.fenced }

// eligible reports whether a process may come to lead now, as it is.
func (c *modelCand) eligible(now tick) bool {
	return c.alive() && c.core.barred == CauseNone && inst(now) >= c.core.cooldown
}

// gone reports whether a process has died or ended.
func (c *modelCand) gone() bool { return !c.up || c.core.done }

// enough certainty to keep a term by, once a keep-alive can go out: some round trips, and pauses between
// attempts.
const enough = tick(1000)

// nextChance is when the lease can next be renewed on the fair schedule: after an acknowledgement that does
// not count, or is of a keep-alive long past, the library waits for the next keep-alive's time.
func (c *modelCand) nextChance(now tick) tick {
	ka := &c.kas[0]
	counts := !ka.denied && (ka.term == 0 || uint64(ka.term) >= c.core.lease.raftTerm)
	switch {
	case ka.leg == idle:
		return max(now, c.nextKA)
	case ka.sent == now && counts:
		return now
	}
	return now + kaInterval
}

// keeper is the candidate whose live term a fair schedule must keep; -1: none. Its certainty has enough
// left for a few round trips, and nothing that has already happened is to take the term away.
func (m *machine) keeper(w *world) int {
	for i := range m.scope.cands {
		c := &w.cands[i]
		if !c.up || c.stalled || !c.core.leading() || c.core.shutdown || c.core.ending.on || c.work != working {
			continue
		}
		if c.desk.facts.token != c.core.key.token || c.desk.over || c.lapsedToken != 0 || c.stopped {
			continue
		}
		if min(tickAt(c.core.certainUntil()), tickAt(c.desk.facts.deadline.Add(-c.desk.facts.margin))) < c.nextChance(w.now)+enough {
			continue
		}
		token := uint8(c.core.key.token)
		slot := w.etcd.tokenSlot(token)
		if slot < 0 || w.isExcused(token) || w.etcd.keys[slot].foreign || w.etcd.revoking(w.etcd.keys[slot].lease) ||
			w.etcd.leaseSlot(c.kept) < 0 || w.etcd.revoking(c.kept) {
			continue
		}
		return i
	}
	return -1
}

// settle runs the fair schedule from a state: no new faults, everybody goes on, everything is delivered
// at once, work returns when told, an unrenewed lease goes when it should. A leader must be there within
// the bound, and a live term with enough certainty left must be kept. It reports whether it came to a verdict.
func (m *machine) settle(from *world) bool {
	keep := m.keeper(from)
	if keep < 0 && !m.lively(from) {
		return false
	}
	effects := m.effects
	defer func() { m.effects = effects }() // the faults have stopped
	w := &m.fair
	*w = *from
	var token int64
	if keep >= 0 {
		token = w.cands[keep].core.key.token
	}
	w.budget = budget{}
	w.zombies = [maxZombies]modelZombie{}
	start := w.now
	bound := start + modelTTL + electionTimeout + modelGrace + modelTTL/4
	for i := range m.scope.cands {
		if w.cands[i].stalled { // its keep-alives may go on for as long
			bound = start + modelTTL + electionTimeout + modelGrace + modelTTL/4 + tick(StallLimit(modelTTL.duration()).Milliseconds())
		}
	}
	if keep >= 0 {
		bound = start + 2*modelTTL
	}
	m.stack = m.stack[:0]
	for rounds := 0; ; rounds++ {
		if w.room() < 0 {
			return false // the model cannot hold another lease
		}
		a, ok := m.fairAct(w)
		if !ok {
			a = act{op: opAdvance}
		}
		if a.op == opAdvance {
			if keep >= 0 && (w.cands[keep].core.key.token != token || !m.look(w, keep).Leading) {
				m.fail("no needless loss", "a term with token %d that had enough certainty left at %v is lost at %v", token, start, w.now)
				return true
			}
			if keep < 0 && m.keeper(w) >= 0 { // somebody leads, and will go on
				return true
			}
			next := m.nextInstant(w)
			if next > bound {
				if keep < 0 {
					m.fail("always a leader again", "no leader at %v, %v after the faults have stopped", w.now, w.now-start)
				}
				return true
			}
		}
		if len(m.stack) < 4096 {
			m.stack = append(m.stack, a)
		}
		m.fairDo(w, a)
		if a.op == opAdvance || m.violation == notTold {
			m.check(w)
		}
		if m.violation != "" {
			return true
		}
		if rounds > 4000 {
			m.fail("always a leader again", "the fair schedule does not come to rest at %v", w.now)
			return true
		}
	}
}

func (m *machine) fairDo(w *world, a act) {
	if a.op == opAdvance {
		w.budget[fDelay] = 200
		m.advance(w)
		w.budget = budget{}
		return
	}
	m.do(w, a)
}

// fairAct is what happens next on the fair schedule; false: time passes.
func (m *machine) fairAct(w *world) (act, bool) { return m.fairActBut(w, opAdvance) }

// fairActBut leaves one kind of act out.
func (m *machine) fairActBut(w *world, but op) (act, bool) {
	e := &w.etcd
	if !e.promoted {
		return act{op: opPromote}, true
	}
	for i := range e.revokes {
		if e.revokes[i].lease != 0 {
			return act{op: opRevoke, arg: int8(e.revokes[i].lease)}, true
		}
	}
	for i := range e.leases {
		if l := e.leases[i]; l.id != 0 && w.now >= l.until+modelTTL-modelEarliest+modelGrace {
			return act{op: opDecide, arg: int8(l.id)}, true
		}
	}
	for i := range e.keys {
		if e.keys[i].token != 0 && e.keys[i].owner < 0 && but != opRivalGoes {
			return act{op: opRivalGoes, arg: int8(i)}, true
		}
	}
	anyUp := false
	for i := range m.scope.cands {
		anyUp = anyUp || w.cands[i].eligible(w.now)
	}
	for i := range m.scope.cands {
		if c := &w.cands[i]; c.gone() {
			if !anyUp && m.scope.restarts {
				return act{op: opRestart, cand: int8(i)}, true
			}
			continue
		}
		if a, ok := m.fairCandAct(w, i); ok {
			return a, true
		}
	}
	return act{}, false
}

func (m *machine) fairCandAct(w *world, i int) (act, bool) {
	c := &w.cands[i]
	if c.paused {
		return act{op: opWake, cand: int8(i)}, true
	}
	m.acts = m.candActs(w, i, m.acts[:0])
	m.acts = m.requestActs(w, i, m.acts)
	for _, a := range m.acts {
		if a.op != opGiveUp && !(a.op == opKADrop && a.arg == 0) {
			return a, true
		}
	}
	return act{}, false
}

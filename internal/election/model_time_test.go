package election

// What is due, and how time passes. By default everything happens at once: time passes only when all that
// is due has happened, or is paid for as a delay; a scope's budget of delays says how often. So every
// interleaving with that many late legs is gone through, without a clock that ticks.

// mayClear reports whether the campaign's wait could end: no older key is left. Whether the own key
// is there, nobody asks.
func (m *machine) mayClear(w *world, i int) bool {
	call := &w.cands[i].calls[callCampaign]
	if call.leg != waiting || !w.etcd.promoted {
		return false
	}
	for _, k := range w.etcd.keys {
		if k.token != 0 && k.token < call.token {
			return false
		}
	}
	return true
}

func (m *machine) tickDue(w *world, i int) bool {
	c := &w.cands[i]
	if c.stalled || c.turn != betweenTurns {
		return false
	}
	at := c.core.wake()
	return at > 0 && at <= inst(w.now) || inst(c.lastLoop).Add(c.core.rest(modelTTL.duration())) <= inst(w.now)
}

func (m *machine) kaDue(w *world, i int) bool {
	c := &w.cands[i]
	return c.kept != 0 && c.calls[callClose].leg != reply && w.now >= c.nextKA && c.kas[m.scope.streams-1].leg == idle && m.alive(w, i)
}

// watchDue reports whether the own key's watch has something to tell.
func (m *machine) watchDue(w *world, i int) bool {
	c := &w.cands[i]
	if c.name == 0 || c.watchGone || c.calls[callClose].leg == reply {
		return false
	}
	slot := w.etcd.keySlot(c.name)
	if slot < 0 {
		return c.watchMod != 0
	}
	k := w.etcd.keys[slot] // an own later write, of a rebind, tells the core nothing
	return k.mod != c.watchMod && (k.foreign || c.watchMod == 0)
}

func (m *machine) observeDue(w *world, i int) bool {
	c := &w.cands[i]
	if !m.scope.observe || c.name == 0 || c.calls[callObserve].leg != idle || c.core.stage != open {
		return false
	}
	token := uint8(0)
	if slot := w.etcd.oldest(); slot >= 0 {
		token = w.etcd.keys[slot].token
	}
	return !c.hasRead || token != c.observed
}

// mayAdvance reports whether time may pass: everything that would by right happen at once has either
// happened or is paid for as a delay.
func (m *machine) mayAdvance(w *world) bool {
	if m.nextInstant(w) > m.scope.horizon {
		return false
	}
	return m.charge(w, false) <= int(w.budget[fDelay])
}

// advance lets time pass to the next instant at which something can matter.
func (m *machine) advance(w *world) {
	w.budget[fDelay] -= uint8(m.charge(w, true))
	w.now = m.nextInstant(w)
	for i := range w.cands {
		c := &w.cands[i]
		if c.up && !c.paused && !c.stalled && c.turn == betweenTurns && !c.lateTick {
			c.lastLoop = w.now // its idle turns change nothing
		}
	}
}

// charge counts what would have to happen before time passes and has not been paid for.
func (m *machine) charge(w *world, pay bool) int {
	n := 0
	one := func(due bool, late *bool) {
		if due && !*late {
			n++
			if pay {
				*late = true
			}
		}
	}
	e := &w.etcd
	one(!e.promoted, &e.promLate)
	for i := range e.revokes {
		one(e.revokes[i].lease != 0 && e.promoted, &e.revokes[i].late)
	}
	for i := range m.scope.cands {
		c := &w.cands[i]
		if !c.up {
			continue
		}
		awake := !c.paused
		loop := awake && !c.stalled && c.turn == betweenTurns
		clear := m.mayClear(w, i)
		for kind := range c.calls {
			call := &c.calls[kind]
			due := call.leg == request && e.promoted || call.leg == waiting && clear || loop && (call.leg == reply || call.leg == received)
			one(due, &call.late)
		}
		for j := range c.kas {
			l := c.kas[j].leg
			one(l == request && e.promoted || awake && (loop || c.stalled) && (l == reply || l == received), &c.kas[j].late)
		}
		if !awake {
			continue
		}
		one(m.kaDue(w, i), &c.lateKA)
		one(loop && m.watchDue(w, i), &c.lateWatch)
		one(loop && m.tickDue(w, i), &c.lateTick)
		one(loop && c.work == told, &c.lateWork)
		one(loop && c.vet != noWork, &c.lateVet)
	}
	return n
}

// nextInstant is the first later instant at which something can matter: a lease can first be found
// expired, certainty ends or is about to, the core wakes, a promise ends, a keep-alive falls due; or
// the grid's next point.
func (m *machine) nextInstant(w *world) tick {
	next := w.now - w.now%m.scope.grid + m.scope.grid
	sooner := func(t tick) {
		if t > w.now && t < next {
			next = t
		}
	}
	e := &w.etcd
	for i := range e.leases {
		if e.leases[i].id != 0 && e.promoted {
			sooner(e.leases[i].until)
		}
		for j := range e.deposed {
			if l := e.deposed[j].leases[i]; w.budget[fOldRevoke] > 0 && l.id != 0 {
				sooner(l.until)
			}
		}
	}
	for _, p := range w.promises {
		if p.token != 0 {
			sooner(p.until)
		}
	}
	for i := range m.scope.cands {
		c := &w.cands[i]
		if !c.up {
			continue
		}
		if at := c.core.wake(); at > 0 {
			sooner(tickAt(at))
		}
		if f := &c.desk.facts; f.term {
			end := tickAt(f.deadline.Add(-f.margin))
			if m.scope.fine {
				sooner(end - 1)
			}
			sooner(end)
		}
		if c.kept != 0 {
			sooner(c.nextKA)
		}
		if c.core.stage == open && !c.core.term.begun {
			sooner(tickAt(c.core.lease.acked.Add(-Margin(c.core.lease.ttl))))
		}
	}
	return next
}

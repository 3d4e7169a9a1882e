package election

import (
	"fmt"
	"log/slog"
	"time"
)

// The shell around the core, as run.go has it: an event, step, publish, the actions, and then the
// events that the turn itself has brought up (TermLapsed, TermStopped). Publishing is run.publish,
// answering desk.answer and the stall check Elector.alive, all of production; what is modelled here is
// run.handle's order and run.perform's effects.

const modelAnswerMax = 2 * time.Second

// modelClock is a clock that stands at an instant, and lets others at the desk while it is read.
type modelClock struct {
	now  Instant
	peek func() // called by the next reading
}

func (c *modelClock) Now() Instant {
	if c.peek != nil {
		f := c.peek
		c.peek = nil
		f()
	}
	return c.now
}

// machine is one worker's workbench: production values that a world's state is loaded into, and what
// it found wrong.
type machine struct {
	scope *scope
	clock modelClock
	run   *run

	violation string // name of the broken invariant
	detail    string
	effects   uint32 // a bit for each kind of fault that has had its effect

	// Scratch.
	next, fair world
	todo, acts []act
	stack      []act // how the fair schedule went
}

var modelNames = [...]string{"a", "b", "c", "rival"}

func newMachine(s *scope) *machine {
	m := &machine{scope: s}
	e := &Elector{cfg: Config{
		Identity: "a", Incarnation: "1", TTL: modelTTL.duration(), AnswerMax: modelAnswerMax,
		ReleaseNow: s.releaseNow, Clock: &m.clock, Logger: slog.New(slog.DiscardHandler), Recorder: noRecorder{},
	}}
	e.desk = newDesk(&m.clock, modelAnswerMax, "a")
	m.run = &run{Elector: e}
	return m
}

func (t tick) duration() time.Duration { return time.Duration(t) * time.Millisecond }

func (t tick) String() string { return t.duration().String() }

// notTold gives way to what it leads to: a yes of a loop that knows nothing of its key's end.
const notTold = "work told before loss"

// fail notes the first broken invariant of a transition.
func (m *machine) fail(invariant, format string, args ...any) {
	if m.violation == "" || m.violation == notTold {
		m.violation, m.detail = invariant, fmt.Sprintf(format, args...)
	}
}

func (m *machine) loadDesk(d modelDesk) *desk {
	p := m.run.desk
	p.facts = d.facts
	p.over.Store(d.over)
	p.promised.Store(int64(d.promised))
	return p
}

func (m *machine) saveDesk(d *modelDesk) {
	p := m.run.desk
	*d = modelDesk{p.facts, p.over.Load(), Instant(p.promised.Load())}
	// What an answer tells beside the yes decides nothing here, and would only multiply the states.
	d.facts.contact, d.facts.leaseEnd, d.facts.renewed, d.facts.workEnd = 0, 0, 0, 0
}

// look evaluates without a trace.
func (m *machine) look(w *world, i int) Answer {
	m.clock.now = inst(w.now)
	return m.loadDesk(w.cands[i].desk).answer(0)
}

// actionSet is a turn's actions. Their operands are in the core that the turn has left, so the kinds
// are enough; the order within a turn is that of the constants.
type actionSet uint16

const (
	actEndVet actionSet = 1 << iota
	actEndTerm
	actBeginTerm
	actOpen
	actCampaign
	actConfirm
	actRebind
	actVet
	actClose
)

func setOf(actions []action) actionSet {
	var set actionSet
	for _, a := range actions {
		switch a.(type) {
		case endTerm:
			set |= actEndTerm
		case beginTerm:
			set |= actBeginTerm
		case openSession:
			set |= actOpen
		case campaign:
			set |= actCampaign
		case confirm:
			set |= actConfirm
		case rebind:
			set |= actRebind
		case vet:
			set |= actVet
		case endVet:
			set |= actEndVet
		case closeSession:
			set |= actClose
		}
	}
	return set
}

// handle is run.handle, in one go or, preempted, only as far as the decision.
func (m *machine) handle(w *world, i int, ev Event, preempted bool) {
	m.decide(w, i, ev)
	if preempted {
		return
	}
	for w.cands[i].turn != betweenTurns {
		m.goOn(w, i)
	}
}

// decide takes an event through the core.
func (m *machine) decide(w *world, i int, ev Event) {
	c := &w.cands[i]
	c.lastLoop = w.now
	c.lateTick = false
	next, actions := step(c.core, inst(w.now), ev)
	m.effectOfStep(w, &c.core, &next)
	c.core = m.project(next)
	c.acts = setOf(actions)
	c.turn = beforePublish
	if c.acts&actBeginTerm != 0 {
		m.judgeBegin(w, i)
	}
}

// project forgets what decides nothing any more, or nothing here, so that worlds that differ in it only
// are one.
func (m *machine) project(c core) core {
	c.contact = 0                // bears on Answer.Connected only
	c.openedAt, c.attempt = 0, 0 // back-off is a delay like any other
	c.predecessor = 0            // for the metrics
	if !c.confirming.inFlight {
		c.proving, c.provingIn = Renewal{}, 0
	}
	if c.term.begun {
		c.wonAt = 0
	}
	if !m.scope.evidence {
		c.seen = evidence{} // etcd does not go back in this scope
	}
	return c
}

// goOn takes a turn one piece further.
func (m *machine) goOn(w *world, i int) {
	c := &w.cands[i]
	m.effectIf(w.now > c.lastLoop, fPreempt)
	switch c.turn {
	case beforePublish:
		m.publish(w, i)
		c.turn = beforePerform
	case beforePerform:
		acts := c.acts
		c.acts = 0
		c.turn = betweenTurns
		if c.lapsedToken != 0 || acts&actEndTerm != 0 {
			c.turn = beforeNextStep
		}
		m.perform(w, i, acts)
	case beforeNextStep:
		switch {
		case c.lapsedToken != 0:
			ev := TermLapsed{Token: int64(c.lapsedToken)}
			c.lapsedToken = 0
			m.decide(w, i, ev)
		case c.stopped:
			c.stopped = false
			ev := TermStopped{PromisedUntil: c.promised}
			c.promised = 0
			m.decide(w, i, ev)
		default:
			c.turn = betweenTurns
		}
	}
}

// publish is run.publish, with the shell's memory of the last state set so that there is no news.
func (m *machine) publish(w *world, i int) {
	c := &w.cands[i]
	r := m.run
	m.clock.now = inst(w.now)
	r.cfg.Identity = modelNames[i]
	m.loadDesk(c.desk)
	r.core = c.core
	r.state.Phase, r.state.Cause, r.state.Token = c.core.phase, c.core.cause, 0
	r.lastLeader = c.core.leader.Token
	if c.core.leading() {
		r.state.Token, r.lastLeader = c.core.key.token, c.core.key.token
	}
	lapsed, promised := r.publish()
	m.saveDesk(&c.desk)
	if lapsed {
		c.lapsedToken = uint8(c.core.key.token)
	}
	if c.acts&actEndTerm != 0 {
		c.stopped, c.promised = true, promised
	}
}

// perform is run.perform.
func (m *machine) perform(w *world, i int, acts actionSet) {
	c := &w.cands[i]
	claim := c.core.claim()
	call := func(kind int) *modelCall {
		c.calls[kind] = modelCall{
			leg: request, sent: w.now, token: uint8(claim.Token), mod: uint8(claim.Mod), lease: uint8(claim.Lease),
		}
		return &c.calls[kind]
	}
	if acts&actEndVet != 0 && c.vet == working {
		c.vet = told
	}
	if acts&actVet != 0 {
		m.beginVet(w, i)
	}
	if acts&actEndTerm != 0 && c.work == working {
		c.work = told
	}
	if acts&actBeginTerm != 0 {
		m.beginWork(w, i)
	}
	if acts&actOpen != 0 {
		call(callOpen)
	}
	if acts&actCampaign != 0 {
		call(callCampaign)
	}
	if acts&actConfirm != 0 {
		call(callConfirm)
	}
	if acts&actRebind != 0 {
		call(callRebind).gTerm = uint8(c.core.raftTerm)
	}
	if acts&actClose != 0 {
		m.closeSession(w, i, c.core.ending.release, c.core.ending.to)
	}
}

// judgeBegin judges the decision that a term begins. Its work may begin late, if the loop is stopped in
// between; the next turn tells it.
func (m *machine) judgeBegin(w *world, i int) {
	c := &w.cands[i]
	token := uint8(c.core.key.token)
	if c.outlived {
		m.fail("no term after etcd went back", "%s has seen etcd go back and begins a term with token %d", modelNames[i], token)
	}
	if token <= w.maxBegun && !w.restored && !w.isExcused(token) {
		m.fail("tokens grow", "%s begins a term with token %d after one with %d", modelNames[i], token, w.maxBegun)
	}
	if c.provenToken != token {
		m.fail("a term begins with the oldest key", "%s begins a term with token %d, which etcd never found to be the oldest", modelNames[i], token)
	}
	w.maxBegun = max(w.maxBegun, token)
	m.effectIf(m.used(w, fUnfence), fUnfence)
}

func (m *machine) beginWork(w *world, i int) {
	c := &w.cands[i]
	if c.work != noWork {
		m.fail("one work at a time", "%s begins a term while the work of another runs", modelNames[i])
	}
	c.work, c.workToken = working, uint8(c.core.key.token)
	if !inst(w.now).Before(c.core.certainUntil()) {
		c.work = told // the loop stood still since the decision, and the work is not begun
	}
}

// beginVet asks for a veto. Nothing else of the elector's may run meanwhile.
func (m *machine) beginVet(w *world, i int) {
	c := &w.cands[i]
	if c.vet != noWork || c.work != noWork {
		m.fail("one work at a time", "%s asks for a veto while the work of another term or another veto runs", modelNames[i])
	}
	c.vet = working
}

// alive asks the production elector whether keep-alives may go out.
func (m *machine) alive(w *world, i int) bool {
	m.clock.now = inst(w.now)
	m.run.lastLoop.Store(int64(inst(w.cands[i].lastLoop)))
	return m.run.alive()
}

// poll gives an answer to a poller, which keeps it.
func (m *machine) poll(w *world, i int) {
	c := &w.cands[i]
	m.clock.now = inst(w.now)
	a := m.loadDesk(c.desk).answer(time.Hour)
	m.saveDesk(&c.desk)
	m.noteAnswer(w, i, a, uint8(c.desk.facts.token))
}

// noteAnswer keeps what an answer said under the token that was published when it was given.
func (m *machine) noteAnswer(w *world, i int, a Answer, token uint8) {
	c := &w.cands[i]
	if a.Leading {
		m.judgeYes(w, i, token)
		m.owe(w, i, token, a.ExpiresAt)
		return
	}
	m.effect(fPoll)
	c.noToken = max(c.noToken, token, c.workToken)
}

// owe notes a promise, for which the key has to be there.
func (m *machine) owe(w *world, i int, token uint8, expires Instant) {
	until := tick((expires - modelBase) / modelMS)
	if until > w.now && w.etcd.tokenSlot(token) < 0 && !w.isExcused(token) {
		m.fail("no promise outlives its key", "%s promises until %v under token %d, whose key has gone by %v", modelNames[i], until, token, w.now)
	}
	if !w.promise(int8(i), token, until) {
		m.fail("the model holds every promise", "there is no room for another at %v", w.now)
	}
}

// readerMayBeStopped reports whether others get at the desk while a reader is between its first look at
// the state and its clock reading. It asks the production desk: in desk.answer the clock is read, and
// if the desk's lock can be had then, the evaluation is not under it.
func readerMayBeStopped() bool {
	clock := &modelClock{now: modelBase}
	d := newDesk(clock, modelAnswerMax, "a")
	open := false
	clock.peek = func() {
		if d.mu.TryLock() {
			open = true
			d.mu.Unlock()
		}
	}
	d.answer(0)
	return open
}

// Where a reader has been stopped within an evaluation.
const (
	beforeClock   = iota // its facts are old
	afterClock           // its clock reading is old too
	beforePromise        // it has found that it is a yes, and has not recorded the promise
)

// endRead lets a reader that was stopped within its evaluation finish.
func (m *machine) endRead(w *world, i int, stopped int8) {
	c := &w.cands[i]
	m.clock.now = inst(w.now)
	if stopped != beforeClock {
		m.clock.now = inst(c.readClock)
	}
	m.effectIf(c.readDesk != c.desk, fReader)
	d := m.loadDesk(c.readDesk)
	if stopped == beforePromise {
		a := d.answer(time.Hour)
		token := uint8(c.readDesk.facts.token)
		c.reading, c.readDesk, c.readClock = false, modelDesk{}, 0
		if a.Leading {
			m.loadDesk(c.desk).promise(a.ExpiresAt)
			m.saveDesk(&c.desk)
			m.owe(w, i, token, a.ExpiresAt)
		}
		return
	}
	m.clock.peek = func() { m.loadDesk(c.desk) }
	a := d.answer(time.Hour)
	m.saveDesk(&c.desk)
	token := uint8(c.readDesk.facts.token)
	c.reading, c.readDesk, c.readClock = false, modelDesk{}, 0
	m.noteAnswer(w, i, a, token)
}

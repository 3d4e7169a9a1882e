package election

import (
	"fmt"
	"os"
	"testing"
)

// The prefixes: how a scope's world has come to where its exploration starts, on the fair schedule.

func (m *machine) fairly(w *world, until func() bool) {
	for range 2000 {
		if until() {
			return
		}
		a, ok := m.fairAct(w)
		if !ok {
			a = act{op: opAdvance}
		}
		m.fairDo(w, a)
	}
	m.fail("the prefix is reached", "the scope's start is not")
}

// nobody: the electors start in an empty election.
func nobody(m *machine, w *world) {
	for i := range m.scope.cands {
		m.start(w, i)
	}
}

// alone: one elector has asked for a session.
func alone(m *machine, w *world) { m.start(w, 0) }

// aLeads: a leads and the others stand in the queue.
func aLeads(m *machine, w *world) {
	for i := range m.scope.cands {
		m.start(w, i)
		m.fairly(w, func() bool {
			c := &w.cands[i]
			return i == 0 && m.look(w, 0).Leading || i > 0 && c.calls[callCampaign].leg == waiting
		})
	}
	m.fairly(w, func() bool { _, busy := m.fairAct(w); return !busy })
}

// behindARival: the electors stand behind a candidate that is none, as etcdctl would be.
func behindARival(m *machine, w *world) {
	lease, _ := w.grant()
	w.etcd.put(modelKey{name: lease, lease: lease, owner: -1})
	for i := range m.scope.cands {
		m.start(w, i)
	}
	rival := w.etcd.keys[0]
	for range 200 { // everything but the rival's end
		a, ok := m.fairActBut(w, opRivalGoes)
		if !ok || w.etcd.keys[0] != rival {
			return
		}
		m.fairDo(w, a)
	}
}

// scopes lists the small worlds. A scope is there for what can only happen in it.
func scopes() []*scope {
	const grid = tick(3500)
	return []*scope{
		{name: "paused", cands: 2, prefix: aLeads, horizon: 14_000, grid: grid, fairOneIn: 32,
			budget: budget{fPause: 1}},
		{name: "startup", cands: 2, prefix: nobody, horizon: 12_000, grid: grid, fairOneIn: 8,
			budget: budget{fDelay: 1}, breaks: true},
		{name: "late-replies", cands: 1, prefix: alone, horizon: 21_000, grid: grid, fairOneIn: 4,
			budget: budget{fDelay: 2}},
		{name: "woken-revokes", cands: 1, prefix: aLeads, horizon: 21_000, grid: grid,
			budget: budget{fDelay: 1, fElect: 1, fOldRevoke: 1}},
		{name: "deposed-acks", cands: 1, prefix: aLeads, horizon: 17_500, grid: grid, fairOneIn: 16,
			budget: budget{fDelay: 1, fElect: 1, fOldAck: 1}},
		{name: "stale-confirmation", cands: 1, prefix: aLeads, horizon: 14_000, grid: grid, fairOneIn: 16,
			budget: budget{fDelay: 2, fElect: 1, fOldAck: 1}},
		{name: "crash-restart", cands: 2, prefix: aLeads, horizon: 12_000, grid: grid, fairOneIn: 8, restarts: true,
			budget: budget{fCrash: 2, fZombie: 1}},
		{name: "lost-releases", cands: 2, prefix: aLeads, horizon: 12_000, grid: grid, fairOneIn: 8,
			budget: budget{fShutdown: 1, fLoss: 1, fZombie: 1}},
		{name: "promises-and-release", cands: 2, prefix: aLeads, horizon: 7_000, grid: grid, fairOneIn: 4, fine: true,
			budget: budget{fPoll: 1, fShutdown: 1, fWorkReturns: 1}},
		{name: "release-now", cands: 2, prefix: aLeads, horizon: 7_000, grid: grid, fairOneIn: 4, releaseNow: true,
			budget: budget{fDelay: 1, fPoll: 1, fShutdown: 1}},
		{name: "resignations", cands: 2, prefix: aLeads, horizon: 7_000, grid: grid, fairOneIn: 4, fine: true,
			budget: budget{fPoll: 1, fResign: 2}},
		{name: "lost-resignations", cands: 2, prefix: aLeads, horizon: 10_500, grid: grid, fairOneIn: 8,
			budget: budget{fPoll: 1, fResign: 1, fLoss: 1, fZombie: 1}},
		{name: "not-eligible", cands: 2, prefix: aLeads, horizon: 7_000, grid: grid, fairOneIn: 8,
			budget: budget{fBar: 3, fPoll: 1}},
		{name: "transfer", cands: 3, prefix: aLeads, horizon: 3_500, grid: grid, fairOneIn: 16,
			budget: budget{fTransfer: 1, fPoll: 1}},
		{name: "lost-transfer", cands: 3, prefix: aLeads, horizon: 3_000, grid: grid, fairOneIn: 16,
			budget: budget{fTransfer: 1, fLoss: 1, fZombie: 1}},
		{name: "vetoed", cands: 2, prefix: nobody, horizon: 10_500, grid: grid, fairOneIn: 8, vets: true,
			budget: budget{fVeto: 1, fDelay: 1}},
		{name: "veto-and-shutdown", cands: 1, prefix: alone, horizon: 10_500, grid: grid, fairOneIn: 8, vets: true,
			budget: budget{fDelay: 1, fElect: 1, fShutdown: 1}},
		{name: "time-to-stop", cands: 2, prefix: aLeads, horizon: 14_000, grid: grid, fairOneIn: 16, grace: 2_500,
			budget: budget{fDelay: 2}},
		{name: "preempted-readers", cands: 1, prefix: aLeads, horizon: 14_000, grid: grid, fairOneIn: 8, fine: true,
			budget: budget{fDelay: 1, fPreempt: 1, fReader: 1, fPoll: 1}},
		{name: "restore", cands: 2, prefix: aLeadsThenSnapshot, horizon: 21_000, grid: grid, fairOneIn: 4, observe: true, evidence: true,
			budget: budget{fRestore: 1}},
		{name: "unfenced", cands: 1, prefix: aLeadsThenSnapshot, horizon: 14_000, grid: grid, fairOneIn: 16, observe: true, evidence: true,
			budget: budget{fRestore: 1, fUnfence: 1, fPoll: 1, fLoss: 1}},
		{name: "deposed-acks-of-two", cands: 2, prefix: aLeads, horizon: 17_500, grid: grid, fairOneIn: 16,
			budget: budget{fElect: 1, fOldAck: 2}},
		{name: "three-candidates", cands: 3, prefix: aLeads, horizon: 7_000, grid: grid, fairOneIn: 16,
			budget: budget{fShutdown: 1, fLoss: 1}},
		{name: "handover", cands: 2, prefix: aLeads, horizon: 14_000, grid: grid, fairOneIn: 32,
			budget: budget{fDelay: 2}},
		{name: "rival", cands: 1, prefix: behindARival, horizon: 21_000, grid: grid, fairOneIn: 8,
			budget: budget{fDelay: 1, fLoss: 1}, breaks: true},
		{name: "deadlocked-loop", cands: 2, prefix: aLeads, horizon: 21_000, grid: grid,
			budget: budget{fDelay: 1, fStall: 1}},
		{name: "rebind-lost-replies", cands: 1, prefix: aLeads, horizon: 17_500, grid: grid, fairOneIn: 4,
			budget: budget{fElect: 1, fLoss: 2, fZombie: 1, fOldRevoke: 1}},
		{name: "operator", cands: 2, prefix: aLeads, horizon: 12_000, grid: grid, fairOneIn: 8,
			budget: budget{fDelay: 1, fOperator: 1}},
		{name: "two-elections", cands: 1, prefix: aLeads, horizon: 14_000, grid: grid, fairOneIn: 8,
			budget: budget{fDelay: 1, fElect: 2, fOldAck: 1, fStamp: 1}},
		{name: "paused-and-late", cands: 2, prefix: aLeads, horizon: 10_500, grid: grid, fairOneIn: 64,
			budget: budget{fDelay: 1, fPause: 1}},
		{name: "crash-and-late", cands: 2, prefix: aLeads, horizon: 10_500, grid: grid, fairOneIn: 16, restarts: true,
			budget: budget{fDelay: 1, fCrash: 1, fZombie: 1}},
		{name: "late-releases", cands: 2, prefix: aLeads, horizon: 10_500, grid: grid, fairOneIn: 16,
			budget: budget{fDelay: 1, fShutdown: 1, fLoss: 1, fZombie: 1}},
		{name: "revokes-and-rebinds", cands: 2, prefix: aLeads, horizon: 14_000, grid: grid, fairOneIn: 16,
			budget: budget{fElect: 1, fOldRevoke: 2, fLoss: 1, fZombie: 1}},
		{name: "stragglers", cands: 1, prefix: aLeads, horizon: 10_500, grid: grid, fairOneIn: 16, breaks: true,
			budget: budget{fDelay: 1, fLoss: 2, fStraggler: 1}},
		{name: "preempted-release", cands: 2, prefix: aLeads, horizon: 10_500, grid: grid, fairOneIn: 64,
			budget: budget{fPreempt: 2, fReader: 1, fPoll: 1, fShutdown: 1}},
	}
}

// aLeadsThenSnapshot: the snapshot is of the beginning, before anybody stood.
func aLeadsThenSnapshot(m *machine, w *world) {
	old := w.etcd
	aLeads(m, w)
	m.scope.snapshot = &old
}

// shortForm: under the race detector and with -short only the beginning of each scope is looked at, and
// fair schedules are run from a part of its states; ELECTOR_MODEL=full asks for everything all the same.
func shortForm() bool {
	return (raceDetector || testing.Short()) && os.Getenv("ELECTOR_MODEL") != "full"
}

// stateCap bounds a scope; one that meets it is reported as capped.
func stateCap() int {
	if shortForm() {
		return 4000
	}
	return 2_000_000
}

// TestModel explores every interleaving of each small scope. A violation prints its whole way from the
// start.
func TestModel(t *testing.T) {
	var total outcome
	violations := 0
	for _, s := range scopes() {
		t.Run(s.name, func(t *testing.T) {
			o := explore(s, stateCap())
			t.Log(o)
			t.Logf("a world takes %d bytes", worldSize)
			total.states += o.states
			total.transitions += o.transitions
			total.fair += o.fair
			total.took += o.took
			if o.without != nil {
				t.Errorf("exhausted, and yet not once: %q", o.without)
			}
			if o.violation != nil {
				violations++
				t.Errorf("%s: %s\n%s\nrepeat with: go test -run 'TestModel/%s' ./internal/election",
					o.violation.invariant, o.violation.detail, o.trace, s.name)
			}
		})
	}
	fmt.Fprintf(os.Stdout, "model: %d states, %d transitions, %d fair schedules, %d violations, %.1fs\n",
		total.states, total.transitions, total.fair, violations, total.took.Seconds())
}

package election

import (
	"fmt"
	"strings"
)

// tracer tells a way through the model in words, by going it again.
type tracer struct {
	m    *machine
	w    *world
	last [1 + maxCands]string // the lines that were told last, which are told again only when they differ
	strings.Builder
}

func newTracer(s *scope, w *world) *tracer {
	t := &tracer{m: newMachine(s), w: w}
	t.state()
	return t
}

// step says what an act does, does it, and says how things stand then.
func (t *tracer) step(a act, fair bool) {
	fmt.Fprintf(t, "%9v  %s\n", t.w.now, t.m.describe(t.w, a))
	if fair {
		t.m.fairDo(t.w, a)
	} else {
		t.m.do(t.w, a)
	}
	t.state()
}

// settle says that the faults have stopped.
func (t *tracer) settle() {
	t.WriteString("           -- no more faults; everything is delivered at once\n")
	t.w.budget = budget{}
	t.w.zombies = [maxZombies]modelZombie{}
}

// state is a line for etcd and one for each candidate, where something has changed.
func (t *tracer) state() {
	t.tell(0, t.etcdLine())
	for i := range t.m.scope.cands {
		t.tell(1+i, t.candLine(i))
	}
}

func (t *tracer) tell(slot int, line string) {
	if line != t.last[slot] {
		t.last[slot] = line
		fmt.Fprintf(t, "             %s\n", line)
	}
}

func (t *tracer) etcdLine() string {
	var b strings.Builder
	e := &t.w.etcd
	fmt.Fprintf(&b, "etcd: raft term %d", e.term)
	if !e.promoted {
		b.WriteString(" (not promoted)")
	}
	fmt.Fprintf(&b, ", revision %d;", e.rev)
	for _, k := range e.keys {
		if k.token != 0 {
			fmt.Fprintf(&b, " key(%s token %d mod %d lease %d)", ownerName(k.owner), k.token, k.mod, k.lease)
		}
	}
	for _, l := range e.leases {
		if l.id != 0 {
			fmt.Fprintf(&b, " lease(%d until %v)", l.id, l.until)
		}
	}
	return b.String()
}

func (t *tracer) candLine(i int) string {
	c := &t.w.cands[i]
	if !c.up {
		return modelNames[i] + ": down"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", modelNames[i], c.core.phase)
	if t.m.look(t.w, i).Leading && !c.paused {
		fmt.Fprintf(&b, ", YES with token %d until %v", c.desk.facts.token, tickAt(c.desk.facts.deadline.Add(-c.desk.facts.margin)))
	}
	if c.core.stage == open {
		fmt.Fprintf(&b, ", lease %d of raft term %d, acknowledged to %v", c.core.lease.id, c.core.lease.raftTerm, tickAt(c.core.lease.acked))
	}
	for _, flag := range []struct {
		on   bool
		text string
	}{{c.paused, ", stopped"}, {c.stalled, ", loop stands still"}, {c.turn != betweenTurns, ", within a turn"}, {c.core.unresolved, ", rebind unresolved"}} {
		if flag.on {
			b.WriteString(flag.text)
		}
	}
	return b.String()
}

func ownerName(owner int8) string {
	if owner < 0 {
		return "rival"
	}
	return modelNames[owner]
}

var callNames = [numCalls]string{"open", "campaign", "confirmation", "rebind", "observation", "close"}

var opNames = [...]string{
	opAdvance: "time passes", opGoOn: "the loop's turn goes on", opTick: "the loop's timer", opApply: "etcd applies",
	opClear: "the campaign's wait finds no older key", opReceive: "receives the reply to", opStamp: "the reply is stamped and waits for the loop:",
	opGiveUp: "gives up its", opObserve: "asks who leads", opKASend: "sends a keep-alive", opKAAck: "acknowledges the keep-alive of",
	opKAPass: "a member stamps and holds the keep-alive", opRestamp: "a new etcd leader's first entry is applied before the header is written of",
	opKAReceive: "receives a keep-alive's acknowledgement", opKAStamp: "a keep-alive's acknowledgement is stamped and waits for the loop",
	opKADrop: "the keep-alive stream breaks", opWatch: "the own key's watch tells", opSessionOver: "the session is over",
	opWorkEnds: "the work ends", opPoll: "answers a poller", opRead: "a reader is stopped within its evaluation",
	opEndRead: "the stopped reader goes on", opPause: "the process is stopped", opWake: "the process goes on",
	opStall: "the loop stands still for good", opShutdown: "is asked to stop",
	opTransfer: "is asked to pass the lead on to", opVetted: "whoever was asked before the term answers",
	opBar:     "is not eligible any more, or again",
	opUnfence: "a person lifts the fence",
	opResign:  "is asked to resign", opYield: "is told by its worker, which has stopped, to resign", opCrash: "is killed", opRestart: "is started again",
	opElect: "another etcd leader is elected", opPromote: "the etcd leader is promoted", opDecide: "etcd finds expired and proposes to revoke lease",
	opOldDecide: "the deposed etcd leader finds expired and forwards a revoke of lease", opRevoke: "etcd revokes lease",
	opZombie: "a request that was given up is applied:", opDelete: "an operator deletes key", opOverwrite: "an operator overwrites key",
	opRevokeLease: "an operator revokes the lease of key", opRestore: "etcd is restored from an older snapshot", opRivalGoes: "the rival's key goes",
	opStraggle: "a call of a closed session ends",
}

// describe says what an act will do in a world.
func (m *machine) describe(w *world, a act) string {
	who := modelNames[a.cand] + ": "
	text := opNames[a.op]
	tail := ""
	switch a.op {
	case opAdvance:
		return fmt.Sprintf("%s to %v", text, m.nextInstant(w))
	case opElect, opPromote, opRestore:
		return text
	case opDecide, opOldDecide, opRevoke:
		return fmt.Sprintf("%s %d", text, a.arg)
	case opDelete, opOverwrite, opRevokeLease, opRivalGoes:
		return fmt.Sprintf("%s with token %d", text, w.etcd.keys[a.arg].token)
	case opZombie:
		return fmt.Sprintf("%s %+v", text, w.zombies[a.arg])
	case opApply, opReceive, opStamp, opGiveUp, opRestamp:
		tail = " " + callNames[a.arg]
		if a.op == opApply || a.op == opReceive {
			tail += fmt.Sprintf(" (request %d)", w.cands[a.cand].calls[a.arg].stage+1)
		}
	case opKAAck:
		who, tail = "etcd ", " "+modelNames[a.cand]
		if a.arg2 > 0 {
			who = fmt.Sprintf("the deposed etcd leader of raft term %d ", w.etcd.deposed[a.arg2-1].term)
		}
		return who + text + tail
	case opTransfer:
		tail = " " + modelNames[a.arg]
	case opVetted:
		tail = [...]string{" that it may begin", " no"}[a.arg]
	case opEndRead:
		tail = " from " + [...]string{"before its clock reading", "after its clock reading", "before its promise is recorded"}[a.arg]
	}
	if a.arg2 == 1 {
		tail += ", and the loop is stopped before it publishes"
	}
	return who + text + tail
}

package election

import (
	"time"
	"unsafe"
)

// The model explores what can happen around the production core: every interleaving, in small scopes,
// of two or three candidates, an etcd that changes leaders, and a network that loses, delays and
// reorders. The candidates are production values (core, driven by step; facts, published by
// run.publish; answers by desk.answer; Elector.alive). Everything else is modelled here, on the terms
// of docs/safety.md section 3.
//
// A world is a comparable value without pointers other than strings, so that it can be copied by
// assignment and hashed.

// tick is a model instant: milliseconds since the model's beginning. Margins are of 150 to 200 ms and
// all of the core's durations that matter here are whole milliseconds.
type tick int32

const (
	modelBase = Instant(time.Hour) // so that no instant is zero
	modelMS   = Instant(time.Millisecond)
	never     = tick(1 << 30)
)

func inst(t tick) Instant { return modelBase + Instant(t)*modelMS }

// tickAt rounds up: the first tick at which an instant has come.
func tickAt(i Instant) tick { return tick((i - modelBase + modelMS - 1) / modelMS) }

// The sizes of a world.
const (
	maxCands   = 3
	maxLeases  = 9
	maxKeys    = 5
	maxRevokes = 3
	maxZombies = 3
	maxKAs     = 2
	maxLeft    = 3
)

// The kinds of fault that a scope gives a budget for.
const (
	fDelay       = iota // a leg of a message, a timer or an event that lets time pass before it
	fLoss               // a request or reply lost, a stream or session broken
	fElect              // an etcd leader deposed, another elected
	fOldAck             // a deposed leader answers a keep-alive
	fOldRevoke          // a deposed leader has a lease revoked
	fPause              // a process stopped
	fPreempt            // a loop stopped within a turn, or between the receipt of a reply and its turn
	fReader             // a reader stopped within an evaluation
	fPoll               // a promise given to a poller
	fShutdown           // a process asked to stop
	fBar                // an elector not eligible any more, or again
	fTransfer           // a leader asked to pass the lead on
	fVeto               // a term vetoed before it begins
	fResign             // a leader asked to give the lead up, with a cooldown or with its worker's word
	fCrash              // a process killed; it may come back
	fWorkReturns        // work that returns on its own
	fOperator           // key deleted, key overwritten or lease revoked behind the program's back
	fRestore            // etcd restored from an older snapshot
	fUnfence            // a person lifts the fence of an elector that has seen that
	fStall              // a loop that stands still for good
	fStamp              // a header stamped before or after the request it answers, across an etcd leader change
	fZombie             // a request that was given up is applied after all
	fStraggler          // a call of a session that was closed ends after it, or during
	numFaults
)

// budget is how many faults of each kind may still happen.
type budget [numFaults]uint8

// take uses one fault up and reports whether there was one.
func (b *budget) take(kind int) bool {
	if b[kind] == 0 {
		return false
	}
	b[kind]--
	return true
}

// leg is where a message is on its way.
type leg uint8

const (
	idle     leg = iota
	request      // sent, not yet applied
	waiting      // a campaign whose key is put, in the queue
	reply        // applied, the answer under way
	received     // stamped by the client, not yet taken by the loop
)

// The calls of which a candidate has at most one under way.
const (
	callOpen = iota
	callCampaign
	callConfirm
	callRebind
	callObserve
	callClose
	numCalls
)

// modelCall is a call of the store: its request or reply under way, and what the reply says.
type modelCall struct {
	leg   leg
	late  bool // has been charged for letting time pass on this leg
	stage uint8
	ok    bool // won, holds, or bound
	first bool // oldest
	found uint8
	own   bool

	term, rev   uint8 // of the reply
	token, mod  uint8 // of the claim, or of what was found
	lease       uint8 // of the claim, or of what was found
	grant       uint8 // lease granted on the way
	heir        uint8 // of a close: whom the lead is passed on to first, and one more; 0: nobody
	gTerm, gRev uint8 // of the earlier reply: the first read of open, the grant of rebind
	sent, got   tick
	gSent, gGot tick
}

// What a call found where its claim did not hold.
const (
	foundNothing uint8 = iota
	foundKey
)

// modelStraggler is a call whose session was closed under it. Its goroutine gives the loop what came of it,
// at some time.
type modelStraggler struct {
	on      bool
	kind    uint8
	session uint8
	call    modelCall
}

// modelKA is one keep-alive on the session's stream. A stream is answered in order or not at all.
type modelKA struct {
	leg       leg
	late      bool
	denied    bool
	lease     uint8
	term      uint8
	sent, got tick
}

// What the work of a term is doing.
const (
	noWork uint8 = iota
	working
	told // its context has been cancelled
)

// Where a loop's turn stands when it has been stopped within it.
const (
	betweenTurns   uint8 = iota
	beforePublish        // step has decided
	beforePerform        // the state is published, no action done
	beforeNextStep       // more events of the same turn are pending
)

// modelDesk is a desk at rest; the machine loads it into a production one.
type modelDesk struct {
	facts    facts
	over     bool
	promised Instant
}

// modelCand is a process and what the store keeps for its session.
type modelCand struct {
	up, paused, stalled bool
	incarnation         uint8

	core core
	desk modelDesk

	// A turn in progress, of which run.handle keeps these on its stack.
	turn        uint8
	acts        actionSet
	lapsedToken uint8 // TermLapsed is pending for this token
	stopped     bool  // TermStopped is pending
	promised    Instant
	lastLoop    tick

	calls [numCalls]modelCall
	kas   [maxKAs]modelKA

	// The store's session.
	name      uint8 // of the key: the session's first lease
	kept      uint8 // the lease kept alive
	nextKA    tick
	watchMod  uint8 // last write of the own key that the watch has delivered
	watchGone bool  // its deletion has been delivered
	observed  uint8 // token of the oldest key when last read
	hasRead   bool

	left     [maxLeft]uint8 // leases that the next open revokes
	leftName uint8          // key that it deletes

	work      uint8
	workToken uint8
	vet       uint8 // as work

	lateTick, lateKA, lateWatch, lateWork, lateVet bool

	straggler modelStraggler

	// A reader stopped within an evaluation, where production lets others at the desk meanwhile.
	reading   bool
	readDesk  modelDesk
	readClock tick

	// The checker's.
	noToken     uint8 // a reader was told no under this token
	provenToken uint8 // a confirmation found this token's key in place and the oldest
	maxRev      uint8 // greatest revision that this process has received, and when
	maxRevAt    tick
	outlived    bool // has received evidence that etcd went back
}

// modelLease is a lease as a leader of etcd counts it.
type modelLease struct {
	id    uint8
	until tick // the earliest instant at which it may be found expired
}

// modelKey is a key of the election.
type modelKey struct {
	token, mod, lease, name uint8
	owner                   int8 // -1: a rival that is no elector
	foreign                 bool // somebody else wrote its value
}

// modelRevoke is a revoke that was proposed and is not yet applied.
type modelRevoke struct {
	lease uint8
	late  bool
}

// modelEtcd is the replicated store, its leader and one that was deposed.
type modelEtcd struct {
	term      uint8
	promoted  bool // the leader counts leases and takes requests
	promLate  bool
	rev       uint8
	lastLease uint8
	leases    [maxLeases]modelLease
	keys      [maxKeys]modelKey
	revokes   [maxRevokes]modelRevoke

	deposed [2]modelDeposed // the latest first
}

// modelDeposed is a leader that does not know that it is none any more, with its own view of the leases.
type modelDeposed struct {
	term   uint8 // 0: nobody
	leases [maxLeases]modelLease
}

// modelZombie is a write that its sender has given up, and that may still be applied.
type modelZombie struct {
	kind       uint8
	owner      int8
	name       uint8
	token, mod uint8
	lease      uint8
	heir       uint8
}

const (
	zombieNone uint8 = iota
	zombieCampaign
	zombieRebind
	zombieDelete
	zombieRevoke
	zombiePass
)

// modelPromise is the furthest yes that pollers were given under a token.
type modelPromise struct {
	token uint8
	until tick
	owner int8
	freed bool // the operator says that its holders have stopped
}

// world is one state of everything.
type world struct {
	common
	cands [maxCands]modelCand
}

// common is a world without its candidates.
type common struct {
	now     tick
	budget  budget
	etcd    modelEtcd
	zombies [maxZombies]modelZombie

	// The checker's.
	promises [3]modelPromise
	excused  [8]uint8 // tokens whose key an operator took away
	maxBegun uint8    // greatest token of a term
	restored bool
}

// worldSize is printed with the totals, since it decides how many states fit.
const worldSize = unsafe.Sizeof(world{})

func (w *world) excuse(token uint8) {
	if token == 0 || w.isExcused(token) {
		return
	}
	for i := range w.excused {
		if w.excused[i] == 0 {
			w.excused[i] = token
			return
		}
	}
	copy(w.excused[:], w.excused[1:])
	w.excused[len(w.excused)-1] = token
}

func (w *world) isExcused(token uint8) bool {
	for _, t := range w.excused {
		if t == token {
			return true
		}
	}
	return false
}

// promise notes what a poller was told. It reports false when there is no room for it.
func (w *world) promise(owner int8, token uint8, until tick) bool {
	free := -1
	for i := range w.promises {
		p := &w.promises[i]
		if p.token == token {
			p.until = max(p.until, until)
			return true
		}
		if p.token == 0 || p.until <= w.now {
			free = i
		}
	}
	if free >= 0 {
		w.promises[free] = modelPromise{token: token, until: until, owner: owner}
	}
	return free >= 0
}

// tidy forgets what can no longer matter, so that worlds which differ in nothing else are one.
func (w *world) tidy() {
	for i := range w.promises {
		if w.promises[i].until <= w.now {
			w.promises[i] = modelPromise{}
		}
	}
}

// Package history is what a chaos run saw: every answer with its instants, who owned which key in etcd and
// when, what was done to break things, and what a fenced register was asked. The runner writes it, the
// checker judges it, the timeline draws it; each does so from this record alone, so that a run can be
// judged and drawn again later.
//
// All processes of a run share one kernel, so all instants are of one clock: the boot clock, in
// nanoseconds. An instant that is not known is zero.
package history

import (
	"time"

	"github.com/elector-dev/elector/internal/election"
)

// Instant is a reading of the boot clock that all processes of a run share.
type Instant = election.Instant

// History is one run. Slices are in the order of their first instant.
type History struct {
	Run       Run
	Answers   []Answer
	Samples   []Sample
	Keys      []KeyEvent
	Faults    []Fault
	Processes []Process
	Register  []Access
	Work      []Work
	Pages     []Page
	Shown     []Answer // what came on the streams of pages; Sent is the earliest at which it can have been evaluated
	Outcries  []Outcry
	Stalls    []Stall
	Leftover  *Leftover // nil while the run goes on
}

// Run says what was run.
type Run struct {
	Seed      uint64
	Scenario  string // of the nemesis: "storm", or the name of one scripted scenario
	Program   string // "elector" or "plain", the daemon that only uses Campaign and Session.Done
	Began     Instant
	Ended     Instant // when the record was closed; zero while the run goes on
	Calm      Instant // when the last fault had been undone for good; zero before
	TTL       time.Duration
	AnswerMax time.Duration
	Access    string   // how electors prove to etcd who they are; empty: they need not
	Race      bool     // the electors look for data races
	Electors  []string // lanes: the places of the fleet, each taken by one process after another
	Members   []string // lanes: etcd's members

	// StaleAcks counts acknowledgements of keep-alives that came from an etcd leader of an older raft
	// term than one already known; the canaries, clients with leases of their own, count them.
	StaleAcks int64
}

// Answer is one reply of an elector's GET /leader.
type Answer struct {
	Elector     string // lane
	Incarnation string // of the process that answered
	Sent        Instant
	Received    Instant
	Yes         bool
	Token       int64   // of a yes, else 0
	At          Instant // when a yes was evaluated, within a millisecond; 0 for a no, which was somewhere between Sent and Received
	Until       Instant // the end of a yes's promise; 0 for a no
	State       string  // connecting, follower, ...
	Registered  bool
}

// Sample is one reading of an elector's metrics.
type Sample struct {
	Elector     string
	Incarnation string
	Sent        Instant
	Received    Instant
	Leading     bool
	Token       int64
	Goroutines  int
	Descriptors int
	Resident    int64            // bytes of memory
	Renewals    map[string]int64 // elector_renewals_total by result, since the process began
}

// KeyEvent is a change of a candidate's key as etcd's members told it.
type KeyEvent struct {
	Key      string
	Deleted  bool
	Revision int64 // of this change
	Token    int64 // the key's create revision; also of a deletion
	Lease    int64 // that a put bound the key to; 0 for a deletion
	Identity string
	Seen     Instant // the earliest at which any member told it; the change itself was before
}

// The kinds of faults. What a fault hit is in its Targets: lanes of electors or members.
const (
	ElectorPause    = "elector-pause"    // SIGSTOP, SIGCONT
	ElectorKill     = "elector-kill"     // kill -9, started again
	ElectorStop     = "elector-stop"     // SIGTERM, started again
	ElectorStarve   = "elector-starve"   // stopped nine tenths of the time
	ElectorFiles    = "elector-files"    // no more descriptors
	ElectorFreeze   = "elector-freeze"   // SIGSTOP of an elector, its guard and its command together
	WorkerKill      = "worker-kill"      // kill -9 of the command, or a hold's connection broken off
	WorkerPause     = "worker-pause"     // SIGSTOP of the command, or a hold that sends no sign of life
	WorkerSick      = "worker-sick"      // a check of the worker fails
	Veto            = "veto"             // what is asked before a term refuses it
	Transfer        = "transfer"         // the leader is asked to pass the lead on
	Drain           = "drain"            // an elector is taken out of the election, and let in again
	GuardKill       = "guard-kill"       // kill -9 of the process that guards the command
	MemberPause     = "member-pause"     // an etcd follower, SIGSTOP, SIGCONT
	LeaderPause     = "leader-pause"     // etcd's leader, among its peers
	LeaderDepose    = "leader-depose"    // etcd's leader, paused, cut off from its peers, and woken so
	MemberKill      = "member-kill"      // kill -9, started again
	MemberStarve    = "member-starve"    // stopped nine tenths of the time
	AllRestart      = "all-restart"      // all members
	SlowDisk        = "slow-disk"        // a member's file system stands still, again and again
	LeaderMove      = "leader-move"      // etcd hands its leadership over
	PartitionTotal  = "partition-total"  // an elector from all members
	PartitionOne    = "partition-one"    // an elector from one member
	PartitionOneWay = "partition-oneway" // one direction only
	PartitionHeld   = "partition-held"   // bytes are held back, and flushed at the end
	PartitionHalf   = "partition-half"   // connections stay open, and the other side never learns
	MemberIsolate   = "member-isolate"   // a member from its peers
	Delay           = "delay"            // up to two TTLs each way
	LeaseRevoke     = "lease-revoke"     // the leader's, behind its back
	KeyDelete       = "key-delete"       // the leader's or a waiting candidate's
	PrefixDelete    = "prefix-delete"    // all keys of the election
	Compact         = "compact"          // up to the present
	CompactStorm    = "compact-storm"    // again and again, after each of many writes
	Defragment      = "defragment"       // a member rewrites its store, and answers nothing meanwhile
	NoSpace         = "no-space"         // the alarm of a full store, raised and cleared
	MemberReplace   = "member-replace"   // removed, wiped, and added again
	MemberLearner   = "member-learner"   // removed, wiped, added again as a learner, and promoted
	Rotation        = "rotation"         // the authority, all certificates and the password, as docs/etcd-access.md has it
	Churn           = "churn"            // connections to an elector are opened, half used and broken off by the hundred
	Restore         = "restore"          // from a snapshot, without bumped revisions
	RestoreBumped   = "restore-bumped"   // from a snapshot, with bumped revisions
)

// Fault is one thing that was done. Faults overlap.
type Fault struct {
	Kind    string
	Targets []string // lanes
	From    Instant
	To      Instant // when it was undone; zero while it lasts; From for faults of one instant
	Tokens  []int64 // of the keys that it took away behind the electors' backs
	Detail  string  // for people
	// Effective: it was seen to do something (a process stood still, a message was held back, ...), so
	// that it counts as coverage.
	Effective bool
}

// Process is one process in an elector's lane.
type Process struct {
	Elector     string
	Incarnation string // as its answers say; empty when it never answered
	PID         int
	From        Instant // when it was started
	Asked       Instant // when it was sent SIGTERM; zero when it was not
	To          Instant // when it had ended; zero while it lives
	Exit        string  // "exit status 0", "signal: killed", ...
	// ReleaseNow: it was started with --shutdown-release=now, so that after Asked its promises do not hold
	// the key, and the next leader is due within a second.
	ReleaseNow bool
	// Kind is how the work beside it is bound to it, and Grace how long that may take to stop when it is told to.
	Kind  string
	Grace time.Duration
}

// The ways in which work is bound to an elector.
const (
	Polls = ""      // it asks before it acts
	Child = "child" // it is the command of elector run
	Hold  = "hold"  // it keeps POST /hold open
)

// Work is one life of work that is bound to an elector: a command, or what a hold's worker did in one term. It
// acts all the time, every few milliseconds.
type Work struct {
	Elector string
	Kind    string // Child or Hold
	Token   int64  // of the term that it acts in
	From    Instant
	Last    Instant // its last act, read from the clock just before
	Acts    int
}

// Page is one opening of an elector's page, as a browser holds it open: the document, the stream of events, and what the
// page asks for on news.
type Page struct {
	Elector     string
	Incarnation string  // that the stream told first
	From        Instant // when the document was asked for
	To          Instant // when the stream had ended; zero while it is open
	Events      int
	Asked       int    // requests of the page beside the stream that had a reply
	Late        int    // events whose yes had ended before they came
	Wrong       string // the first reply that a page must not get
}

// Outcry is a place in a process's log that no log must have: a data race, a panic, a fatal error of the runtime.
type Outcry struct {
	Process string // the log's name
	Line    int
	Text    string
}

// Access is one access to the fenced register by the worker beside an elector.
type Access struct {
	Elector string
	Write   bool
	Token   int64 // of the yes on which a write was made
	Value   int64 // written, or read
	Refused bool  // the write: the register had seen a greater token
	Call    Instant
	Return  Instant
}

// Stall is a time in which the harness itself did not run as it should: what needs a bound on time is
// unknown there, not passed.
type Stall struct {
	From, To Instant
}

// Leftover is what was left when every process had been asked to stop and one TTL and a little had passed.
type Leftover struct {
	Keys   []string
	Leases int
	// Growth by elector lane of goroutines and descriptors between two calm times of one process.
	Goroutines  map[string]int
	Descriptors map[string]int
}

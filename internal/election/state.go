package election

import (
	"strconv"
	"time"
)

// Instant is a reading of the host's boot clock (CLOCK_BOOTTIME) in nanoseconds. Zero means "never".
// Every lease instant in this package is one, because the boot clock goes on counting while the host
// is suspended and is the same for all processes of a host.
type Instant int64

// Add returns the instant d later.
func (t Instant) Add(d time.Duration) Instant { return t + Instant(d) }

// Sub returns the duration from u to t.
func (t Instant) Sub(u Instant) time.Duration { return time.Duration(t - u) }

// Before reports whether t is earlier than u.
func (t Instant) Before(u Instant) bool { return t < u }

// Clock reads the boot clock. Implementations are safe for concurrent use and do not block.
type Clock interface {
	Now() Instant
}

// Phase is where an elector stands in its election.
type Phase string

// The phases, in the order in which an elector normally passes through them.
const (
	Connecting   Phase = "connecting"    // no session, or its key has not been seen in etcd yet
	Follower     Phase = "follower"      // registered: its key stands in the queue
	Verifying    Phase = "verifying"     // its key is the oldest; leadership is not confirmed yet
	Leader       Phase = "leader"        // a term is under way; only Answer says whether it still holds
	SteppingDown Phase = "stepping-down" // the answer is no; work, promises and the key are being wound up
	Ineligible   Phase = "ineligible"    // not allowed to campaign; holds no key
	Fenced       Phase = "fenced"        // etcd went back in time; never campaigns until a person says so
)

// Phases lists every phase, for metrics that initialise their label values.
var Phases = []Phase{Connecting, Follower, Verifying, Leader, SteppingDown, Ineligible, Fenced}

// Cause says why the last transition happened.
type Cause string

// The causes of transitions.
const (
	CauseNone            Cause = ""
	CauseRegistered      Cause = "registered"       // own key seen in etcd
	CauseWon             Cause = "won"              // own key is the oldest
	CauseLeaseExpired    Cause = "lease-expired"    // the deadline passed, or etcd said that the lease is gone
	CauseKeyDeleted      Cause = "key-deleted"      // somebody deleted the key
	CauseSessionLost     Cause = "session-lost"     // the session ended, or no session could be opened
	CauseResigned        Cause = "resigned"         // asked to resign
	CauseTransferred     Cause = "transferred"      // passed on to another candidate
	CauseUnhealthy       Cause = "unhealthy"        // a check failed
	CauseKeyOverwritten  Cause = "key-overwritten"  // somebody wrote to the key
	CauseRefused         Cause = "refused"          // etcd refused: permission, password or certificate
	CauseNotPublished    Cause = "not-published"    // oldest, yet not verified within half a TTL
	CauseWorkEnded       Cause = "work-ended"       // the term's own work returned
	CauseEligible        Cause = "eligible"         // allowed to campaign again
	CauseVetoed          Cause = "vetoed"           // what is asked before a term refused it
	CauseNoLead          Cause = "no-lead"          // an observer: never campaigns
	CauseDrained         Cause = "drained"          // asked to stay out of the election
	CauseUndrained       Cause = "undrained"        // allowed back
	CauseUnfenced        Cause = "unfenced"         // a person lifted the fence
	CauseShutdown        Cause = "shutdown"         // the process is stopping
	CauseTokenRegression Cause = "token-regression" // a token or revision went backwards
)

// TermEndCauses lists the causes that can end a term, for metrics that initialise their label values.
var TermEndCauses = []Cause{
	CauseLeaseExpired, CauseKeyDeleted, CauseSessionLost, CauseResigned, CauseTransferred, CauseUnhealthy,
	CauseKeyOverwritten, CauseWorkEnded, CauseDrained, CauseShutdown, CauseTokenRegression,
}

// LeaseID is etcd's number of a lease. Zero means none.
type LeaseID int64

// String is the lease's number as etcdctl shows it.
func (id LeaseID) String() string { return strconv.FormatInt(int64(id), 16) }

// Candidate is who owns a key of the election.
type Candidate struct {
	Identity    string
	Incarnation string // random per process; empty for candidates that are not electors
	Token       int64  // create revision of the key: the fencing token if it leads
}

// Foreign reports whether the candidate is no elector.
func (c Candidate) Foreign() bool { return c.Incarnation == "" }

// Bar says why an elector may not campaign. The zero Bar: it may.
type Bar struct {
	Cause Cause
	Why   string // for people
}

// State is one published state of an elector. States are immutable; each has a greater Seq than the
// one before. A renewal publishes nothing: it only moves the deadline, which Answer reads.
type State struct {
	Seq            uint64
	Phase          Phase
	Cause          Cause     // of the transition into Phase
	Since          time.Time // wall clock, when Phase was entered
	Token          int64     // the fencing token of the own term; 0 when there is none
	Registered     bool      // the own key has been seen in etcd and is not known to have gone
	EverRegistered bool      // Registered has been true in this process's life
	Lease          LeaseID   // of the current session; 0 when there is none
	LeaseTTL       time.Duration
	Leader         Candidate // owner of the oldest key as last observed; zero when nobody
	LeaderFrom     time.Time // wall clock, when this elector first saw Leader; zero when nobody
	Bar            Bar       // why this elector may not campaign; zero: it may
	Value          *Value    // the fleet's shared value as last observed; nil when there is none
	Refusal        string    // what etcd refuses, or will, and what to do about it; empty when it refuses nothing
	Ended          bool      // Run is returning; this is the last state
}

// Eligible reports whether the elector may campaign: nothing stands against it, it does not rest after a term that it
// gave up or was refused, and it is not fenced.
func (s State) Eligible() bool {
	return s.Bar.Cause == CauseNone && s.Phase != Ineligible && s.Phase != Fenced
}

// Term is one unbroken leadership, as its work sees it.
type Term struct {
	Token       int64
	Key         string
	Identity    string
	Election    string
	Incarnation string
}

// CauseError is the cancellation cause of a term's context: context.Cause(ctx) says why the term ended.
type CauseError struct{ Cause Cause }

// Error implements error.
func (e *CauseError) Error() string { return "term ended: " + string(e.Cause) }

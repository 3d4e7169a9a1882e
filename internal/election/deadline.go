package election

import "time"

// MaxTTL is the longest lease an elector asks for. Longer ones are unsafe: etcd checkpoints the time
// left of leases from five minutes up (lease/lessor.go, DefaultLessorCheckpointInterval), so such a
// lease can end up to its whole TTL late or, after a restore, with less time than was promised.
const MaxTTL = 300 * time.Second

// MinTTL is the shortest lease that etcd grants with its default timing; it raises smaller ones.
const MinTTL = 2 * time.Second

// Margin is how long before the deadline certainty ends: 1 % of the TTL for clock rates that differ,
// at least 50 ms, and 100 ms for timers and scheduling.
func Margin(ttl time.Duration) time.Duration {
	return max(ttl/100, 50*time.Millisecond) + 100*time.Millisecond
}

// MaxGrace is the longest time that a TTL has room for between telling the work to stop and the end of certainty:
// a renewal, due every third of a TTL and half a second of the client's tick, must be confirmed before that.
func MaxGrace(ttl time.Duration) time.Duration {
	return max(0, ttl/2-500*time.Millisecond-Margin(ttl))
}

// ContactWindow is how long an answered request counts as contact with etcd: keep-alives go out every
// third of a TTL, rounded up to the client's half-second tick.
func ContactWindow(ttl time.Duration) time.Duration { return ttl/2 + 500*time.Millisecond }

// StallLimit is how long an elector's loop may stand still before its keep-alives are withheld, so
// that a deadlocked elector does not hold the key for ever.
func StallLimit(ttl time.Duration) time.Duration { return ttl / 3 }

// LoopInterval is how long an idle loop rests during a term. Timers stand still while the host is suspended, so it
// also bounds how late after a suspend the work of a lost term is told.
func LoopInterval(ttl time.Duration) time.Duration { return min(ttl/12, time.Second) }

// RestInterval is how long it rests otherwise: half of StallLimit, and nobody's work hangs on it.
func RestInterval(ttl time.Duration) time.Duration { return min(ttl/6, 2*time.Second) }

// CallTimeout bounds one attempt of a confirmation or a read.
func CallTimeout(ttl time.Duration) time.Duration { return max(ttl/10, 200*time.Millisecond) }

// Reply is a linearizable reply of etcd: when it was asked for, when it came, and what its header said.
type Reply struct {
	Sent, Received Instant
	RaftTerm       uint64
	Revision       int64
}

// Grant is a new lease. It is settled: a reply received before the grant was sent carried the same raft
// term, so the lease was granted by the etcd leader of that term and not by an older one.
type Grant struct {
	Lease LeaseID
	TTL   time.Duration // as granted, which may be more than was asked for
	Reply Reply
}

// Renewal is one acknowledged keep-alive. Sent is taken before the request is handed to the network.
// An acknowledgement alone does not prove that the lease was renewed: an etcd leader that was paused
// and deposed acknowledges queued keep-alives when it wakes.
type Renewal struct {
	Lease          LeaseID
	Sent, Received Instant
	RaftTerm       uint64
	TTL            time.Duration // zero or less: the lease is gone
}

// RenewalResult says what became of an acknowledged renewal of a leader's lease.
type RenewalResult string

// The results of renewals.
const (
	RenewalConfirmed    RenewalResult = "confirmed"     // moved the deadline
	RenewalUnconfirmed  RenewalResult = "unconfirmed"   // no reply to a confirmation
	RenewalLate         RenewalResult = "late"          // acknowledged or confirmed too late to count
	RenewalTermMismatch RenewalResult = "term_mismatch" // not in the raft term of the lease's grant
	RenewalNegative     RenewalResult = "negative"      // etcd said that the key or the lease is gone
)

// RenewalResults lists every result, for metrics that initialise their label values.
var RenewalResults = []RenewalResult{
	RenewalConfirmed, RenewalUnconfirmed, RenewalLate, RenewalTermMismatch, RenewalNegative,
}

// extend decides whether a confirmed renewal counts, and to which deadline it leads. grantTerm is the raft
// term in which the lease was granted. ackedIn and confirmedIn are the deadlines in force when the
// acknowledgement and the confirmation arrived: both must come a margin before them, because a late
// reply can race the revoke (etcd-io/etcd#14758). The deadline counts from when the keep-alive was sent.
func extend(grantTerm uint64, margin time.Duration, ack Renewal, ackedIn Instant, confirmation Reply, confirmedIn Instant) (Instant, RenewalResult) {
	switch {
	case ack.TTL <= 0:
		return 0, RenewalNegative
	case grantTerm == 0 || ack.RaftTerm != grantTerm || confirmation.RaftTerm != grantTerm:
		return 0, RenewalTermMismatch
	case confirmation.Sent.Before(ack.Received):
		return 0, RenewalUnconfirmed
	case !ack.Received.Before(ackedIn.Add(-margin)) || !confirmation.Received.Before(confirmedIn.Add(-margin)):
		return 0, RenewalLate
	}
	return ack.Sent.Add(ack.TTL), RenewalConfirmed
}

package election

import (
	"context"
	"errors"
	"time"
)

// Errors that a Store returns.
var (
	// ErrRefused is wrapped by any error with which etcd refuses the elector: permission denied, wrong
	// user or password, or a certificate that one side does not accept. Retrying does not help until
	// a person has changed something; the error's text says what.
	ErrRefused = errors.New("refused by etcd")
	// ErrSessionEnded is returned by calls on a Session that has been closed or has lost its lease.
	ErrSessionEnded = errors.New("session ended")
)

// Store opens sessions for one candidate in one election. Its calls may run concurrently.
type Store interface {
	// Open contacts etcd, grants a settled lease and starts to keep it alive. It blocks until the
	// session stands or ctx ends, which it always honours. Leases left behind by sessions that were
	// lost are revoked first, on a best effort. After an error nothing of the attempt is running;
	// a lease may have been granted and runs out by itself.
	Open(ctx context.Context, req OpenRequest) (Session, Opened, error)
}

// OpenRequest is what a new session is to be.
type OpenRequest struct {
	Number int           // names the session in its events
	TTL    time.Duration // asked for; a whole number of seconds
	Sink   Sink
	Alive  func() bool // keep-alives are withheld while it says false
}

// Sink takes the events of a session. A call blocks until the elector has room for the event, or
// until the session or the elector ends.
type Sink func(Event)

// Session is one lease kept alive, from grant to loss, with the one client that serves it. The store
// feeds the session's sink until Close returns. Methods may be called concurrently.
type Session interface {
	// Campaign puts the candidate's key, if it is not there yet, and waits until no older key is left.
	// It blocks until then or until the session or ctx ends. A nil error does not mean leadership:
	// the library's wait watches only older keys and may return after the own key has gone
	// (etcd-io/etcd#19597). After an error the key may exist all the same; campaigning again finds it.
	Campaign(ctx context.Context) (Won, error)

	// Confirm commits a transaction through raft that changes nothing and adds no revision, on the
	// condition that the claim holds: key, token, lease and last own write. It also reads the oldest
	// key. Repeating it is sound. An error says nothing about the claim.
	Confirm(ctx context.Context, claim Claim) (Confirmation, error)

	// Rebind grants a lease in raft term raftTerm or a later one and binds the key to it, on the
	// condition that the key is still the claim's at its last own write. On success the session keeps
	// the new lease alive instead of the old one, which is left to run out. An error leaves the
	// outcome unknown: the write may have been, or may still be, applied. Asking again resolves it,
	// since a write that has been overtaken fails its condition.
	Rebind(ctx context.Context, claim Claim, raftTerm uint64) (Rebound, error)

	// PutValue publishes the election's shared value under the lease in use, on the condition that the
	// key is still the claim's, and that the value has the revision that the put demands. The value
	// moves with the key in a rebind and goes with its lease. ErrTokenMismatch says that the key is no
	// longer the claim's, ErrValueChanged that the value is not as demanded; after any other error the
	// value may have been published, or may still be, but never over one that a later call published.
	PutValue(ctx context.Context, claim Claim, put ValuePut) (*Value, error)

	// Pass removes the claim's key and those of all candidates between it and another one, in one transaction on
	// the condition that all of these stand, so that the other comes to be the oldest. It finds that one by identity
	// and incarnation. ErrTokenMismatch says that the claim's key is not there or not the oldest, ErrNotStanding that
	// the other one is not there, ErrTooFarBack that more stand between than a transaction takes, ErrForeignBetween
	// that one of them is no elector: nothing was removed then. After any other error the outcome is unknown.
	Pass(ctx context.Context, claim Claim, to Candidate) error

	// Candidates reads the queue, at most MaxQueue of it.
	Candidates(ctx context.Context) (Queue, error)

	// Close ends the session's goroutines and its client. With release it first deletes the key,
	// whatever its token, and revokes the lease, each within a bound; the bound is on a clock of its
	// own, not on a context, since Close is what runs after cancellation. Key and leases that may be
	// left are removed by the next Open.
	Close(release bool, claim Claim)
}

// Claim is what a candidate believes about its key.
type Claim struct {
	Token int64   // create revision
	Mod   int64   // revision of the last own write
	Lease LeaseID // that the key is bound to
}

// Opened tells that a session stands.
type Opened struct {
	Grant Grant
	First Reply // a linearizable reply that was received before the grant was sent
	Key   string

	ClusterID uint64 // of the etcd that answered
	Standing  int    // candidates in the election, at First
}

// Won tells that no older key is left.
type Won struct {
	Token    int64 // create revision of the own key
	Mod      int64 // its last write
	RaftTerm uint64
}

// Confirmation is the reply to a confirming transaction.
type Confirmation struct {
	Reply  Reply
	Holds  bool      // the claim held when the transaction was applied
	Oldest bool      // and the key was the oldest of the election
	Found  *KeyState // the key as it is, when the claim did not hold; nil: there is none
}

// KeyState is a candidate's key as read.
type KeyState struct {
	Token, Mod int64
	Lease      LeaseID
	Own        bool // the value is what this candidate wrote
}

// Rebound is the reply to a rebind.
type Rebound struct {
	Grant Grant
	Reply Reply
	Bound bool      // the key is bound to the new lease; Reply.Revision is the own write
	Found *KeyState // the key as it is, when it was not bound; nil: there is none
}

package etcdstore

import (
	"context"
	"errors"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/elector-dev/elector/internal/election"
)

// passTries is how often the lead is passed on anew because the queue had changed meanwhile.
const passTries = 4

// errQueueChanged is returned by tryPass when the queue was no longer as it had been read.
var errQueueChanged = errors.New("the queue changed each time")

// Pass implements election.Session. Keys are only removed: two that were put in one transaction would have equal
// create revisions, and so two winners.
func (ss *session) Pass(ctx context.Context, claim election.Claim, to election.Candidate) error {
	ctx, done, ok := ss.call(ctx)
	if !ok {
		return election.ErrSessionEnded
	}
	defer done()
	err := errQueueChanged
	for range passTries {
		if err = ss.tryPass(ctx, claim.Token, to); !errors.Is(err, errQueueChanged) {
			break
		}
	}
	return err
}

func (ss *session) tryPass(ctx context.Context, token int64, to election.Candidate) error {
	r, err := ss.queue(ctx, election.MaxPassed+1)
	if err != nil {
		return ss.store.wrap("read the queue", err)
	}
	if len(r.Kvs) == 0 || string(r.Kvs[0].Key) != ss.key || r.Kvs[0].CreateRevision != token {
		return election.ErrTokenMismatch
	}
	at := heir(r.Kvs, to)
	switch {
	case at < 0 && r.More:
		return election.ErrTooFarBack
	case at < 0:
		return election.ErrNotStanding
	}
	var stand []clientv3.Cmp
	var remove []clientv3.Op
	for i, kv := range r.Kvs[:at+1] {
		stand = append(stand, clientv3.Compare(clientv3.CreateRevision(string(kv.Key)), "=", kv.CreateRevision))
		if i > 0 && i < at && candidate(kv).Foreign() {
			return election.ErrForeignBetween
		}
		if i < at {
			remove = append(remove, clientv3.OpDelete(string(kv.Key)))
		}
	}
	t, err := ss.client.Txn(ctx).If(stand...).Then(remove...).Commit()
	switch {
	case err != nil:
		return ss.store.wrap("pass the lead on", err)
	case !t.Succeeded:
		return errQueueChanged
	}
	return nil
}

// heir is the place of a candidate behind the first; -1: it does not stand there. A candidate may have lost its
// place and come back since it was chosen; one that does not tell its incarnation is known by its identity alone.
func heir(kvs []*mvccpb.KeyValue, to election.Candidate) int {
	for i, kv := range kvs {
		if c := candidate(kv); i > 0 && c.Identity == to.Identity && c.Incarnation == to.Incarnation {
			return i
		}
	}
	return -1
}

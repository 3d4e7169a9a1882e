package etcdstore

import (
	"context"
	"slices"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/elector-dev/elector/internal/election"
)

// stoppedEvery is how often the end of a dead process's work is looked for: the kernel tells it to the parent alone.
const stoppedEvery = 20 * time.Millisecond

// predecessors are the dead processes whose keys this session is to release: those on its etcd. Of any
// other etcd nothing is known, and what is there is left to its leases.
func (s *Store) predecessors(clusterID uint64) (here []election.Predecessor) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.dead {
		if p.ClusterID == clusterID {
			here = append(here, p)
		} else {
			s.tell(p, "a dead process of this elector left a key in another etcd, where it is left to its lease")
		}
	}
	s.dead = slices.Clone(here)
	return here
}

// settled forgets a predecessor, in this process only or, when its key is known to be gone, for good.
func (s *Store) settled(p election.Predecessor, gone bool) {
	s.mu.Lock()
	s.dead = slices.DeleteFunc(s.dead, func(q election.Predecessor) bool { return q.Incarnation == p.Incarnation })
	s.mu.Unlock()
	if gone {
		p.Forget()
	}
}

func (s *Store) tell(p election.Predecessor, msg string, args ...any) {
	s.cfg.Logger.Info(msg, append([]any{"key", p.Key, "token", p.Token, "dead", p.Incarnation}, args...)...)
}

// succeed releases the key of a dead process of this elector, so that nobody waits for its lease: once its promises have
// run out and its work has ended, and again until the key is known to be gone or the session ends.
func (ss *session) succeed(p election.Predecessor) {
	free, err := ss.awaitFree(p)
	if err != nil {
		r, reading := ss.get(clientv3.OpGet(p.Key))
		gone := reading == nil && len(r.Kvs) == 0
		if !gone {
			ss.store.tell(p, "the key of a dead process of this elector is left to its lease", "err", err)
		}
		ss.store.settled(p, gone)
		return
	}
	for failed := 1; free; failed++ {
		gone, err := ss.release(p)
		if err == nil {
			ss.store.settled(p, gone)
			return
		}
		free = ss.pause(err, failed)
	}
}

// awaitFree waits until nobody acts on what a dead process has said or begun. It gives false when the session ends
// before, and an error when this cannot be known.
func (ss *session) awaitFree(p election.Predecessor) (bool, error) {
	for {
		stopped, err := p.Stopped()
		left := p.FreeAt.Sub(ss.now())
		if err != nil || stopped && left <= 0 {
			return stopped, err
		}
		t := time.NewTimer(max(left, stoppedEvery))
		select {
		case <-t.C:
		case <-ss.ctx.Done():
			t.Stop()
			return false, nil
		}
	}
}

// release deletes a predecessor's key and revokes its lease, with which the value that it published goes too. It
// reports false when another key stands in its place, which is left alone. After an error the key may be gone.
func (ss *session) release(p election.Predecessor) (gone bool, err error) {
	r, err := ss.get(clientv3.OpGet(p.Key))
	if err != nil {
		return false, err
	}
	leases := []election.LeaseID{p.Lease}
	if len(r.Kvs) > 0 {
		kv := r.Kvs[0]
		if !leftBy(p, kv) {
			ss.store.tell(p, "the key of a dead process of this elector is another's by now, and is left alone", "found", kv.CreateRevision)
			return false, nil
		}
		if candidate(kv).Incarnation == p.Incarnation && kv.Lease != 0 {
			leases = append(leases, election.LeaseID(kv.Lease)) // to which it was rebound
		}
		if err := ss.deleteCreated(p.Key, kv.CreateRevision); err != nil {
			return false, err
		}
		ss.store.tell(p, "released the key that a dead process of this elector had left")
	}
	for _, id := range slices.Compact(leases) {
		if !ss.remove(ss.ctx, leftover{lease: id}) {
			ss.store.leave(leftover{lease: id})
		}
	}
	return true, nil
}

// leftBy reports whether a key is the one that the predecessor put. One that did not live to learn its token is known
// by the record, which no other process writes.
func leftBy(p election.Predecessor, kv *mvccpb.KeyValue) bool {
	if p.Token != 0 {
		return kv.CreateRevision == p.Token
	}
	return candidate(kv).Incarnation == p.Incarnation
}

// deleteCreated deletes a key if it is still the one that was created at a revision. A nil error means that that one
// is gone.
func (ss *session) deleteCreated(key string, revision int64) error {
	ctx, cancel := context.WithTimeout(ss.ctx, ss.store.requestTimeout())
	defer cancel()
	_, err := ss.client.Txn(ctx).
		If(clientv3.Compare(clientv3.CreateRevision(key), "=", revision)).
		Then(clientv3.OpDelete(key)).
		Commit()
	return ss.store.wrap("release the key of a dead process", err)
}

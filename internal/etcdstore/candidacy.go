package etcdstore

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/elector-dev/elector/internal/election"
)

// Campaign implements election.Session with the library's Campaign: a put on the condition that the
// key is not there, and a wait for older keys to go. When the wait fails, campaigning again finds the
// key through the put's condition, and the place in the queue is kept.
func (ss *session) Campaign(ctx context.Context) (election.Won, error) {
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	defer context.AfterFunc(ss.ctx, cancel)()
	rest(ctx, ss.inCrowd(joinEach, ss.cut)) // if ctx has ended, so has what follows
	began := ss.now()
	if ss.wasRefused { // a wait says nothing, and the elector would be refused for all it knows
		ctx = context.WithValue(ctx, letIn{}, sync.OnceFunc(ss.tellOwnKey))
	}
	if err := ss.campaign.Campaign(ctx, ss.store.record); err != nil {
		if ss.cut++; ss.now().Sub(began) > ss.req.TTL {
			ss.cut = 0
		}
		if ss.ctx.Err() != nil {
			return election.Won{}, errors.Join(election.ErrSessionEnded, err)
		}
		err = ss.store.wrap("campaign", ss.deniedTo(err, func() error { return ss.tryKey(ss.key) }))
		ss.wasRefused = errors.Is(err, election.ErrRefused)
		return election.Won{}, err
	}
	// Nobody rebinds before the win, so the last own write is the one that created the key.
	token := ss.campaign.Rev()
	ss.won.Store(true)
	return election.Won{Token: token, Mod: token, RaftTerm: ss.campaign.Header().GetRaftTerm()}, nil
}

// letIn is the key, in the context of a campaign, of a func() that is called when etcd has let it read who stands before.
type letIn struct{}

// tellOwnKey reports how the own key stands.
func (ss *session) tellOwnKey() {
	if r, err := ss.get(clientv3.OpGet(ss.key)); err == nil && len(r.Kvs) > 0 {
		ss.emit(election.OwnKeyPut{Session: ss.req.Number, Key: ss.keyState(r.Kvs[0])})
	}
}

// Confirm implements election.Session. A transaction that holds a write goes through raft, so an etcd
// leader that has been deposed cannot answer it; a deletion of a key that does not exist adds no
// revision (server/storage/mvcc/kvstore_txn.go).
func (ss *session) Confirm(ctx context.Context, claim election.Claim) (election.Confirmation, error) {
	sent := ss.now()
	r, err := ss.client.Txn(ctx).
		If(append(ss.written(claim), clientv3.Compare(clientv3.LeaseValue(ss.key), "=", int64(claim.Lease)))...).
		Then(clientv3.OpDelete(ss.key+"/never"), ss.store.firstCreate()).
		Else(clientv3.OpGet(ss.key)).
		Commit()
	if err != nil {
		return election.Confirmation{}, ss.store.wrap("confirm the lease", err)
	}
	c := election.Confirmation{Reply: reply(sent, ss.now(), r.Header), Holds: r.Succeeded}
	if r.Succeeded {
		kvs := r.Responses[1].GetResponseRange().Kvs
		c.Oldest = len(kvs) == 1 && string(kvs[0].Key) == ss.key
	} else {
		c.Found = ss.found(r.Responses[0].GetResponseRange().Kvs)
	}
	return c, nil
}

// written is the condition that nobody has touched the key since the last own write.
func (ss *session) written(claim election.Claim) []clientv3.Cmp {
	return []clientv3.Cmp{
		clientv3.Compare(clientv3.CreateRevision(ss.key), "=", claim.Token),
		clientv3.Compare(clientv3.ModRevision(ss.key), "=", claim.Mod),
	}
}

// found is the own key as read, nil if it was not there.
func (ss *session) found(kvs []*mvccpb.KeyValue) *election.KeyState {
	if len(kvs) == 0 {
		return nil
	}
	k := ss.keyState(kvs[0])
	return &k
}

func (ss *session) keyState(kv *mvccpb.KeyValue) election.KeyState {
	return election.KeyState{
		Token: kv.CreateRevision, Mod: kv.ModRevision,
		Lease: election.LeaseID(kv.Lease), Own: string(kv.Value) == ss.store.record,
	}
}

// Rebind implements election.Session. The put is conditional on the last own write, not only on the
// token: else a put that was given up for lost could be applied after a later one and bind the key to
// a lease that nobody keeps alive, behind a deadline that counts on another.
func (ss *session) Rebind(ctx context.Context, claim election.Claim, raftTerm uint64) (election.Rebound, error) {
	ctx, done, ok := ss.call(ctx)
	if !ok {
		return election.Rebound{}, election.ErrSessionEnded
	}
	defer done()
	g, err := ss.grant(ctx, raftTerm)
	if err != nil {
		return election.Rebound{}, err
	}
	if kept := ss.keeping(); g.TTL < kept.TTL {
		// The deadline counts on the longer one, and a put whose reply is lost would cut it short.
		ss.store.leave(leftover{lease: g.Lease})
		return election.Rebound{}, fmt.Errorf("bind the key to a new lease: etcd grants %v where it granted %v before: give all members the same --election-timeout", g.TTL, kept.TTL)
	}
	bind, move := clientv3.OpPut(ss.key, ss.store.record, clientv3.WithLease(clientv3.LeaseID(g.Lease))), ss.moveValue(g.Lease)
	put := func(ops ...clientv3.Op) (*clientv3.TxnResponse, error) {
		return ss.client.Txn(ctx).If(ss.written(claim)...).Then(ops...).Else(clientv3.OpGet(ss.key)).Commit()
	}
	sent := ss.now()
	r, err := put(append([]clientv3.Op{bind}, move...)...)
	if err != nil && move != nil && errors.Is(ss.store.wrap("", err), election.ErrRefused) {
		// The value's key may not be written any more. The lead does not hang on it.
		sent = ss.now()
		r, err = put(bind)
	}
	if err != nil {
		ss.store.leave(leftover{lease: g.Lease}) // the key may be on it until this session has ended
		return election.Rebound{}, ss.store.wrap("bind the key to a new lease", err)
	}
	rb := election.Rebound{Grant: g, Reply: reply(sent, ss.now(), r.Header), Bound: r.Succeeded}
	if !r.Succeeded {
		rb.Found = ss.found(r.Responses[0].GetResponseRange().Kvs)
		ss.store.leave(leftover{lease: g.Lease})
		return rb, nil
	}
	if err := ss.keep(g); err != nil {
		return election.Rebound{}, err
	}
	if len(r.Responses) == 1 {
		ss.fetchValue(ctx, g.Lease)
	}
	return rb, nil
}

package etcdstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"

	"github.com/elector-dev/elector/internal/election"
)

// session is one lease with the client that serves it. Many calls of the library hang while etcd is
// out of reach (NewSession, Campaign after its context is cancelled, Close); closing the client is the
// one thing that ends them all, so a session and its client live and die together.
type session struct {
	store  *Store
	req    election.OpenRequest
	ctx    context.Context // ends with the session
	cancel context.CancelFunc

	renewalPatience patience
	watchPatience   patience

	conns    conns
	client   *clientv3.Client // set by open, before anything runs
	key      string
	campaign *concurrency.Election

	mu     sync.Mutex           // guards the fields below, for assignments
	keeper *concurrency.Session // keeps the lease in use alive
	kept   election.Grant       // of that lease

	workers sync.WaitGroup
}

func newSession(s *Store, req election.OpenRequest) *session {
	ss := &session{
		store: s, req: req,
		renewalPatience: patience{first: req.TTL / 8, limit: req.TTL / 3},
		watchPatience:   patience{first: req.TTL / 4, limit: req.TTL / 2},
	}
	ss.ctx, ss.cancel = context.WithCancel(context.Background())
	return ss
}

// open contacts etcd until a settled lease is granted.
func (ss *session) open(ctx context.Context) (election.Opened, error) {
	var err error
	if ss.client, err = ss.newClient(); err != nil {
		return election.Opened{}, ss.store.wrapFirst("connect to etcd", err)
	}
	ss.revokeLeftover(ctx)
	sent := ss.now()
	first, err := ss.client.Do(ctx, ss.store.firstCreate())
	if err != nil {
		return election.Opened{}, ss.store.wrapFirst("read the election", err)
	}
	o := election.Opened{First: reply(sent, ss.now(), first.Get().Header)}
	if o.Grant, err = ss.grant(ctx, o.First.RaftTerm); err != nil {
		return election.Opened{}, err
	}
	if err := ss.keep(o.Grant); err != nil {
		return election.Opened{}, err
	}
	ss.key = fmt.Sprintf("%s/%x", ss.store.prefix, int64(o.Grant.Lease))
	o.Key = ss.key
	ss.campaign = concurrency.NewElection(ss.keeper, ss.store.prefix)
	return o, nil
}

// revokeLeftover revokes the leases of sessions that were lost, so that the queue does not wait for
// them. What fails is left to its TTL.
func (ss *session) revokeLeftover(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, releaseTimeout)
	defer cancel()
	for _, lease := range ss.store.takeLeftover() {
		_, err := ss.client.Revoke(ctx, clientv3.LeaseID(lease))
		if err != nil && !leaseGone(err) {
			ss.store.leave(lease)
		}
	}
}

// grant asks for leases until one is settled: granted while the raft term was the one that an earlier
// reply carried. Unsettled ones are left to run out.
func (ss *session) grant(ctx context.Context, raftTerm uint64) (election.Grant, error) {
	for range grantTries {
		sent := ss.now()
		r, err := ss.client.Grant(ctx, int64(ss.req.TTL/time.Second))
		if err != nil {
			return election.Grant{}, ss.store.wrap("grant a lease", err)
		}
		g := election.Grant{
			Lease: election.LeaseID(r.ID), TTL: time.Duration(r.TTL) * time.Second,
			Reply: reply(sent, ss.now(), r.ResponseHeader),
		}
		if g.Reply.RaftTerm == raftTerm {
			return g, nil
		}
		ss.store.leave(g.Lease)
		raftTerm = g.Reply.RaftTerm
	}
	return election.Grant{}, errors.New("grant a lease: the raft term changed each time")
}

// keep starts to keep a lease alive and stops keeping the one before. Without WithTTL the library's
// session would believe in 60 seconds; without WithContext it could not be ended.
func (ss *session) keep(g election.Grant) error {
	next, err := concurrency.NewSession(ss.client, concurrency.WithLease(clientv3.LeaseID(g.Lease)),
		concurrency.WithTTL(int(g.TTL/time.Second)), concurrency.WithContext(ss.ctx))
	if err != nil {
		return ss.store.wrap("keep the lease alive", err)
	}
	ss.mu.Lock()
	old := ss.keeper
	ss.keeper, ss.kept = next, g
	ss.mu.Unlock()
	if old != nil {
		old.Orphan()
	}
	ss.workers.Go(func() {
		<-next.Done()
		if ss.ctx.Err() == nil && ss.current() == next {
			ss.emit(election.SessionOver{Session: ss.req.Number})
		}
	})
	return nil
}

func (ss *session) current() *concurrency.Session {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	return ss.keeper
}

// keeping is the grant of the lease in use.
func (ss *session) keeping() election.Grant {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	return ss.kept
}

// run starts the watches.
func (ss *session) run(o election.Opened) {
	ss.workers.Go(func() { ss.watchOwnKey(o.First.Revision + 1) })
	ss.workers.Go(ss.observe)
	ss.workers.Go(ss.askProgress)
}

func (ss *session) emit(ev election.Event) { ss.req.Sink(ev) }

// Close implements election.Session.
func (ss *session) Close(release bool, claim election.Claim) {
	lease := election.LeaseID(ss.current().Lease())
	deleted, revoked := false, false
	if release {
		deleted, revoked = ss.delete(claim.Token), ss.revoke(lease)
	}
	if !revoked {
		ss.store.leave(lease)
	}
	if !deleted && claim.Lease != 0 && claim.Lease != lease {
		ss.store.leave(claim.Lease)
	}
	ss.shut()
}

// delete deletes the key, if it is the one with this token.
func (ss *session) delete(token int64) bool {
	if token == 0 {
		return false // not known to be there: the revoke takes it
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ss.ctx), releaseTimeout)
	defer cancel()
	_, err := ss.client.Txn(ctx).
		If(clientv3.Compare(clientv3.CreateRevision(ss.key), "=", token)).
		Then(clientv3.OpDelete(ss.key)).Commit()
	return err == nil
}

func (ss *session) revoke(lease election.LeaseID) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ss.ctx), releaseTimeout)
	defer cancel()
	_, err := ss.client.Revoke(ctx, clientv3.LeaseID(lease))
	return err == nil || leaseGone(err)
}

// shut ends everything that the session started and waits for it.
func (ss *session) shut() {
	ss.cancel()
	if ss.client != nil {
		_ = ss.client.Close() // reports the cancelled context, always
	}
	ss.workers.Wait()
}

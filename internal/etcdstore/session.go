package etcdstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
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
	tokens   atomic.Int64            // password tokens that the client has got
	gotToken atomic.Int64            // the instant when it got the latest one
	renewing atomic.Pointer[watched] // the latest stream of keep-alives
	watching atomic.Pointer[watched] // the latest stream of watches
	client   *clientv3.Client        // set by open, before anything runs
	key      string
	campaign *concurrency.Election

	mu     sync.Mutex           // guards the fields below, for assignments
	keeper *concurrency.Session // keeps the lease in use alive
	kept   election.Grant       // of that lease

	crowd      atomic.Int64  // candidates that may ask what this one asks, with itself; 0: it is to lead next, or does
	revision   atomic.Int64  // of etcd's store, when it answered the latest renewal
	renewed    chan struct{} // has something when a renewal was answered since lookAt last took it
	won        atomic.Bool   // a term may hang on what this session hears
	cut        int           // campaigns in a row that did not come to wait; Campaign's own
	wasRefused bool          // the latest campaign was refused; Campaign's own

	workers sync.WaitGroup
	valued  atomic.Bool // a value may have been published under this session
	shares  atomic.Bool // or has been seen: the election uses its value
	refused refusals
	strange bool // what stands under the value's key is none, which was told of; observeValue's own

	callsMu sync.Mutex // guards closing, for an assignment; calls begin under it
	closing bool
	calls   sync.WaitGroup // rebinds under way
	callEnd context.CancelFunc
	callCtx context.Context // ends them
}

func newSession(s *Store, req election.OpenRequest) *session {
	ss := &session{
		store: s, req: req, renewed: make(chan struct{}, 1),
		renewalPatience: patience{first: req.TTL / 8, limit: req.TTL / 3},
		watchPatience:   patience{first: req.TTL / 4, limit: req.TTL / 2},
	}
	ss.ctx, ss.cancel = context.WithCancel(context.Background())
	ss.callCtx, ss.callEnd = context.WithCancel(ss.ctx)
	return ss
}

// open contacts etcd until a settled lease is granted.
func (ss *session) open(ctx context.Context) (election.Opened, error) {
	var err error
	if ss.client, err = ss.newClient(); err != nil {
		return election.Opened{}, ss.store.wrapFirst("connect to etcd", err)
	}
	ss.removeLeftover(ctx)
	sent := ss.now()
	first, err := ss.client.Do(ctx, ss.store.howMany())
	if err != nil {
		return election.Opened{}, ss.store.wrapFirst("read the election", err)
	}
	h, standing := first.Get().Header, first.Get().Count
	o := election.Opened{First: reply(sent, ss.now(), h), ClusterID: h.ClusterId, Standing: int(standing)}
	ss.crowd.Store(1 + standing)
	ss.store.cluster.Store(o.ClusterID)
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

// removeLeftover removes what earlier sessions left behind, so that the queue does not wait for it. At
// the first failure the rest waits for the next session.
func (ss *session) removeLeftover(ctx context.Context) {
	left := ss.store.takeLeftover()
	for len(left) > 0 && ss.remove(ctx, left[0]) {
		left = left[1:]
	}
	for _, l := range left {
		ss.store.leave(l)
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
		ss.store.leave(leftover{lease: g.Lease})
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
	ss.workers.Go(ss.observeValue)
	ss.workers.Go(ss.askForLife)
	for _, p := range ss.store.predecessors(o.ClusterID) {
		ss.workers.Go(func() { ss.succeed(p) })
	}
}

func (ss *session) emit(ev election.Event) { ss.req.Sink(ev) }

// call returns a context for a call that changes the session, which ends with ctx and when the session
// is closed, and the function to end the call with; false when the session has been closed.
func (ss *session) call(ctx context.Context) (context.Context, func(), bool) {
	ss.callsMu.Lock()
	defer ss.callsMu.Unlock()
	if ss.closing {
		return nil, nil, false
	}
	ss.calls.Add(1)
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(ss.callCtx, cancel)
	return ctx, func() { stop(); cancel(); ss.calls.Done() }, true
}

// endCalls ends the calls under way and waits for them.
func (ss *session) endCalls() {
	ss.callsMu.Lock()
	ss.closing = true
	ss.callsMu.Unlock()
	ss.callEnd()
	ss.calls.Wait()
}

// Close implements election.Session.
func (ss *session) Close(release bool, claim election.Claim) {
	ss.endCalls() // a rebind under way would decide which lease the key is on
	left := []leftover{{key: ss.key}, {lease: ss.keeping().Lease}}
	if claim.Lease != ss.keeping().Lease {
		left = append(left, leftover{lease: claim.Lease})
	}
	ctx, cancel := context.WithTimeout(ss.ctx, 2*removeTimeout)
	defer cancel()
	for _, l := range left {
		if !release || !ss.remove(ctx, l) {
			ss.store.leave(l)
		}
	}
	ss.shut()
}

// remove deletes a key or revokes a lease, and reports whether what it was to remove is known to be gone.
// The key goes by its name: that has the session's own lease in it, so nobody else's key bears it. Its
// token may be unknown, since the reply to the campaign's put did not come, or be that of a key which somebody
// deleted before the campaign put it anew. A key that somebody has meanwhile taken off its lease by a plain
// put would else stand for ever, and block the election.
func (ss *session) remove(ctx context.Context, l leftover) bool {
	ctx, cancel := context.WithTimeout(ctx, removeTimeout)
	defer cancel()
	var err error
	switch {
	case l.key != "":
		_, err = ss.client.Delete(ctx, l.key)
	case l.lease != 0:
		_, err = ss.client.Revoke(ctx, clientv3.LeaseID(l.lease))
	}
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

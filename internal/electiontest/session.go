package electiontest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/elector-dev/elector/internal/election"
)

// Store is a candidate's access to a Cluster. It implements election.Store.
type Store struct {
	cluster *Cluster
	who     election.Candidate

	mu       sync.Mutex // guards leftover
	leftover []func()   // removes what a lost session left behind
}

// session implements election.Session.
type session struct {
	*Cluster
	store  *Store
	req    election.OpenRequest
	path   string
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	leaseMu sync.Mutex // guards lease: the one kept alive
	lease   election.LeaseID
}

// Open implements election.Store.
func (s *Store) Open(ctx context.Context, req election.OpenRequest) (election.Session, election.Opened, error) {
	ss := &session{Cluster: s.cluster, store: s, req: req}
	var o election.Opened
	sent := s.cluster.clock.Now()
	if err := s.cluster.call(ctx, s.who.Identity, "open", func() { o.First = s.cluster.reply(sent) }); err != nil {
		return nil, election.Opened{}, err
	}
	s.mu.Lock()
	leftover := s.leftover
	s.leftover = nil
	s.mu.Unlock()
	for _, remove := range leftover {
		remove()
	}
	g, err := ss.grant(ctx)
	if err != nil {
		return nil, o, err
	}
	o.Grant, ss.lease = g, g.Lease
	o.Key, o.ClusterID = fmt.Sprintf("/fake/%x", int64(g.Lease)), ClusterID
	ss.path = o.Key
	ss.ctx, ss.cancel = context.WithCancel(context.Background())
	ss.wg.Go(ss.renew)
	ss.wg.Go(ss.watchOwnKey)
	ss.wg.Go(ss.observe)
	ss.wg.Go(ss.observeValue)
	return ss, o, nil
}

func (ss *session) grant(ctx context.Context) (election.Grant, error) {
	var g election.Grant
	sent := ss.clock.Now()
	err := ss.call(ctx, ss.who(), "grant", func() {
		ss.nextID++
		g.Lease, g.TTL = ss.nextID, ss.req.TTL
		ss.leases[g.Lease] = &lease{ttl: g.TTL, expires: ss.clock.Now().Add(g.TTL), raftTerm: ss.raftTerm}
		g.Reply = ss.reply(sent)
	})
	if err != nil {
		return election.Grant{}, err // g may be written later
	}
	return g, nil
}

func (ss *session) who() string { return ss.store.who.Identity }

func (ss *session) record() string {
	return ss.store.who.Identity + " " + ss.store.who.Incarnation
}

// kept is the lease that is kept alive.
func (ss *session) kept() election.LeaseID {
	ss.leaseMu.Lock()
	defer ss.leaseMu.Unlock()
	return ss.lease
}

// briefly calls with the little patience of a stream or a read that can be repeated.
func (ss *session) briefly(op string, apply func()) error {
	ctx, cancel := context.WithTimeout(ss.ctx, ss.req.TTL/8)
	defer cancel()
	return ss.call(ctx, ss.who(), op, apply)
}

// rest pauses before a repetition and reports whether the session goes on.
func (ss *session) rest() bool {
	select {
	case <-time.After(100 * time.Millisecond):
		return true
	case <-ss.ctx.Done():
		return false
	}
}

// renew keeps the lease alive as the library does: at once, then every third of its TTL, looking twice
// a second.
func (ss *session) renew() {
	var next election.Instant
	var last election.LeaseID
	t := time.NewTicker(ss.req.TTL / 24)
	defer t.Stop()
	for {
		now, id := ss.clock.Now(), ss.kept()
		if (id != last || !now.Before(next)) && ss.req.Alive() {
			r := election.Renewal{Lease: id, Sent: now}
			err := ss.briefly("renew", func() {
				r.RaftTerm = ss.raftTerm
				if l := ss.leases[id]; l != nil {
					l.expires, r.TTL = ss.clock.Now().Add(l.ttl), l.ttl
				}
			})
			if err == nil {
				r.Received = ss.clock.Now()
				next, last = r.Received.Add(ss.req.TTL/3), id
				ss.req.Sink(election.Renewed{Session: ss.req.Number, Renewal: r})
			}
		}
		select {
		case <-t.C:
		case <-ss.ctx.Done():
			return
		}
	}
}

// await runs look at every change of keys until that says true or ctx ends.
func (ss *session) await(ctx context.Context, look func() bool) bool {
	t := time.NewTicker(ss.req.TTL / 24) // leases expire when somebody looks
	defer t.Stop()
	for {
		ss.mu.Lock()
		ss.expire()
		changed := ss.changed
		ok := look()
		ss.mu.Unlock()
		if ok {
			return true
		}
		select {
		case <-changed:
		case <-t.C:
		case <-ctx.Done():
			return false
		}
	}
}

func (ss *session) watchOwnKey() {
	seen := int64(0)
	for ss.ctx.Err() == nil {
		var ev election.Event
		if !ss.await(ss.ctx, func() bool {
			switch k := ss.keys[ss.path]; {
			case k == nil && seen > 0:
				seen = 0
				ev = election.OwnKeyDeleted{Session: ss.req.Number}
			case k != nil && k.mod != seen:
				seen = k.mod
				ev = election.OwnKeyPut{Session: ss.req.Number, Key: ss.state(k)}
			default:
				return false
			}
			return true
		}) {
			return
		}
		ss.req.Sink(ev)
	}
}

func (ss *session) state(k *key) election.KeyState {
	return election.KeyState{Token: k.create, Mod: k.mod, Lease: k.lease, Own: k.value == ss.record()}
}

func (ss *session) observe() {
	last := int64(-1)
	var gone election.Instant
	for {
		var ev election.Observed
		if !ss.await(ss.ctx, func() bool {
			sent := ss.clock.Now()
			var c election.Candidate
			if _, k := ss.oldest(); k != nil {
				c = k.candidate
				c.Token = k.create
			}
			if c.Token == last {
				return false
			}
			if last > 0 {
				gone = sent
			}
			last = c.Token
			ev = election.Observed{Session: ss.req.Number, Reply: ss.reply(sent), Leader: c, Standing: len(ss.keys), Predecessor: gone}
			gone = 0
			return true
		}) {
			return
		}
		if ss.briefly("read", func() {}) == nil {
			ss.req.Sink(ev)
		} else if last = -1; !ss.rest() {
			return
		}
	}
}

// Campaign implements election.Session.
func (ss *session) Campaign(ctx context.Context) (election.Won, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(ss.ctx, cancel)()
	var w election.Won
	var gone bool
	err := ss.call(ctx, ss.who(), "put", func() {
		if gone = ss.leases[ss.kept()] == nil; gone {
			return
		}
		k := ss.keys[ss.path]
		if k == nil {
			ss.revision++
			k = &key{value: ss.record(), candidate: ss.store.who, create: ss.revision, mod: ss.revision, lease: ss.kept()}
			k.candidate.Token = k.create
			ss.keys[ss.path] = k
			ss.signal()
		}
		w = election.Won{Token: k.create, Mod: k.mod, RaftTerm: ss.raftTerm}
	})
	if err != nil {
		return election.Won{}, err
	}
	if gone {
		return election.Won{}, fmt.Errorf("put: lease not found")
	}
	if !ss.await(ctx, func() bool {
		for _, k := range ss.keys {
			if k.create < w.Token {
				return false
			}
		}
		return true // also when the own key is gone: the library's wait does not look at it
	}) {
		return w, ctx.Err()
	}
	return w, nil
}

func (ss *session) holds(claim election.Claim) (*key, bool) {
	k := ss.keys[ss.path]
	return k, k != nil && k.create == claim.Token && k.mod == claim.Mod
}

func (ss *session) found(k *key) *election.KeyState {
	if k == nil {
		return nil
	}
	s := ss.state(k)
	return &s
}

// Confirm implements election.Session.
func (ss *session) Confirm(ctx context.Context, claim election.Claim) (election.Confirmation, error) {
	var c election.Confirmation
	sent := ss.clock.Now()
	err := ss.call(ctx, ss.who(), "confirm", func() {
		k, ok := ss.holds(claim)
		c.Holds = ok && k.lease == claim.Lease
		if c.Holds {
			path, _ := ss.oldest()
			c.Oldest = path == ss.path
		} else {
			c.Found = ss.found(k)
		}
		c.Reply = ss.reply(sent)
	})
	if err != nil {
		return election.Confirmation{}, err
	}
	return c, nil
}

// Rebind implements election.Session.
func (ss *session) Rebind(ctx context.Context, claim election.Claim, _ uint64) (election.Rebound, error) {
	g, err := ss.grant(ctx)
	if err != nil {
		return election.Rebound{}, err
	}
	rb := election.Rebound{Grant: g}
	sent := ss.clock.Now()
	err = ss.call(ctx, ss.who(), "rebind", func() {
		var k *key
		if k, rb.Bound = ss.holds(claim); rb.Bound {
			ss.revision++
			if v := ss.value; v != nil && v.lease == k.lease {
				moved := *v
				moved.lease, moved.Revision = g.Lease, ss.revision
				ss.value = &moved
			}
			k.mod, k.lease, k.value = ss.revision, g.Lease, ss.record()
			ss.signal()
		} else {
			rb.Found = ss.found(k)
		}
		rb.Reply = ss.reply(sent)
	})
	if err != nil {
		return election.Rebound{}, err
	}
	if rb.Bound {
		ss.leaseMu.Lock()
		ss.lease = g.Lease
		ss.leaseMu.Unlock()
	}
	return rb, nil
}

// Close implements election.Session.
func (ss *session) Close(release bool, claim election.Claim) {
	remove := func() {
		if ss.keys[ss.path] != nil {
			ss.remove(ss.path)
		}
		ss.drop(ss.kept())
	}
	gone := false
	if release {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		gone = ss.call(ctx, ss.who(), "release", remove) == nil
	}
	if !gone {
		ss.store.mu.Lock()
		ss.store.leftover = append(ss.store.leftover, func() {
			ss.mu.Lock()
			defer ss.mu.Unlock()
			remove()
		})
		ss.store.mu.Unlock()
	}
	ss.cancel()
	ss.wg.Wait()
}

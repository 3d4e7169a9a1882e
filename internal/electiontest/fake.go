// Package electiontest has a fake store for tests of the elector, which can fail a write before or after
// it is applied, and a conformance suite that the fake and real etcd both pass.
package electiontest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/elector-dev/elector/internal/election"
)

// ErrInjected is what calls return that a Fault made fail.
var ErrInjected = errors.New("injected failure")

// Fault says what becomes of a call.
type Fault uint8

// The faults.
const (
	None         Fault = iota
	BeforeApply        // the call fails and has no effect
	AfterApply         // the call takes effect, and its reply is lost
	ApplyLater         // the call fails, and takes effect when Cluster.Flush is called
	NeverReplies       // the call blocks until its context ends
)

// Cluster is an etcd of the mind: keys with revisions, leases that expire, raft terms. It runs on the
// clock it is given, so that in a synctest bubble its leases expire in bubble time.
type Cluster struct {
	clock election.Clock

	mu       sync.Mutex // guards the fields below
	fate     func(identity, op string) Fault
	revision int64
	raftTerm uint64
	nextID   election.LeaseID
	keys     map[string]*key
	leases   map[election.LeaseID]*lease
	value    *value
	later    []func()
	changed  chan struct{} // closed at every change of keys and of the value
}

type key struct {
	value       string
	candidate   election.Candidate
	create, mod int64
	lease       election.LeaseID
}

type value struct {
	election.Value
	lease election.LeaseID
}

type lease struct {
	ttl      time.Duration
	expires  election.Instant
	raftTerm uint64
}

// ClusterID is that of every Cluster.
const ClusterID = 0xfa4e

// NewCluster returns an empty cluster in raft term 2.
func NewCluster(clock election.Clock) *Cluster {
	return &Cluster{
		clock: clock, revision: 1, raftTerm: 2, nextID: 0x1000,
		keys: map[string]*key{}, leases: map[election.LeaseID]*lease{}, changed: make(chan struct{}),
	}
}

// Store returns the store of a candidate.
func (c *Cluster) Store(identity, incarnation string) *Store {
	return &Store{cluster: c, who: election.Candidate{Identity: identity, Incarnation: incarnation}}
}

// Inject has f decide the fate of each call from now on. op is one of open, grant, put, confirm, rebind,
// release, renew, value and read. f is called with the cluster unlocked, concurrently.
func (c *Cluster) Inject(f func(identity, op string) Fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fate = f
}

// BumpRaftTerm changes the etcd leader: the raft term grows and every lease is extended to its TTL.
func (c *Cluster) BumpRaftTerm() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.raftTerm++
	for _, l := range c.leases {
		l.expires = c.clock.Now().Add(l.ttl)
	}
}

// WakeDeposed has a deposed etcd leader wake that has been asleep for longer than all TTLs: it believes
// that the leases it once counted have expired, and has them revoked through its successor.
func (c *Cluster) WakeDeposed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, l := range c.leases {
		if l.raftTerm < c.raftTerm {
			c.drop(id)
		}
	}
}

// Restore puts the revision back, as a restore from an old snapshot does.
func (c *Cluster) Restore(revision int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.revision = revision
}

// Revision is the store's revision.
func (c *Cluster) Revision() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.revision
}

// Oldest returns the candidate with the oldest key, and its lease; false when there is none.
func (c *Cluster) Oldest() (election.Candidate, election.LeaseID, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, k := c.oldest(); k != nil {
		return k.candidate, k.lease, true
	}
	return election.Candidate{}, 0, false
}

// Stands reports whether the key with a token is there and the oldest.
func (c *Cluster) Stands(token int64) bool {
	oldest, _, ok := c.Oldest()
	return ok && oldest.Token == token
}

// Candidates is the number of keys.
func (c *Cluster) Candidates() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.keys)
}

// Delete deletes the key at a path, as an operator might.
func (c *Cluster) Delete(path string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remove(path)
}

// DeleteKey deletes the key with a token, as an operator might.
func (c *Cluster) DeleteKey(token int64) {
	c.alter(token, func(path string, _ *key) { c.remove(path) })
}

// OverwriteKey writes to the key with a token, as an operator might.
func (c *Cluster) OverwriteKey(token int64) {
	c.alter(token, func(_ string, k *key) { c.overwrite(k) })
}

// Overwrite writes to the key at a path, as an operator might.
func (c *Cluster) Overwrite(path string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.overwrite(c.keys[path])
	c.signal()
}

// Revoke revokes a lease.
func (c *Cluster) Revoke(id election.LeaseID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(id)
}

// Flush applies what ApplyLater held back.
func (c *Cluster) Flush() {
	c.mu.Lock()
	later := c.later
	c.later = nil
	c.mu.Unlock()
	for _, f := range later {
		f()
	}
}

func (c *Cluster) alter(token int64, f func(string, *key)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for path, k := range c.keys {
		if k.create == token {
			f(path, k)
			c.signal()
			return
		}
	}
}

// The methods below want mu held.

func (c *Cluster) signal() { close(c.changed); c.changed = make(chan struct{}) }

func (c *Cluster) oldest() (string, *key) {
	c.expire()
	var at string
	var min *key
	for path, k := range c.keys {
		if min == nil || k.create < min.create {
			at, min = path, k
		}
	}
	return at, min
}

func (c *Cluster) remove(path string) {
	c.revision++
	delete(c.keys, path)
	c.signal()
}

func (c *Cluster) overwrite(k *key) {
	c.revision++
	k.mod, k.value, k.lease = c.revision, "foreign", 0
}

func (c *Cluster) drop(id election.LeaseID) {
	delete(c.leases, id)
	for path, k := range c.keys {
		if k.lease == id {
			c.remove(path)
		}
	}
	if c.value != nil && c.value.lease == id {
		c.revision++
		c.value = nil
		c.signal()
	}
}

func (c *Cluster) expire() {
	now := c.clock.Now()
	for id, l := range c.leases {
		if !now.Before(l.expires) {
			c.drop(id)
		}
	}
}

// reply stamps a reply to a request that was sent at an instant.
func (c *Cluster) reply(sent election.Instant) election.Reply {
	return election.Reply{Sent: sent, Received: c.clock.Now(), RaftTerm: c.raftTerm, Revision: c.revision}
}

// call runs apply under the lock, subject to the fault decided for it.
func (c *Cluster) call(ctx context.Context, who, op string, apply func()) error {
	c.mu.Lock()
	decide := c.fate
	c.mu.Unlock()
	fault := None
	if decide != nil {
		fault = decide(who, op)
	}
	locked := func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.expire()
		apply()
	}
	switch fault {
	case BeforeApply:
		return fmt.Errorf("%s: %w", op, ErrInjected)
	case AfterApply:
		locked()
		return fmt.Errorf("%s: reply lost: %w", op, ErrInjected)
	case ApplyLater:
		c.mu.Lock()
		c.later = append(c.later, locked)
		c.mu.Unlock()
		return fmt.Errorf("%s: held back: %w", op, ErrInjected)
	case NeverReplies:
		<-ctx.Done()
		return ctx.Err()
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	locked()
	return nil
}

// Stand puts a candidate that holds no lease at the end of the queue. One without an incarnation is no elector.
func (c *Cluster) Stand(identity, incarnation string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.revision++
	path := fmt.Sprint("stand-in-", c.revision)
	c.keys[path] = &key{value: identity, candidate: election.Candidate{Identity: identity, Incarnation: incarnation, Token: c.revision}, create: c.revision, mod: c.revision}
	c.signal()
}

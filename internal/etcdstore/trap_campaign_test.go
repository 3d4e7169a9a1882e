package etcdstore_test

import (
	"context"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"

	"github.com/elector-dev/elector/internal/election"
)

// The library's campaign looks at older keys only (etcd-io/etcd#19597). Whoever takes its nil for
// leadership leads without a key, beside whoever has one.
func TestCampaignThatReturnsNilWithoutAKeyIsNoLeadership(t *testing.T) {
	b := trapEtcd(t)
	holder := b.naive(nil, time.Minute).win()
	phantom := b.naive(nil, time.Minute)
	won := phantom.wait(b)
	b.Delete(phantom.key(b))
	seat := b.seat(nil, time.Minute)
	ours := seat.campaign(t.Context())
	event(seat, anyOf[election.OwnKeyPut])
	b.Delete(seat.opened.Key)
	event(seat, anyOf[election.OwnKeyDeleted])
	elector := b.join("a", 5*time.Second, nil)
	before := elector.await("registration", func(s election.State) bool { return s.Registered })
	b.Delete(b.prefix() + "/" + before.Lease.String())
	elector.await("another key", func(s election.State) bool { return s.Registered && s.Lease != before.Lease })

	must(t, holder.Resign(t.Context()))
	if err := await(t, "the library's win", won); err != nil || b.stands(phantom.key(b)) {
		t.Errorf("the library's campaign says %v; key stands: %v", err, b.stands(phantom.key(b)))
	}
	got := await(t, "the store's win", ours)
	must(t, got.err)
	c, err := seat.Confirm(b.ctx(), seat.claim(got.won))
	if err != nil || c.Holds || c.Found != nil {
		t.Errorf("a claim without a key is confirmed: %+v, %v", c, err)
	}
	leads := elector.awaitPhase(election.Leader)
	if r, err := b.client.Get(b.ctx(), b.prefix()+"/", clientv3.WithFirstCreate()...); err != nil || r.Kvs[0].CreateRevision != leads.Token {
		t.Errorf("leads with token %d; the oldest key is %v, %v", leads.Token, r.Kvs, err)
	}
}

// Nor does the campaign look at its own lease: without one it waits for ever, and whoever stands behind
// it for fail-over has lost that without a word.
func TestCandidateWithoutALeaseWaitsForEverAndAnElectorComesBack(t *testing.T) {
	b := trapEtcd(t)
	holder := b.naive(nil, time.Minute).win()
	zombie := b.naive(nil, time.Minute)
	won := zombie.wait(b)
	elector := b.join("a", 5*time.Second, nil)
	before := elector.await("registration", func(s election.State) bool { return s.Registered })
	b.Revoke(election.LeaseID(zombie.session.Lease()))
	b.Revoke(before.Lease)
	elector.await("another key", func(s election.State) bool { return s.Registered && s.Lease != before.Lease })
	if b.stands(zombie.key(b)) {
		t.Error("a key outlives its lease")
	}
	still(t, "the campaign without a lease ended", won)
	must(t, holder.Resign(t.Context()))
	elector.awaitPhase(election.Leader)
}

// revoking is a store whose first session finds its lease dead, as after a grant that was long on its way.
type revoking struct {
	election.Store
	bed  *bed
	dead election.LeaseID
}

func (r *revoking) Open(ctx context.Context, req election.OpenRequest) (election.Session, election.Opened, error) {
	s, o, err := r.Store.Open(ctx, req)
	if err == nil && r.dead == 0 {
		r.dead = o.Grant.Lease
		r.bed.Revoke(r.dead)
	}
	return s, o, err
}

func TestSessionOfADeadLeaseOpensInTheLibraryAndNoElectorLeadsByIt(t *testing.T) {
	b := trapEtcd(t)
	g := within(t, func(ctx context.Context) (*clientv3.LeaseGrantResponse, error) { return b.client.Grant(ctx, 60) })
	b.Revoke(election.LeaseID(g.ID))
	s, err := concurrency.NewSession(dial(t, b.client.Endpoints()), concurrency.WithLease(g.ID))
	if err != nil || s == nil {
		t.Errorf("session of a dead lease: %v, %v", s, err)
	}
	r := &revoking{bed: b}
	b.wrap = func(s election.Store) election.Store { r.Store = s; return r }
	elector := b.join("a", 5*time.Second, nil)
	leads := elector.awaitPhase(election.Leader)
	if leads.Lease == r.dead || r.dead == 0 || b.stands(b.prefix()+"/"+r.dead.String()) {
		t.Errorf("leads by lease %v; the dead one is %v", leads.Lease, r.dead)
	}
}

// An error of the library's campaign leaves the key where it is (etcd-io/etcd#21128), and the library's
// candidate then resigns without removing it. An elector goes on waiting in its place.
func TestCampaignCutShortByCompactionLeavesItsKeyAndAnElectorKeepsItsPlace(t *testing.T) {
	b := trapEtcd(t)
	holder := b.naive(nil, time.Minute).win()
	l, through := linked(t, b.client.Endpoints()[0])
	failing := b.naive(through, time.Minute)
	failed := failing.wait(b)
	elector := b.join("a", 10*time.Second, through)
	before := elector.await("registration", func(s election.State) bool { return s.Registered })

	b.compactBehind(l)
	if err := await(t, "the library's failure", failed); err == nil {
		t.Error("the library's campaign survives compaction")
	}
	if err := failing.Resign(t.Context()); err != nil || !b.stands(failing.key(b)) {
		t.Errorf("resigned with %v; key stands: %v", err, b.stands(failing.key(b)))
	}
	b.Delete(failing.key(b))
	must(t, holder.Resign(t.Context()))
	if after := elector.awaitPhase(election.Leader); after.Lease != before.Lease {
		t.Errorf("the elector's place changed: %+v, then %+v", before, after)
	}
}

// The library's Resign forgets the key though its request failed (etcd-io/etcd#22123): it can never be
// removed by asking again. The store remembers, and the next session removes it at once.
func TestResignForgetsAKeyThatItDidNotRemoveAndTheStoreDoesNot(t *testing.T) {
	b := trapEtcd(t)
	forgetful := b.naive(nil, time.Minute).win()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := forgetful.Resign(ended); err == nil {
		t.Error("resigned with a context that had ended")
	}
	if err := forgetful.Resign(t.Context()); err != nil || !b.stands(forgetful.key(b)) {
		t.Errorf("resigned again with %v; key stands: %v", err, b.stands(forgetful.key(b)))
	}
	b.Delete(forgetful.key(b))

	const ttl = time.Minute // that it removes the key itself, and not this end
	l, through := linked(t, b.client.Endpoints()[0])
	seat := b.seat(through, ttl)
	got := await(t, "the win", seat.campaign(t.Context()))
	must(t, got.err)
	l.Sever(true, true)
	seat.Close(true, seat.claim(got.won))
	l.Heal()
	first := seat.opened.Key
	if !b.stands(first) {
		t.Fatal("the key went without a request")
	}
	seat.reopen(ttl)
	if b.stands(first) {
		t.Error("the key of the session before is still there")
	}
	must(t, await(t, "the next win", seat.campaign(t.Context())).err)
}

// ResumeElection takes its prefix as it is, where NewElection appends a "/" (etcd-io/etcd#13469).
func TestResumedElectionWithoutItsSlashHasTwoLeadersAndAReboundKeyStaysInTheQueue(t *testing.T) {
	b := trapEtcd(t)
	resumed := b.naive(nil, time.Minute)
	resumed.Election = concurrency.ResumeElection(resumed.session, b.prefix(), "", 0)
	resumed.win()
	if second := b.naive(nil, time.Minute).win(); !b.stands(resumed.Key()) || !b.stands(second.Key()) {
		t.Error("the two keys do not stand side by side")
	}

	other := newBed(t, b.client.Endpoints())
	seat := other.seat(nil, time.Minute)
	got := await(t, "the win", seat.campaign(t.Context()))
	must(t, got.err)
	behind := other.naive(nil, time.Minute)
	won := behind.wait(other)
	r, err := seat.Rebind(other.ctx(), seat.claim(got.won), seat.opened.Grant.Reply.RaftTerm)
	if err != nil || !r.Bound {
		t.Fatalf("rebound %+v, %v", r, err)
	}
	c, err := seat.Confirm(other.ctx(), election.Claim{Token: got.won.Token, Mod: r.Reply.Revision, Lease: r.Grant.Lease})
	if err != nil || !c.Holds || !c.Oldest {
		t.Errorf("after the rebind: %+v, %v", c, err)
	}
	still(t, "whoever waited behind the rebound key won", won)
}

// An election whose name continues another's after a "/" stands in the other's queue; the settings refuse
// such names. One that merely begins with the other's letters does not.
func TestNestedNamesBlockOneAnotherAndNamesThatBeginAlikeDoNot(t *testing.T) {
	b := trapEtcd(t)
	inner := newBed(t, b.client.Endpoints())
	inner.election = b.election + "/inner"
	nested := inner.naive(nil, time.Minute).win()
	outer := b.naive(nil, time.Minute)
	won := outer.wait(b)
	if r, err := b.client.Get(b.ctx(), b.prefix()+"/", clientv3.WithFirstCreate()...); err != nil || string(r.Kvs[0].Key) != nested.key(inner) {
		t.Errorf("the nested key is not in the queue: %v, %v", r.Kvs, err)
	}
	still(t, "the outer candidate won beside the nested one", won)
	must(t, nested.Resign(t.Context()))
	must(t, await(t, "the outer candidate's win", won))

	short, long := newBed(t, b.client.Endpoints()), newBed(t, b.client.Endpoints())
	long.election = short.election + "-and-more"
	long.join("b", 5*time.Second, nil).awaitPhase(election.Leader)
	short.join("a", 5*time.Second, nil).awaitPhase(election.Leader)
	short.join("c", 5*time.Second, nil).await("naming a", func(s election.State) bool { return s.Leader.Identity == "a" })
}

package etcdstore_test

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/elector-dev/elector/internal/devetcd"
	"github.com/elector-dev/elector/internal/election"
	"github.com/elector-dev/elector/internal/etcdstore"
)

// An etcd leader that has been deposed cannot have a confirmation committed, and answers reads that need
// not be linearizable as if nothing had happened. Each confirmation is an entry of the raft log.
func TestAConfirmationIsAnEntryOfTheRaftLogAndNoRead(t *testing.T) {
	t.Parallel()
	etcd := startEtcd(t, devetcd.Options{})
	b := newBed(t, etcd.Endpoints())
	seat := b.seat(nil, time.Minute)
	won := await(t, "the win", seat.campaign(t.Context()))
	must(t, won.err)
	const n = 50
	applied := func() uint64 {
		s, err := b.client.Status(b.ctx(), etcd.Endpoints()[0])
		must(t, err)
		return s.RaftAppliedIndex
	}
	entries := func(what func()) uint64 {
		before := applied()
		for range n {
			what()
		}
		return applied() - before
	}
	confirmed := entries(func() {
		if c, err := seat.Confirm(b.ctx(), seat.claim(won.won)); err != nil || !c.Holds {
			t.Errorf("confirmation %+v, %v", c, err)
		}
	})
	read := entries(func() { b.stands(seat.opened.Key) })
	if confirmed < n || read >= n {
		t.Errorf("%d confirmations are %d entries; %d reads are %d", n, confirmed, n, read)
	}
}

// A grant that comes back in another raft term than an earlier reply may be the work of an etcd leader
// that was on its way out: another is asked for.
func TestALeaseThatWasGrantedWhileTheRaftTermChangedIsNotUsed(t *testing.T) {
	b := trapEtcd(t)
	var told requests
	b.change = func(c *etcdstore.Config) { c.Requests = told.tell }
	seat := b.seat(nil, time.Minute)
	settled := told.count("grant OK")
	lease := seat.opened.Grant.Lease
	r, err := seat.Rebind(b.ctx(), election.Claim{Token: 1, Mod: 1, Lease: lease}, seat.opened.Grant.Reply.RaftTerm-1)
	if again := told.count("grant OK") - settled; err != nil || settled != 1 || again != 2 {
		t.Errorf("opened with %d grants, rebound after a change with %d more: %+v, %v", settled, again, r, err)
	}
}

// denying stands before etcd and denies, once, that it knows a lease, in the name of an older raft term.
type denying struct {
	pb.UnimplementedKVServer
	pb.UnimplementedLeaseServer
	kv    pb.KVClient
	lease pb.LeaseClient
	deny  atomic.Bool
}

func (d *denying) Range(ctx context.Context, r *pb.RangeRequest) (*pb.RangeResponse, error) {
	return d.kv.Range(ctx, r)
}

func (d *denying) LeaseGrant(ctx context.Context, r *pb.LeaseGrantRequest) (*pb.LeaseGrantResponse, error) {
	return d.lease.LeaseGrant(ctx, r)
}

func (d *denying) LeaseKeepAlive(client pb.Lease_LeaseKeepAliveServer) error {
	etcd, err := d.lease.LeaseKeepAlive(client.Context())
	for err == nil {
		var q *pb.LeaseKeepAliveRequest
		if q, err = client.Recv(); err != nil {
			break
		}
		var r *pb.LeaseKeepAliveResponse
		if err = etcd.Send(q); err == nil {
			r, err = etcd.Recv()
		}
		if err == nil {
			if d.deny.CompareAndSwap(true, false) {
				r.TTL = 0
				r.Header.RaftTerm--
			}
			err = client.Send(r)
		}
	}
	return err
}

// startDenying serves until the test ends.
func startDenying(t *testing.T, endpoints []string) (*denying, []string) {
	t.Helper()
	conn := dial(t, endpoints).ActiveConnection()
	d := &denying{kv: pb.NewKVClient(conn), lease: pb.NewLeaseClient(conn)}
	server := grpc.NewServer()
	pb.RegisterKVServer(server, d)
	pb.RegisterLeaseServer(server, d)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			t.Error(err)
		}
	})
	return d, []string{"http://" + l.Addr().String()}
}

// A woken etcd leader knows nothing of leases that were granted after it, and says so. The library ends a
// session over any such denial; the store keeps one that is of an older raft term than the lease from it.
func TestADenialByAnOlderEtcdLeaderEndsTheLibrarysSessionAndNotTheStores(t *testing.T) {
	const ttl = 2 * time.Second
	b := trapEtcd(t)
	d, through := startDenying(t, b.client.Endpoints())
	library := b.naive(through, ttl)
	d.deny.Store(true)
	await(t, "the end of the library's session", library.session.Done())
	must(t, within(t, func(ctx context.Context) (error, error) {
		_, err := b.client.Revoke(ctx, library.session.Lease()) // it was alive
		return err, nil
	}))

	seat := b.seat(through, ttl)
	event(seat, func(e election.Renewed) bool { return e.Renewal.TTL > 0 })
	d.deny.Store(true)
	denied := event(seat, func(e election.Renewed) bool { return e.Renewal.TTL == 0 }).Renewal
	if denied.RaftTerm >= seat.opened.Grant.Reply.RaftTerm {
		t.Errorf("denied in raft term %d, granted in %d", denied.RaftTerm, seat.opened.Grant.Reply.RaftTerm)
	}
	next := event(seat, func(e election.Event) bool {
		renewed, ok := e.(election.Renewed)
		return ok && renewed.Renewal.Sent > denied.Received || isOver(e)
	})
	if r, ok := next.(election.Renewed); !ok || r.Renewal.TTL <= 0 {
		t.Errorf("after the denial comes %+v", next)
	}
}

func TestASessionIsOverWhenItsLeaseHasGone(t *testing.T) {
	b := trapEtcd(t)
	s := b.seat(nil, 3*time.Second)
	event(s, anyOf[election.Renewed])
	b.Revoke(s.opened.Grant.Lease)
	event(s, isOver)
}

func TestALeaseThatTheKeyHasLeftIsKeptAliveNoLonger(t *testing.T) {
	b := trapEtcd(t)
	s := b.seat(nil, 2*time.Second)
	claim := s.claim(await(t, "the win", s.campaign(b.ctx())).won)
	event(s, anyOf[election.Renewed])
	rb, err := s.Rebind(b.ctx(), claim, s.opened.Grant.Reply.RaftTerm)
	must(t, err)
	ofNew := func(e election.Renewed) bool { return e.Renewal.Lease == rb.Grant.Lease }
	for range 2 { // what was on its way is here
		event(s, ofNew)
	}
	for range 4 {
		if e := event(s, anyOf[election.Renewed]); !ofNew(e) {
			t.Fatalf("renewed is %x, and the key is on %x", e.Renewal.Lease, rb.Grant.Lease)
		}
	}
}

func isOver(e election.Event) bool { return e == election.SessionOver{Session: 1} }

package etcdstore_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/elector-dev/elector/internal/devetcd"
	"github.com/elector-dev/elector/internal/election"
	"github.com/elector-dev/elector/internal/etcdstore"
)

// between stands before etcd, hands everything on, and lets the test say no to a request or change its answer.
type between struct {
	pb.UnimplementedKVServer
	pb.UnimplementedLeaseServer
	pb.UnimplementedWatchServer
	kv    pb.KVClient
	lease pb.LeaseClient
	watch pb.WatchClient

	blind  atomic.Bool // nobody is let watch
	before atomic.Pointer[func(request any) error]
	after  atomic.Pointer[func(request, answer any) error]
}

// deny has each request judged before etcd gets it; alter has each answer changed, or lost.
func (b *between) deny(f func(request any) error)          { b.before.Store(&f) }
func (b *between) alter(f func(request, answer any) error) { b.after.Store(&f) }

func pass[Q, A any](ctx context.Context, b *between, request Q, call func(context.Context, Q, ...grpc.CallOption) (A, error)) (A, error) {
	var none A
	if f := b.before.Load(); f != nil {
		if err := (*f)(request); err != nil {
			return none, err
		}
	}
	answer, err := call(ctx, request)
	if f := b.after.Load(); f != nil && err == nil {
		if err := (*f)(request, answer); err != nil {
			return none, err
		}
	}
	return answer, err
}

func (b *between) Range(ctx context.Context, r *pb.RangeRequest) (*pb.RangeResponse, error) {
	return pass(ctx, b, r, b.kv.Range)
}

func (b *between) Put(ctx context.Context, r *pb.PutRequest) (*pb.PutResponse, error) {
	return pass(ctx, b, r, b.kv.Put)
}

func (b *between) DeleteRange(ctx context.Context, r *pb.DeleteRangeRequest) (*pb.DeleteRangeResponse, error) {
	return pass(ctx, b, r, b.kv.DeleteRange)
}

func (b *between) Txn(ctx context.Context, r *pb.TxnRequest) (*pb.TxnResponse, error) {
	return pass(ctx, b, r, b.kv.Txn)
}

func (b *between) LeaseGrant(ctx context.Context, r *pb.LeaseGrantRequest) (*pb.LeaseGrantResponse, error) {
	return pass(ctx, b, r, b.lease.LeaseGrant)
}

func (b *between) LeaseRevoke(ctx context.Context, r *pb.LeaseRevokeRequest) (*pb.LeaseRevokeResponse, error) {
	return pass(ctx, b, r, b.lease.LeaseRevoke)
}

func (b *between) LeaseKeepAlive(client pb.Lease_LeaseKeepAliveServer) error {
	etcd, err := b.lease.LeaseKeepAlive(client.Context())
	if err != nil {
		return err
	}
	return handOn(client, etcd)
}

func (b *between) Watch(client pb.Watch_WatchServer) error {
	if b.blind.Load() {
		return status.Error(codes.Unknown, "the test says no")
	}
	etcd, err := b.watch.Watch(client.Context())
	if err != nil {
		return err
	}
	return handOn(judged{client, b}, etcd)
}

// judged is the client's end of a stream of watches.
type judged struct {
	pb.Watch_WatchServer
	by *between
}

func (j judged) Recv() (*pb.WatchRequest, error) {
	q, err := j.Watch_WatchServer.Recv()
	if f := j.by.before.Load(); f != nil && err == nil {
		err = (*f)(q)
	}
	return q, err
}

// handOn hands messages on in both directions until the client ends the stream.
func handOn[Q, A any](client grpc.BidiStreamingServer[Q, A], etcd grpc.BidiStreamingClient[Q, A]) error {
	go func() {
		for {
			q, err := client.Recv()
			if err != nil {
				_ = etcd.CloseSend()
				return
			}
			_ = etcd.Send(q)
		}
	}()
	for {
		a, err := etcd.Recv()
		if err != nil {
			return err
		}
		if err := client.Send(a); err != nil {
			return err
		}
	}
}

// behind starts etcd with something between it and the bed's stores.
func behind(t *testing.T) (*bed, *between, []string) {
	t.Helper()
	etcd := startEtcd(t, devetcd.Options{})
	conn := dial(t, etcd.Endpoints()).ActiveConnection()
	b := &between{kv: pb.NewKVClient(conn), lease: pb.NewLeaseClient(conn), watch: pb.NewWatchClient(conn)}
	server := grpc.NewServer()
	pb.RegisterKVServer(server, b)
	pb.RegisterLeaseServer(server, b)
	pb.RegisterWatchServer(server, b)
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
	return newBed(t, etcd.Endpoints()), b, []string{"http://" + l.Addr().String()}
}

var (
	errNo     = status.Error(codes.Internal, "the test says no")
	errDenied = status.Error(codes.PermissionDenied, "etcdserver: permission denied")
)

// writes reports whether a request is a transaction that writes a key.
func writes(request any, key string) bool {
	t, ok := request.(*pb.TxnRequest)
	if !ok {
		return false
	}
	for _, op := range t.Success {
		if p := op.GetRequestPut(); p != nil && string(p.Key) == key {
			return true
		}
		if inner := op.GetRequestTxn(); inner != nil && writes(inner, key) {
			return true
		}
	}
	return false
}

// alive reports whether a lease is known to etcd.
func (b *bed) alive(id election.LeaseID) bool {
	b.t.Helper()
	r, err := b.client.TimeToLive(b.ctx(), clientv3.LeaseID(id))
	must(b.t, err)
	return r.TTL > 0
}

// removes closes the seat's session without releasing anything and opens the next, which is to remove what is left.
func (s *seat) removes() {
	s.t.Helper()
	s.Close(false, election.Claim{})
	s.reopen(time.Minute)
}

func TestAWinTellsTheRaftTermInWhichItWasAnswered(t *testing.T) {
	b, way, endpoints := behind(t)
	s := b.seat(endpoints, time.Minute)
	settled := s.opened.Grant.Reply.RaftTerm
	way.alter(func(request, answer any) error {
		switch a := answer.(type) {
		case *pb.TxnResponse:
			a.Header.RaftTerm += 7
		case *pb.RangeResponse:
			a.Header.RaftTerm += 7
			if string(request.(*pb.RangeRequest).Key) == s.opened.Key {
				t.Error("who was not refused looks at its own key")
			}
		}
		return nil
	})
	won := await(t, "the win", s.campaign(b.ctx()))
	if won.err != nil || won.won.RaftTerm != settled+7 || won.won.Token == 0 || won.won.Mod != won.won.Token {
		t.Errorf("%+v, granted in %d", won, settled)
	}
}

func TestCallsOfASessionThatHasEndedSaySo(t *testing.T) {
	b, _, endpoints := behind(t)
	leads := b.seat(endpoints, time.Minute)
	must(t, await(t, "the win", leads.campaign(b.ctx())).err)
	s := b.seat(endpoints, time.Minute)
	waits := s.campaign(context.Background())
	b.awaitKey(s.opened.Key)
	given, cancel := context.WithCancel(context.Background())
	again := s.campaign(given)
	cancel()
	if got := await(t, "the end of a campaign that was given up", again); !errors.Is(got.err, context.Canceled) || errors.Is(got.err, election.ErrSessionEnded) {
		t.Errorf("a campaign that was given up: %v", got.err)
	}
	s.Close(true, election.Claim{})
	for len(s.events) > 0 {
		if e := <-s.events; isOver(e) {
			t.Errorf("who has closed a session is told %+v", e)
		}
	}
	if got := await(t, "the end of the campaign", waits); !errors.Is(got.err, election.ErrSessionEnded) {
		t.Errorf("a campaign whose session was closed: %v", got.err)
	}
	for name, call := range map[string]func() error{
		"campaign": func() error { _, err := s.Campaign(b.ctx()); return err },
		"rebind":   func() error { _, err := s.Rebind(b.ctx(), election.Claim{}, 0); return err },
		"put":      func() error { _, err := s.PutValue(b.ctx(), election.Claim{}, election.ValuePut{}); return err },
		"pass":     func() error { return s.Pass(b.ctx(), election.Claim{}, election.Candidate{}) },
	} {
		if err := call(); !errors.Is(err, election.ErrSessionEnded) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := s.Confirm(b.ctx(), election.Claim{}); err == nil {
		t.Error("a closed session confirms")
	}
	if q, err := s.Candidates(b.ctx()); err == nil || !strings.HasPrefix(err.Error(), "read the queue") {
		t.Errorf("a closed session tells of %+v, %v", q, err)
	}
}

// An unanswered confirmation must be told from one that says no.
func TestAConfirmationThatIsNotAnsweredIsAnError(t *testing.T) {
	b, way, endpoints := behind(t)
	s := b.seat(endpoints, time.Minute)
	claim := s.claim(await(t, "the win", s.campaign(b.ctx())).won)
	way.deny(func(any) error { return errNo })
	if c, err := s.Confirm(b.ctx(), claim); err == nil || c != (election.Confirmation{}) {
		t.Errorf("%+v, %v", c, err)
	}
	way.deny(func(any) error { return nil })
	before := now()
	c, err := s.Confirm(b.ctx(), claim)
	if err != nil || !c.Holds || !c.Oldest || c.Found != nil || c.Reply.Sent < before || c.Reply.Received < c.Reply.Sent || c.Reply.Received > now() ||
		c.Reply.RaftTerm != s.opened.First.RaftTerm || c.Reply.Revision < claim.Mod {
		t.Errorf("%+v, %v", c, err)
	}
	claim.Mod++
	if c, err := s.Confirm(b.ctx(), claim); err != nil || c.Holds || c.Oldest || c.Found == nil || *c.Found != (election.KeyState{Token: claim.Token, Mod: claim.Mod - 1, Lease: claim.Lease, Own: true}) {
		t.Errorf("%+v, %v", c, err)
	}
}

// Whatever a rebind has left behind is removed by the next session; until then the key may be on it.
func TestRebindsThatFailSaySoAndLeaveNoLease(t *testing.T) {
	lost := false
	for name, row := range map[string]struct {
		deny  func(*seat, any) error
		alter func(*seat, any, any) error
		bound bool // in etcd, whatever the session knows
		value bool // the term has published one
	}{
		"no grant": {deny: func(_ *seat, q any) error {
			if _, ok := q.(*pb.LeaseGrantRequest); ok {
				return errNo
			}
			return nil
		}},
		"a shorter lease": {alter: func(_ *seat, _, a any) error {
			if g, ok := a.(*pb.LeaseGrantResponse); ok {
				g.TTL--
			}
			return nil
		}},
		"no put": {deny: func(s *seat, q any) error {
			if writes(q, s.opened.Key) {
				return errNo
			}
			return nil
		}},
		"no answer to the put": {bound: true, alter: func(s *seat, q, _ any) error {
			if writes(q, s.opened.Key) {
				return errNo
			}
			return nil
		}},
		"no answer to the put that takes a value along": {bound: true, value: true, alter: func(s *seat, q, _ any) error {
			if !lost && writes(q, s.opened.Key) {
				lost = true
				return errNo
			}
			return nil
		}},
	} {
		t.Run(name, func(t *testing.T) {
			b, way, endpoints := behind(t)
			s := b.seat(endpoints, time.Minute)
			claim := s.claim(await(t, "the win", s.campaign(b.ctx())).won)
			if row.value {
				_, err := s.PutValue(b.ctx(), claim, election.ValuePut{Bytes: []byte("v"), Token: claim.Token})
				must(t, err)
			}
			var granted election.LeaseID
			way.alter(func(q, a any) error {
				if g, ok := a.(*pb.LeaseGrantResponse); ok {
					granted = election.LeaseID(g.ID)
				}
				if row.alter != nil {
					return row.alter(s, q, a)
				}
				return nil
			})
			if row.deny != nil {
				way.deny(func(q any) error { return row.deny(s, q) })
			}
			if r, err := s.Rebind(b.ctx(), claim, 0); err == nil || r != (election.Rebound{}) {
				t.Errorf("%+v, %v", r, err)
			}
			way.deny(func(any) error { return nil })
			way.alter(func(any, any) error { return nil })
			c, err := s.Confirm(b.ctx(), claim)
			if err != nil || c.Holds == row.bound {
				t.Errorf("afterwards %+v, %v", c, err)
			}
			if granted != 0 && !b.alive(granted) {
				t.Error("the new lease went at once, and with it a key that may be on it")
			}
			if s.removes(); granted != 0 && b.alive(granted) {
				t.Error("the new lease is left")
			}
		})
	}
}

func TestARebindThatFindsAnotherKeyLeavesNoLease(t *testing.T) {
	b, way, endpoints := behind(t)
	s := b.seat(endpoints, time.Minute)
	claim := s.claim(await(t, "the win", s.campaign(b.ctx())).won)
	b.Overwrite(s.opened.Key)
	var granted election.LeaseID
	way.alter(func(_, a any) error {
		if g, ok := a.(*pb.LeaseGrantResponse); ok {
			granted = election.LeaseID(g.ID)
		}
		return nil
	})
	r, err := s.Rebind(b.ctx(), claim, 0)
	if err != nil || r.Bound || r.Found == nil || r.Found.Own || r.Found.Token != claim.Token || r.Grant.Lease != granted {
		t.Errorf("%+v, %v", r, err)
	}
	lost := granted
	if s.removes(); b.alive(lost) {
		t.Error("the new lease is left")
	}
}

// The lead does not hang on the value, and the value not on when it was put.
func TestARebindTakesTheValueAlongOrGoesWithoutIt(t *testing.T) {
	for name, row := range map[string]struct {
		denied bool // the value's key may not be written
		late   bool // the value is put while the key is being rebound
	}{"along": {}, "denied": {denied: true}, "put meanwhile": {late: true}} {
		t.Run(name, func(t *testing.T) {
			b, way, endpoints := behind(t)
			var warned atomic.Int64
			b.change = func(c *etcdstore.Config) { c.Logger = slog.New(counting{slog.DiscardHandler, &warned}) }
			s := b.seat(endpoints, time.Minute)
			claim := s.claim(await(t, "the win", s.campaign(b.ctx())).won)
			put := func() {
				_, err := s.PutValue(b.ctx(), claim, election.ValuePut{Bytes: []byte("v"), Token: claim.Token})
				must(t, err)
			}
			valueKey := b.valueKey()
			var first, bound election.Instant
			if !row.late {
				put()
			}
			way.deny(func(q any) error {
				if row.denied && writes(q, valueKey) {
					if first == 0 {
						first = now()
					}
					return errDenied
				}
				if !writes(q, s.opened.Key) {
					return nil
				}
				if row.late {
					way.deny(func(any) error { return nil })
					put()
				}
				bound = now()
				return nil
			})
			r, err := s.Rebind(b.ctx(), claim, 0)
			if err != nil || !r.Bound || r.Reply.Sent < first || row.denied && r.Reply.Sent > bound {
				t.Fatalf("%+v, %v; first tried at %d, bound at %d", r, err, first, bound)
			}
			v, err := b.client.Get(b.ctx(), valueKey)
			must(t, err)
			want := r.Grant.Lease
			if row.denied {
				want = claim.Lease
			}
			if len(v.Kvs) != 1 || election.LeaseID(v.Kvs[0].Lease) != want {
				t.Fatalf("the value is %v, want it on %x", v.Kvs, int64(want))
			}
			if writes := v.Kvs[0].Version; writes != 2 && !row.denied {
				t.Errorf("the value was put and taken along with %d writes", writes)
			}
			if n := warned.Load(); n != 0 && !row.denied {
				t.Errorf("%d warnings", n)
			}
			event(s, func(e election.Renewed) bool { return e.Renewal.Lease == r.Grant.Lease })
		})
	}
}

// counting counts warnings and errors.
type counting struct {
	slog.Handler
	n *atomic.Int64
}

func (c counting) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }

func (c counting) Handle(context.Context, slog.Record) error { c.n.Add(1); return nil }

func (c counting) WithAttrs([]slog.Attr) slog.Handler { return c }

func TestAPutOfTheValueTellsWhatWasPutOrWhatFailed(t *testing.T) {
	b, way, endpoints := behind(t)
	s := b.seat(endpoints, time.Minute)
	claim := s.claim(await(t, "the win", s.campaign(b.ctx())).won)
	put := election.ValuePut{Bytes: []byte("v"), ContentType: "text/plain", Token: claim.Token}
	v, err := s.PutValue(b.ctx(), claim, put)
	if err != nil || string(v.Bytes) != "v" || v.ContentType != put.ContentType || v.Token != claim.Token || v.Revision <= claim.Token {
		t.Errorf("put as %+v, %v", v, err)
	}
	other := claim
	other.Token--
	if v, err := s.PutValue(b.ctx(), other, put); !errors.Is(err, election.ErrTokenMismatch) || v != nil {
		t.Errorf("with another token: %+v, %v", v, err)
	}
	way.deny(func(q any) error {
		if writes(q, b.valueKey()) {
			return errNo
		}
		return nil
	})
	if v, err := s.PutValue(b.ctx(), claim, put); err == nil || v != nil || !strings.HasPrefix(err.Error(), "publish the value") {
		t.Errorf("put as %+v, %v", v, err)
	}
}

func TestAnOpeningThatIsGivenUpAtItsLastAnswerGivesNoSession(t *testing.T) {
	b, _, endpoints := behind(t)
	ctx, giveUp := context.WithCancel(b.ctx())
	defer giveUp()
	b.change = func(c *etcdstore.Config) {
		c.Requests = func(op, _ string) {
			if op == "grant" {
				giveUp()
			}
		}
	}
	s, _, err := b.storeAt("seat", time.Minute, endpoints).Open(ctx, request(time.Minute, func(election.Event) {}))
	if err == nil {
		s.Close(true, election.Claim{})
		t.Error("a session is opened for one that has given it up")
	}
}

// gRPC would dial at once, again and again.
func TestAMemberThatIsAwayIsDialledWithPauses(t *testing.T) {
	b, _, endpoints := behind(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	var dialled atomic.Int64
	served := make(chan struct{})
	go func() {
		defer close(served)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			dialled.Add(1)
			conn.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-served })
	s := b.seat(append(endpoints, "http://"+l.Addr().String()), 2*time.Second)
	for range 3 {
		event(s, anyOf[election.Renewed])
	}
	if n := dialled.Load(); n < 2 || n > 30 {
		t.Errorf("dialled %d times in two seconds", n)
	}
}

// opensAt opens a session of the bed's store, and returns how it was opened or why not.
func (b *bed) opensAt(endpoints []string) (election.Store, election.Session, election.Opened, error) {
	b.t.Helper()
	store := b.storeAt("seat", time.Minute, endpoints)
	s, opened, err := store.Open(b.ctx(), request(time.Minute, func(election.Event) {}))
	return store, s, opened, err
}

func TestALeaseIsSettledOrThereIsNoSession(t *testing.T) {
	for name, row := range map[string]struct {
		changes int // of the raft term, before grants
		grants  int
		well    bool
	}{"at once": {0, 1, true}, "at the second": {1, 2, true}, "at the third": {2, 3, true}, "never": {9, 3, false}} {
		t.Run(name, func(t *testing.T) {
			b, way, endpoints := behind(t)
			var leases []election.LeaseID
			changes := uint64(0)
			way.alter(func(_, answer any) error {
				if g, ok := answer.(*pb.LeaseGrantResponse); ok {
					leases = append(leases, election.LeaseID(g.ID))
					changes = uint64(min(len(leases), row.changes))
					g.Header.RaftTerm += changes
				}
				return nil
			})
			before := now()
			store, s, opened, err := b.opensAt(endpoints)
			if (err == nil) != row.well || len(leases) != row.grants {
				t.Fatalf("%d grants, %v", len(leases), err)
			}
			way.alter(func(any, any) error { return nil })
			if !row.well {
				if s != nil || opened != (election.Opened{}) {
					t.Errorf("%v, %+v", s, opened)
				}
			} else {
				g, first := opened.Grant, opened.First
				if g.Lease != leases[len(leases)-1] || g.TTL != time.Minute || g.Reply.RaftTerm != first.RaftTerm+changes || g.Reply.Sent < first.Received || g.Reply.Received < g.Reply.Sent ||
					first.Sent < before || first.Received < first.Sent || first.Revision < 1 || opened.Key != fmt.Sprintf("%s/%x", b.prefix(), int64(g.Lease)) ||
					opened.ClusterID == 0 || store.(*etcdstore.Store).Cluster() != opened.ClusterID {
					t.Errorf("%+v", opened)
				}
				s.Close(false, election.Claim{})
			}
			s, _, err = store.Open(b.ctx(), request(time.Minute, func(election.Event) {}))
			must(t, err)
			for _, id := range leases {
				if b.alive(id) {
					t.Errorf("of %x, lease %x is left", leases, int64(id))
				}
			}
			s.Close(true, election.Claim{})
		})
	}
}

// What cannot be removed now is removed by a later session, and nothing of it is forgotten meanwhile.
func TestWhatASessionLeavesIsRemovedByTheNextThatCan(t *testing.T) {
	b, way, endpoints := behind(t)
	s := b.seat(endpoints, time.Minute)
	must(t, await(t, "the win", s.campaign(b.ctx())).err)
	old, err := b.client.Grant(b.ctx(), 60)
	must(t, err)
	before := election.LeaseID(old.ID) // that a rebind has left
	key, lease := s.opened.Key, s.opened.Grant.Lease
	there := func() int {
		n := 0
		for _, is := range []bool{b.stands(key), b.alive(lease), b.alive(before)} {
			if is {
				n++
			}
		}
		return n
	}
	removals := func(q any) error {
		switch q.(type) {
		case *pb.DeleteRangeRequest, *pb.LeaseRevokeRequest:
			return errNo
		}
		return nil
	}
	way.deny(removals)
	s.Close(true, election.Claim{Lease: before})
	s.reopen(time.Minute)
	if n := there(); n != 3 {
		t.Fatalf("%d of three are there, and nothing could be removed", n)
	}
	way.deny(func(any) error { return nil })
	s.Close(false, election.Claim{Lease: s.opened.Grant.Lease})
	if !b.alive(s.opened.Grant.Lease) {
		t.Error("a session that was to release nothing has")
	}
	s.reopen(time.Minute)
	if n := there(); n != 0 {
		t.Errorf("%d of three are left", n)
	}
	must(t, await(t, "the win", s.campaign(b.ctx())).err)
	if old, err = b.client.Grant(b.ctx(), 60); err != nil {
		t.Fatal(err)
	}
	key, lease, before = s.opened.Key, s.opened.Grant.Lease, election.LeaseID(old.ID)
	if s.Close(true, election.Claim{Lease: before}); there() != 0 {
		t.Errorf("%d of three are left by a release", there())
	}
}

package etcdstore

import (
	"context"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/balancer/base"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/status"

	"github.com/elector-dev/elector/internal/election"
	"github.com/elector-dev/elector/internal/record"
)

// endpoint is a server that counts what it is asked, and fails if told to.
type endpoint struct {
	grpc_health_v1.UnimplementedHealthServer
	address string

	mu    sync.Mutex // guards the fields below
	asked int
	fails error
	conns []net.Conn
}

// keptListener keeps the connections that it accepts.
type keptListener struct {
	net.Listener
	of *endpoint
}

func (l keptListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		l.of.mu.Lock()
		l.of.conns = append(l.of.conns, c)
		l.of.mu.Unlock()
	}
	return c, err
}

// lose closes the connections.
func (e *endpoint) lose() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, c := range e.conns {
		_ = c.Close()
	}
	e.conns = nil
}

// telling is the balancer under test, which tells of the endpoints that are connected.
type telling struct{ balancerBuilder }

const tellingName = balancerName + "_telling"

var connected = make(chan []string, 1024) // of the one client that uses it

func init() { balancer.Register(telling{}) } // gRPC takes them at no other time

func (telling) Name() string { return tellingName }

func (t telling) Build(cc balancer.ClientConn, opts balancer.BuildOptions) balancer.Balancer {
	return t.balancerBuilder.Build(tellingConn{cc}, opts)
}

type tellingConn struct{ balancer.ClientConn }

func (c tellingConn) UpdateState(s balancer.State) {
	c.ClientConn.UpdateState(s)
	if p, ok := s.Picker.(*picker); ok {
		connected <- p.names
	}
}

func (e *endpoint) Check(context.Context, *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.asked++
	return &grpc_health_v1.HealthCheckResponse{}, e.fails
}

func (e *endpoint) fail(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.fails = err
}

func (e *endpoint) count() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.asked
}

func serveEndpoint(t *testing.T) *endpoint {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e := &endpoint{address: l.Addr().String()}
	s := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(s, e)
	served := make(chan struct{})
	go func() { defer close(served); _ = s.Serve(keptListener{l, e}) }()
	t.Cleanup(func() { s.Stop(); <-served })
	return e
}

func TestRequestsGoToOneEndpointUntilOneFailsThere(t *testing.T) {
	var all []*endpoint
	var state resolver.State
	for range 3 {
		e := serveEndpoint(t)
		all = append(all, e)
		state.Endpoints = append(state.Endpoints, resolver.Endpoint{Addresses: []resolver.Address{{Addr: e.address}}})
	}
	r := manual.NewBuilderWithScheme("these")
	r.InitialState(state)
	conn, err := grpc.NewClient("these:///", grpc.WithResolvers(r), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDisableServiceConfig(), grpc.WithDefaultServiceConfig(strings.Replace(balancing, balancerName, tellingName, 1)))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client := grpc_health_v1.NewHealthClient(conn)
	ask := func() (*endpoint, error) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var from peer.Peer
		_, err := client.Check(ctx, &grpc_health_v1.HealthCheckRequest{}, grpc.Peer(&from), grpc.WaitForReady(true))
		i := slices.IndexFunc(all, func(e *endpoint) bool { return e.address == from.Addr.String() })
		return all[i], err
	}
	// All are connected before anything is concluded: the first answer may come when one is.
	seen := map[*endpoint]bool{}
	for len(seen) < len(all) {
		e, _ := ask()
		seen[e] = true
		e.fail(status.Error(codes.Unavailable, "go"))
	}
	for _, e := range all {
		e.fail(nil)
	}
	for _, failing := range []error{
		status.Error(codes.Unavailable, "no leader"), status.Error(codes.DeadlineExceeded, "late"), rpctypes.ErrGRPCNotSupportedForLearner,
		status.Error(codes.Unavailable, "again"),
	} {
		used, err := ask()
		if err != nil {
			t.Fatal(err)
		}
		before := used.count()
		for range 20 {
			if e, err := ask(); e != used || err != nil {
				t.Fatalf("a request went to another endpoint without need, or failed: %v", err)
			}
		}
		used.fail(status.Error(codes.NotFound, "an answer like any other"))
		if e, err := ask(); e != used || status.Code(err) != codes.NotFound {
			t.Fatalf("the endpoint was left, or did not answer: %v", err)
		}
		used.fail(failing)
		if e, err := ask(); e != used || err == nil {
			t.Fatal("the failing endpoint was not asked")
		}
		if after, err := ask(); after == used || err != nil {
			t.Errorf("after %v the next request went to the same endpoint, or failed: %v", failing, err)
		}
		if n := used.count() - before; n != 22 {
			t.Errorf("the endpoint was asked %d times, not 22", n)
		}
		used.fail(nil)
	}
	used, err := ask()
	if err != nil {
		t.Fatal(err)
	}
	for len(connected) > 0 {
		<-connected
	}
	used.lose()
	for slices.Contains(<-connected, used.address) { // until it has gone
	}
	for !slices.Contains(<-connected, used.address) { // until it is back
	}
	if e, err := ask(); e == used || err != nil {
		t.Errorf("the endpoint is used again, though its connection had gone; %v", err)
	}
}

// A connection that was given up is soon back where only the member behind it is stuck, and must not be used again at once.
func TestAnEndpointThatLosesItsConnectionIsLeft(t *testing.T) {
	all := []string{"a", "b", "c"}
	for range 20 {
		o := &oneEndpoint{turn: map[string]uint64{}}
		seen := map[string]bool{}
		for range all {
			used := all[o.among(all)]
			if seen[used] {
				t.Fatalf("%s again, before the others had their turn", used)
			}
			seen[used] = true
			o.connected(slices.DeleteFunc(slices.Clone(all), func(name string) bool { return name == used }))
			o.connected(all)
		}
		used := all[o.among(all)]
		if o.connected(all); all[o.among(all)] != used {
			t.Errorf("%s is left without need", used)
		}
		more := append(slices.Clone(all), "d", "e", "f")
		if o.connected(more); more[o.among(more)] != used {
			t.Errorf("%s is left for one that came later", used)
		}
		for _, other := range all {
			if other == used {
				continue
			}
			if o.leave(other); all[o.among(all)] != used {
				t.Errorf("%s is left because a request failed at %s", used, other)
			}
		}
		o.connected(nil)
		if i := o.among(all[:1]); i != 0 {
			t.Error("the only one is not used again")
		}
	}
}

func TestWhatAnEndpointCannotTakeIsHandedOn(t *testing.T) {
	p := &picker{from: &oneEndpoint{turn: map[string]uint64{}}, names: []string{"a"}, ready: []balancer.Picker{base.NewErrPicker(balancer.ErrNoSubConnAvailable)}}
	if _, err := p.Pick(balancer.PickInfo{}); err != balancer.ErrNoSubConnAvailable { // upon which gRPC picks again
		t.Errorf("%v", err)
	}
}

// streamOn is a stream on the connection with a local address.
type streamOn struct {
	grpc.ClientStream
	ctx context.Context
}

func (s streamOn) Context() context.Context { return s.ctx }

func TestKeepAlivesSpeakForTheWatchesOfTheirConnectionAlone(t *testing.T) {
	on := func(port int) *watched {
		ctx := t.Context()
		if port > 0 {
			ctx = peer.NewContext(ctx, &peer.Peer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}})
		}
		return &watched{ClientStream: streamOn{ctx: ctx}}
	}
	for _, c := range []struct {
		watching, renewing *watched
		want               bool
	}{
		{nil, nil, false},
		{on(1), nil, false},
		{nil, on(1), false},
		{on(1), on(2), false},
		{on(0), on(0), false},
		{on(1), on(1), true},
	} {
		ss := &session{req: election.OpenRequest{Sink: func(election.Event) {}}}
		ss.watching.Store(c.watching)
		ss.renewing.Store(c.renewing)
		if got := ss.oneConnection(); got != c.want {
			t.Errorf("watches on %v, keep-alives on %v: %t", c.watching, c.renewing, got)
		}
		asked := func() (n int) {
			for third := range 9 {
				if ss.wantsLife(1 + third) {
					n++
				}
			}
			return n
		}
		ss.showValue(nil)
		if n, want := asked(), map[bool]int{true: 3, false: 9}[c.want]; n != want {
			t.Errorf("watches on %v, keep-alives on %v: %d signs of life in three TTLs, want %d", c.watching, c.renewing, n, want)
		}
		if ss.showValue(&mvccpb.KeyValue{Value: []byte(record.EncodeValue(election.ValuePut{Token: 7}))}); asked() != 9 {
			t.Errorf("where there is a value it asks for %d signs of life in three TTLs", asked())
		}
	}
}

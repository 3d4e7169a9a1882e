package etcdstore

import (
	"math"
	"math/rand/v2"
	"slices"
	"sync"

	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/balancer/endpointsharding"
	"google.golang.org/grpc/balancer/pickfirst"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"
)

// balancerName is what gRPC knows the balancer of our clients by, and balancing the service config that asks for it.
const (
	balancerName = "elector_one_endpoint"
	balancing    = `{"loadBalancingConfig":[{"` + balancerName + `":{}}]}`
)

func init() { balancer.Register(balancerBuilder{}) } // gRPC takes them at no other time

// balancerBuilder makes gRPC send all of a client's requests to one endpoint, until one fails there. The library's
// round robin would spread a session's streams, so that what one hears of its endpoint says nothing of the other's.
type balancerBuilder struct{}

// Name implements balancer.Builder.
func (balancerBuilder) Name() string { return balancerName }

// Build implements balancer.Builder. As with round robin, every endpoint is kept connected.
func (balancerBuilder) Build(cc balancer.ClientConn, opts balancer.BuildOptions) balancer.Balancer {
	return endpointsharding.NewBalancer(&oneEndpoint{ClientConn: cc, turn: map[string]uint64{}}, opts, balancer.Get(pickfirst.Name).Build, endpointsharding.Options{})
}

// oneEndpoint is the connection of a client to all its endpoints, of which one is in use.
type oneEndpoint struct {
	balancer.ClientConn

	mu   sync.Mutex        // guards the fields below, for a few comparisons
	used string            // empty: none
	turn map[string]uint64 // a random order, so that the clients of a member that goes do not all go to the same
	last uint64            // turn of the one that was left
}

// UpdateState implements balancer.ClientConn.
func (o *oneEndpoint) UpdateState(s balancer.State) {
	p := &picker{from: o}
	for _, c := range endpointsharding.ChildStatesFromPicker(s.Picker) {
		if c.State.ConnectivityState == connectivity.Ready {
			p.names = append(p.names, c.Endpoint.Addresses[0].Addr)
			p.ready = append(p.ready, c.State.Picker)
		}
	}
	o.connected(p.names)
	if s.ConnectivityState == connectivity.Ready {
		s.Picker = p
	}
	o.ClientConn.UpdateState(s)
}

// connected leaves the endpoint in use when its connection has gone, also if it is back before the next request: a
// connection is closed because nothing was heard on it (see watched).
func (o *oneEndpoint) connected(names []string) {
	o.mu.Lock()
	used := o.used
	o.mu.Unlock()
	if used != "" && !slices.Contains(names, used) {
		o.leave(used)
	}
}

// among chooses one of the endpoints that are connected: the one in use, else the next in turn.
func (o *oneEndpoint) among(names []string) (next int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if i := slices.Index(names, o.used); i >= 0 {
		return i
	}
	soonest := uint64(math.MaxUint64)
	for i, name := range names {
		if _, ok := o.turn[name]; !ok {
			o.turn[name] = rand.Uint64()
		}
		if wait := o.turn[name] - o.last - 1; wait <= soonest { // it wraps around: the one that was left waits longest
			next, soonest = i, wait
		}
	}
	o.used = names[next]
	return next
}

// leave makes the next request go to another endpoint, if it would go to this one.
func (o *oneEndpoint) leave(name string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.used == name {
		o.used, o.last = "", o.turn[name]
	}
}

// picker is the endpoints that are connected at a time.
type picker struct {
	from  *oneEndpoint
	names []string
	ready []balancer.Picker
}

// Pick implements balancer.Picker.
func (p *picker) Pick(info balancer.PickInfo) (balancer.PickResult, error) {
	i := p.from.among(p.names)
	r, err := p.ready[i].Pick(info)
	if err != nil {
		return r, err
	}
	done := r.Done
	r.Done = func(d balancer.DoneInfo) {
		if c := status.Code(d.Err); c == codes.Unavailable || c == codes.DeadlineExceeded || learner(d.Err) {
			p.from.leave(p.names[i])
		}
		if done != nil {
			done(d)
		}
	}
	return r, nil
}

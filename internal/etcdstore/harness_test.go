package etcdstore_test

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/elector-dev/elector/internal/devetcd"
	"github.com/elector-dev/elector/internal/election"
	"github.com/elector-dev/elector/internal/etcdstore"
)

// patience bounds every wait for an event on the real clock.
const patience = 60 * time.Second

// candidate is an elector running on real etcd.
type candidate struct {
	*election.Elector
	t    *testing.T
	stop context.CancelFunc
	done chan struct{}
}

// join starts an elector in the bed's election. Its store talks to the endpoints.
func (b *bed) join(identity string, ttl time.Duration, endpoints []string) *candidate {
	b.t.Helper()
	b.config = func(c *etcdstore.Config) {
		c.TTL = ttl
		if endpoints != nil {
			c.Endpoints = endpoints
		}
		if b.change != nil {
			b.change(c)
		}
	}
	store := b.Store(identity, identity+"-1")
	if b.wrap != nil {
		store = b.wrap(store)
	}
	e, err := election.New(election.Config{
		Identity: identity, Incarnation: identity + "-1", Election: "default/" + b.election,
		TTL: ttl, AnswerMax: time.Second, ReleaseNow: true,
		Clock: bootClock{}, Store: store, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	c := &candidate{Elector: e, t: b.t, stop: stop, done: make(chan struct{})}
	go func() {
		defer close(c.done)
		_ = e.Run(ctx, nil)
	}()
	b.t.Cleanup(c.leave)
	return c
}

// leave stops the elector and waits for its end.
func (c *candidate) leave() {
	c.stop()
	<-c.done
}

// await blocks until a state satisfies want.
func (c *candidate) await(what string, want func(election.State) bool) election.State {
	c.t.Helper()
	limit := time.After(patience)
	for {
		s, changed := c.Watch()
		if want(s) {
			return s
		}
		select {
		case <-changed:
		case <-limit:
			c.t.Fatalf("%s: %s did not happen; state %+v", c.Identity(), what, s)
		}
	}
}

func (c *candidate) awaitPhase(p election.Phase) election.State {
	c.t.Helper()
	return c.await(string(p), func(s election.State) bool { return s.Phase == p })
}

// neverBoth looks at two electors all the time until the test's end and fails it when both lead at one
// instant: the first says yes before and after the second does.
func neverBoth(t *testing.T, a, b *candidate) {
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			before, other, after := a.Look(), b.Look(), a.Look()
			if before.Leading && other.Leading && after.Leading {
				t.Errorf("%s (token %d) and %s (token %d) both lead at %v", a.Identity(), after.Token, b.Identity(), other.Token, other.At)
				return
			}
			select {
			case <-stop:
				return
			case <-tick.C:
			}
		}
	}()
	t.Cleanup(func() { close(stop); <-stopped })
}

// startCluster runs member processes.
func startCluster(t *testing.T, n int, opts devetcd.Options) *devetcd.Cluster {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c, err := devetcd.StartProcesses(ctx, n, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// within runs f with a context that ends before patience does, and fails the test on its error.
func within[T any](t *testing.T, f func(context.Context) (T, error)) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	v, err := f(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// proxy forwards TCP to one endpoint, and can go silent as a cut cable does: connections stay open and
// nothing passes.
type proxy struct {
	listener net.Listener
	workers  sync.WaitGroup

	mu     sync.Mutex // guards the fields below
	target string
	cut    chan struct{}
	conns  []net.Conn
}

func newProxy(t *testing.T, endpoint string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	p := &proxy{listener: l, target: endpoint[len("http://"):]}
	p.workers.Go(p.accept)
	t.Cleanup(func() {
		l.Close()
		p.heal()
		p.hangUp()
		p.workers.Wait()
	})
	return p
}

func (p *proxy) endpoint() string { return "http://" + p.listener.Addr().String() }

// silence stops all forwarding until heal.
func (p *proxy) silence() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cut == nil {
		p.cut = make(chan struct{})
	}
}

func (p *proxy) heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cut != nil {
		close(p.cut)
		p.cut = nil
	}
}

// hangUp closes all connections.
func (p *proxy) hangUp() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		c.Close()
	}
	p.conns = nil
}

// redirect closes all connections; later ones go to another endpoint.
func (p *proxy) redirect(endpoint string) {
	p.mu.Lock()
	p.target = endpoint[len("http://"):]
	p.mu.Unlock()
	p.hangUp()
}

// wait blocks while the proxy is silent.
func (p *proxy) wait() {
	p.mu.Lock()
	cut := p.cut
	p.mu.Unlock()
	if cut != nil {
		<-cut
	}
}

func (p *proxy) accept() {
	for {
		in, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.workers.Go(func() { p.serve(in) })
	}
}

func (p *proxy) serve(in net.Conn) {
	p.wait()
	p.mu.Lock()
	target := p.target
	p.mu.Unlock()
	out, err := net.Dial("tcp", target)
	if err != nil {
		in.Close()
		return
	}
	p.mu.Lock()
	p.conns = append(p.conns, in, out)
	p.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { p.pipe(out, in) })
	both.Go(func() { p.pipe(in, out) })
	both.Wait()
}

func (p *proxy) pipe(dst, src net.Conn) {
	defer dst.Close()
	defer src.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := src.Read(buf)
		p.wait()
		if n > 0 {
			if _, err := dst.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

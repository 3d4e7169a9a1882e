package etcdstore_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/elector-dev/elector/internal/chaos/link"
	"github.com/elector-dev/elector/internal/devetcd"
	"github.com/elector-dev/elector/internal/election"
	"github.com/elector-dev/elector/internal/etcdstore"
	"github.com/elector-dev/elector/internal/testenv"
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
	store := b.storeAt(identity, ttl, endpoints)
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

// storeAt makes a store that talks to the endpoints; nil means those of the bed.
func (b *bed) storeAt(identity string, ttl time.Duration, endpoints []string) election.Store {
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
	return b.Store(identity, identity+"-1")
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

// startCluster runs member processes, of the program to test with unless the options name others.
func startCluster(t *testing.T, n int, opts devetcd.Options) *devetcd.Cluster {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if opts.Program == nil {
		opts.Program = testenv.Etcd(t)
	}
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

// linked puts a link before an endpoint, and returns it with the endpoint's address through it.
func linked(t *testing.T, endpoint string) (*link.Link, []string) {
	t.Helper()
	scheme, address, _ := strings.Cut(endpoint, "://")
	l, err := link.Listen("127.0.0.1", address)
	must(t, err)
	t.Cleanup(func() { must(t, l.Close()) })
	return l, []string{scheme + "://" + l.Addr()}
}

// allLinked is linked for each of several endpoints.
func allLinked(t *testing.T, endpoints []string) (links []*link.Link, through []string) {
	t.Helper()
	for _, e := range endpoints {
		l, address := linked(t, e)
		links, through = append(links, l), append(through, address...)
	}
	return links, through
}

package etcdstore_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	"go.uber.org/zap"

	"github.com/elector-dev/elector/internal/chaos/link"
	"github.com/elector-dev/elector/internal/devetcd"
	"github.com/elector-dev/elector/internal/election"
	"github.com/elector-dev/elector/internal/etcdstore"
)

// The files trap_*_test.go show traps of etcd's client library, one each: that the library as it is falls
// into it, and that an elector beside it does not.

// naive is a candidate that uses the library as its examples do.
type naive struct {
	*clientv3.Client
	t       *testing.T
	session *concurrency.Session
	*concurrency.Election
}

// dial makes a client of the library with its defaults.
func dial(t *testing.T, endpoints []string) *clientv3.Client {
	t.Helper()
	c, err := clientv3.New(clientv3.Config{Endpoints: endpoints, DialTimeout: 4 * time.Second, Logger: zap.NewNop()})
	must(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

// naive opens a session of the library in an election of the bed.
func (b *bed) naive(endpoints []string, ttl time.Duration) *naive {
	b.t.Helper()
	if endpoints == nil {
		endpoints = b.client.Endpoints()
	}
	n := &naive{t: b.t, Client: dial(b.t, endpoints)}
	var err error
	n.session, err = concurrency.NewSession(n.Client, concurrency.WithTTL(int(ttl/time.Second)))
	must(b.t, err)
	n.Election = concurrency.NewElection(n.session, b.prefix())
	return n
}

// prefix is that of the election's keys, without the closing "/".
func (b *bed) prefix() string { return "/elector/default/" + b.election }

// valueKey is that of the election's value.
func (b *bed) valueKey() string { return etcdstore.AccessTo("/elector", "default", b.election).Value }

// key is where the library puts the candidate's key.
func (n *naive) key(b *bed) string { return fmt.Sprintf("%s/%x", b.prefix(), n.session.Lease()) }

// win campaigns and must not have to wait for long.
func (n *naive) win() *naive {
	n.t.Helper()
	within(n.t, func(ctx context.Context) (any, error) { return nil, n.Campaign(ctx, "naive") })
	return n
}

// wait campaigns until the test ends, and returns once the key stands.
func (n *naive) wait(b *bed) <-chan error {
	n.t.Helper()
	won := make(chan error, 1)
	go func() { won <- n.Campaign(n.Ctx(), "naive") }()
	b.awaitKey(n.key(b))
	return won
}

// stands reports whether a key is there.
func (b *bed) stands(key string) bool {
	b.t.Helper()
	r, err := b.client.Get(b.ctx(), key)
	must(b.t, err)
	return len(r.Kvs) > 0
}

// awaitKey blocks until a key has been put.
func (b *bed) awaitKey(key string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	defer cancel()
	for r := range b.client.Watch(ctx, key, clientv3.WithRev(1), clientv3.WithFilterDelete()) {
		must(b.t, r.Err())
		if len(r.Events) > 0 {
			return
		}
	}
	b.t.Fatalf("key %s is never put", key)
}

// gone tells when the deletion of a key after a revision is seen.
func (b *bed) gone(key string, rev int64) <-chan election.Instant {
	at := make(chan election.Instant, 1)
	watch := b.client.Watch(b.t.Context(), key, clientv3.WithRev(rev), clientv3.WithFilterPut())
	go func() {
		for r := range watch {
			if len(r.Events) > 0 {
				at <- now()
				return
			}
		}
	}()
	return at
}

// await returns what a channel gives, within patience.
func await[T any](t *testing.T, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("%s did not happen", what)
		panic("unreachable")
	}
}

// still fails the test if a channel has something to give.
func still[T any](t *testing.T, what string, c <-chan T) {
	t.Helper()
	select {
	case v := <-c:
		t.Errorf("%s: got %v", what, v)
	default:
	}
}

// seat is a session of the store under test with its events, without an elector.
type seat struct {
	election.Session
	t      *testing.T
	store  election.Store
	opened election.Opened
	events chan election.Event
}

// seat opens a session in the bed's election.
func (b *bed) seat(endpoints []string, ttl time.Duration) *seat {
	b.t.Helper()
	s := &seat{t: b.t, store: b.storeAt("seat", ttl, endpoints)}
	s.reopen(ttl)
	return s
}

// reopen opens the next session of the seat's store.
func (s *seat) reopen(ttl time.Duration) {
	s.t.Helper()
	events := make(chan election.Event, 4096)
	s.events = events
	within(s.t, func(ctx context.Context) (_ any, err error) {
		s.Session, s.opened, err = s.store.Open(ctx, request(ttl, func(ev election.Event) { events <- ev }))
		return nil, err
	})
	session := s.Session
	s.t.Cleanup(func() { session.Close(false, election.Claim{}) })
}

func request(ttl time.Duration, sink election.Sink) election.OpenRequest {
	return election.OpenRequest{Number: 1, TTL: ttl, Sink: sink, Alive: func() bool { return true }}
}

// campaign campaigns in the background.
func (s *seat) campaign(ctx context.Context) <-chan outcome {
	done := make(chan outcome, 1)
	session := s.Session
	go func() {
		won, err := session.Campaign(ctx)
		done <- outcome{won, err}
	}()
	return done
}

// outcome is that of a campaign.
type outcome struct {
	won election.Won
	err error
}

// claim is what a winner believes.
func (s *seat) claim(w election.Won) election.Claim {
	return election.Claim{Token: w.Token, Mod: w.Mod, Lease: s.opened.Grant.Lease}
}

// event waits for an event of type E that satisfies want.
func event[E election.Event](s *seat, want func(E) bool) E {
	s.t.Helper()
	limit := time.After(patience)
	for {
		select {
		case ev := <-s.events:
			if e, ok := ev.(E); ok && want(e) {
				return e
			}
		case <-limit:
			var none E
			s.t.Fatalf("no %T came", none)
		}
	}
}

func anyOf[E election.Event](E) bool { return true }

// awaitMore waits until there is one more of what was told.
func (r *requests) awaitMore(t *testing.T, key string) {
	t.Helper()
	r.await(t, key, r.count(key)+1)
}

// await waits until so many have been told of.
func (r *requests) await(t *testing.T, key string, n int) {
	t.Helper()
	for limit := now().Add(patience); r.count(key) < n; {
		if now() > limit {
			t.Fatalf("%d of %d: %s", r.count(key), n, key)
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-t.Context().Done():
		}
	}
}

// compactBehind cuts a link, does more meanwhile, compacts etcd beyond all that watches through the link have seen, and
// lets them reconnect.
func (b *bed) compactBehind(l *link.Link, more ...func()) {
	b.t.Helper()
	l.Sever(true, true)
	l.Reset()
	for _, do := range more {
		do()
	}
	var rev int64
	for range 3 {
		r, err := b.client.Put(b.ctx(), "filler", "")
		must(b.t, err)
		rev = r.Header.Revision
	}
	_, err := b.client.Compact(b.ctx(), rev)
	must(b.t, err)
	l.Heal()
	l.Reset()
}

// trapEtcd is one member, for tests that run beside one another.
func trapEtcd(t *testing.T) *bed {
	t.Helper()
	t.Parallel()
	return newBed(t, startEtcd(t, devetcd.Options{}).Endpoints())
}

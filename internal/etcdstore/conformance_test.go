package etcdstore_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/elector-dev/elector/internal/boottime"
	"github.com/elector-dev/elector/internal/devetcd"
	"github.com/elector-dev/elector/internal/election"
	"github.com/elector-dev/elector/internal/electiontest"
	"github.com/elector-dev/elector/internal/etcdstore"
	"github.com/elector-dev/elector/internal/testenv"
)

func TestMain(m *testing.M) {
	devetcd.MaybeRunMember()
	goleak.VerifyTestMain(m)
}

// bootClock is the real one.
type bootClock struct{}

func (bootClock) Now() election.Instant { return election.Instant(boottime.Now()) }

func now() election.Instant { return bootClock{}.Now() }

// elections numbers the elections of this process, so that each test has an empty one.
var elections atomic.Int64

// bed is an empty election on real etcd.
type bed struct {
	t        *testing.T
	client   *clientv3.Client
	election string
	config   func(*etcdstore.Config)
	change   func(*etcdstore.Config)             // of the electors that join
	wrap     func(election.Store) election.Store // around their stores
	stood    int                                 // candidates without a lease
}

func newBed(t *testing.T, endpoints []string) *bed {
	t.Helper()
	return newBedWith(t, clientv3.Config{Endpoints: endpoints, DialTimeout: 5 * time.Second, Logger: zap.NewNop()})
}

// newBedWith is newBed for an operator who needs more than an address.
func newBedWith(t *testing.T, cfg clientv3.Config) *bed {
	t.Helper()
	client, err := clientv3.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return &bed{t: t, client: client, election: fmt.Sprintf("e%d", elections.Add(1))}
}

// least has the stores of a bed come as a user who may do what etcdstore.AccessTo says and no more.
func (b *bed) least() {
	b.t.Helper()
	need, name := etcdstore.AccessTo("/elector", "default", b.election), "worker-"+b.election
	ctx, readwrite := b.ctx(), clientv3.PermissionType(clientv3.PermReadWrite)
	for _, do := range []func() error{
		func() error { _, err := b.client.RoleAdd(ctx, name); return err },
		func() error {
			_, err := b.client.RoleGrantPermission(ctx, name, need.Prefix, clientv3.GetPrefixRangeEnd(need.Prefix), readwrite)
			return err
		},
		func() error { _, err := b.client.RoleGrantPermission(ctx, name, need.Value, "", readwrite); return err },
		func() error { _, err := b.client.UserAdd(ctx, name, "right"); return err },
		func() error { _, err := b.client.UserGrantRole(ctx, name, name); return err },
	} {
		must(b.t, do())
	}
	b.config = func(c *etcdstore.Config) { c.User, c.Password = name, "right" }
}

func TestEtcdStoreConformsWithTheLeastAccess(t *testing.T) {
	etcd := startEtcd(t, devetcd.Options{Auth: &devetcd.Auth{}})
	root, err := etcd.ClientConfig()
	must(t, err)
	electiontest.Conformance(t, func(t *testing.T, test func(*testing.T, electiontest.Bed)) {
		b := newBedWith(t, root)
		b.least()
		test(t, b)
	})
}

func (b *bed) ctx() context.Context {
	ctx, cancel := context.WithTimeout(b.t.Context(), 10*time.Second)
	b.t.Cleanup(cancel)
	return ctx
}

func (b *bed) Store(identity, incarnation string) election.Store {
	b.t.Helper()
	cfg := etcdstore.Config{
		Endpoints: b.client.Endpoints(), DialTimeout: 5 * time.Second,
		Prefix: "/elector", Namespace: "default", Election: b.election,
		Identity: identity, Incarnation: incarnation, Version: "test",
		TTL: 3 * time.Second, Clock: bootClock{}, Logger: slog.New(slog.DiscardHandler),
	}
	if os.Getenv("ELECTOR_TEST_LOG") != "" {
		cfg.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	if b.config != nil {
		b.config(&cfg)
	}
	s, err := etcdstore.New(cfg)
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

func (b *bed) Revision() int64 {
	r, err := b.client.Get(b.ctx(), "nothing")
	if err != nil {
		b.t.Fatal(err)
	}
	return r.Header.Revision
}

func (b *bed) Delete(key string) {
	if r, err := b.client.Delete(b.ctx(), key); err != nil || r.Deleted != 1 {
		b.t.Fatalf("delete %s: %+v, %v", key, r, err)
	}
}

func (b *bed) Overwrite(key string) {
	if _, err := b.client.Put(b.ctx(), key, "foreign"); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bed) Stand(identity, incarnation string) {
	b.stood++
	value := identity // as etcdctl elect writes it
	if incarnation != "" {
		value = fmt.Sprintf(`{"identity":%q,"incarnation":%q}`, identity, incarnation)
	}
	if _, err := b.client.Put(b.ctx(), fmt.Sprintf("%s/stand-in-%d", b.prefix(), b.stood), value); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bed) Revoke(id election.LeaseID) {
	if _, err := b.client.Revoke(b.ctx(), clientv3.LeaseID(id)); err != nil {
		b.t.Fatal(err)
	}
}

// server is etcd with one member.
type server interface {
	Endpoints() []string
	TLS() *devetcd.TLSFiles
	ClientConfig(endpoints ...string) (clientv3.Config, error)
	Close()
}

// startEtcd runs one member: the embedded one in this process, else one of the program to test with.
func startEtcd(t *testing.T, opts devetcd.Options) server {
	t.Helper()
	if testenv.Etcd(t) != nil {
		return startCluster(t, 1, opts)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	e, err := devetcd.Start(ctx, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

func TestEtcdStoreConformsToTheStoreContract(t *testing.T) {
	etcd := startEtcd(t, devetcd.Options{})
	electiontest.Conformance(t, func(t *testing.T, test func(*testing.T, electiontest.Bed)) {
		test(t, newBed(t, etcd.Endpoints()))
	})
}

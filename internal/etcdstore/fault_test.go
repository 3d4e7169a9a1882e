package etcdstore_test

import (
	"context"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/elector-dev/elector/internal/devetcd"
	"github.com/elector-dev/elector/internal/election"
	"github.com/elector-dev/elector/internal/etcdstore"
	"github.com/elector-dev/elector/internal/testenv"
)

func TestOneSilentEndpointOfThreeChangesNothing(t *testing.T) {
	const ttl = 4 * time.Second
	etcd := startCluster(t, 3, devetcd.Options{})
	links, through := allLinked(t, etcd.Endpoints())
	b := newBed(t, etcd.Endpoints())
	a := b.join("a", ttl, through)
	first := a.awaitPhase(election.Leader)
	for i, l := range links {
		l.Hold(true, true)
		survived := time.NewTimer(2 * ttl) // what must not happen takes a TTL
		select {
		case <-survived.C:
		case <-a.done:
		}
		if got := a.Look(); !got.Leading || got.Token != first.Token || !got.Since.Equal(first.Since) {
			t.Errorf("endpoint %d silent: %+v, was %+v", i, got, first)
		}
		l.Release() // connections go on with what was sent meanwhile
	}
}

// A follower's watches sit on an endpoint that has gone silent when the leader dies elsewhere. The
// follower must have noticed, by asking on the watch stream, well before gRPC's own ping, which the
// library sends after ten seconds, would tell it.
func TestFollowerLeavesASilentEndpointBeforeItIsNeeded(t *testing.T) {
	const ttl = 3 * time.Second
	etcd := startCluster(t, 3, devetcd.Options{})
	for i := range 2 {
		b := newBed(t, etcd.Endpoints())
		leading, through := allLinked(t, etcd.Endpoints())
		a := b.join("a", ttl, through)
		a.awaitPhase(election.Leader)
		following, through := allLinked(t, etcd.Endpoints()[:2])
		follower := b.join("b", ttl, through)
		follower.awaitPhase(election.Follower)
		neverBoth(t, a, follower)
		for _, l := range append(leading, following[i]) {
			l.Sever(true, true)
		}
		from := now()
		follower.awaitPhase(election.Leader)
		took := now().Sub(from)
		t.Logf("endpoint %d silent: took over after %v", i, took)
		if took > 10*time.Second {
			t.Errorf("endpoint %d silent: took over after %v", i, took)
		}
		a.leave()
		follower.leave()
	}
}

// requests counts what an elector's store tells of.
type requests struct {
	mu sync.Mutex // guards n
	n  map[string]int
}

func (r *requests) tell(op, code string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.n == nil {
		r.n = make(map[string]int)
	}
	r.n[op+" "+code]++
}

func (r *requests) count(key string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.n[key]
}

// reach waits until so many have been told of, and fails the test if the elector that tells of them ends before.
func (r *requests) reach(t *testing.T, key string, n int, of *candidate) {
	t.Helper()
	for r.count(key) < n {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-of.done:
			t.Fatalf("the elector has ended after %d of %d: %s", r.count(key), n, key)
		}
	}
}

// On an etcd to which nobody writes, some requests for a sign of life are never answered. An elector
// that took that for silence would cut healthy connections.
func TestAQuietEtcdIsNotTakenForASilentOne(t *testing.T) {
	const ttl = 2 * time.Second
	etcd := startEtcd(t, devetcd.Options{})
	bed := newBed(t, etcd.Endpoints())
	var told requests
	bed.change = func(c *etcdstore.Config) { c.Requests = told.tell }
	a := bed.join("a", ttl, nil)
	a.awaitPhase(election.Leader)
	told.reach(t, "watch OK", 10, a) // signs of life and what comes with them
	before := told.count("range OK")
	told.reach(t, "watch OK", 20, a)
	if n := told.count("range OK") - before; n > 2 { // a look for twins, and who leads
		t.Errorf("%d reads beside ten signs of life that were answered", n)
	}
	if n := told.count("watch Unavailable") + told.count("keepalive Unavailable"); n != 0 {
		t.Errorf("%d streams were given up: %v", n, told.n)
	}
}

// A follower's watch stream keeps the password token with which it was opened. When that has run out,
// the next watch is refused; the follower must take a fresh one and not ask for ever.
func TestAnExpiredPasswordTokenCostsAFollowerOneStream(t *testing.T) {
	const ttl = 3 * time.Second
	etcd := startEtcd(t, devetcd.Options{Auth: &devetcd.Auth{User: "worker", Password: "right"}, AuthTokenTTL: 2 * time.Second})
	root, err := etcd.ClientConfig()
	must(t, err)
	bed := newBedWith(t, root)
	credentials := func(c *etcdstore.Config) { c.User, c.Password = "worker", "right" }
	bed.change = credentials
	a := bed.join("a", ttl, nil)
	a.awaitPhase(election.Leader)
	var told requests
	bed.change = func(c *etcdstore.Config) { credentials(c); c.Requests = told.tell }
	b := bed.join("b", ttl, nil)
	b.awaitPhase(election.Follower)
	bed.change = credentials
	c := bed.join("c", ttl, nil)
	c.awaitPhase(election.Follower)
	expired := time.NewTimer(8 * time.Second)
	<-expired.C
	before := told.count("range OK")
	a.leave()
	b.awaitPhase(election.Leader)
	c.await("naming b", func(s election.State) bool { return s.Leader.Identity == "b" })
	settled := time.NewTimer(3 * time.Second)
	<-settled.C
	if n := told.count("range OK") - before; n > 15 {
		t.Errorf("%d reads after the token had run out", n)
	}
	if !b.Look().Leading {
		t.Error("the new leader does not lead")
	}
}

// etcd up to 3.4 asks what the certificate's user may do when a password token has ended.
func TestWhoseCertificateNamesAnotherIsItsPasswordsUserWhenItsTokenHasEnded(t *testing.T) {
	testenv.Compat(t)
	const ttl = 6 * time.Second // so that a token ends from one request to the next
	etcd := startCluster(t, 3, devetcd.Options{
		TLS: true, ClientCN: "somebody", Auth: &devetcd.Auth{User: "worker", Password: "right"}, AuthTokenTTL: time.Second,
	})
	root, err := etcd.ClientConfig()
	must(t, err)
	bed := newBedWith(t, root)
	var told requests
	credentials := func(c *etcdstore.Config) {
		files := etcd.TLS()
		c.User, c.Password, c.CACert, c.Cert, c.Key = "worker", "right", files.CACert, files.ClientCert, files.ClientKey
	}
	bed.change = func(c *etcdstore.Config) { credentials(c); c.Requests = told.tell }
	a := bed.join("a", ttl, nil)
	term := a.awaitPhase(election.Leader)
	bed.change = credentials
	b := bed.join("b", ttl, nil)
	place := b.awaitPhase(election.Follower)
	told.reach(t, "txn OK", told.count("txn OK")+4, a)
	if now := a.Look(); !now.Leading || now.Token != term.Token || now.Refusal != "" {
		t.Errorf("the leader is %+v, and was %+v", now, term)
	}
	if now := b.Look(); now.Lease != place.Lease || now.Refusal != "" {
		t.Errorf("who waits is %+v, and was %+v", now, place)
	}
	a.leave()
	b.awaitPhase(election.Leader)
}

func TestEveryoneComesBackAfterEtcdWasGone(t *testing.T) {
	const ttl = 2 * time.Second
	etcd := startCluster(t, 3, devetcd.Options{})
	bed := newBed(t, etcd.Endpoints())
	a, b := bed.join("a", ttl, nil), bed.join("b", ttl, nil)
	neverBoth(t, a, b)
	var before int64
	for _, c := range []*candidate{a, b} {
		s := c.await("a leader", func(s election.State) bool {
			return s.Leader.Token != 0 && s.Registered && s.Phase != election.Connecting
		})
		before = max(before, s.Leader.Token)
	}
	for i := range etcd.Size() {
		must(t, etcd.Member(i).Kill())
	}
	for _, c := range []*candidate{a, b} {
		c.await("losing its session", func(s election.State) bool { return s.Phase == election.Connecting })
	}
	gone := time.NewTimer(3 * ttl)
	for waiting := true; waiting; {
		select {
		case <-gone.C:
			waiting = false
		default:
			for _, c := range []*candidate{a, b} {
				if a := c.Look(); a.Leading || a.Leader.Token != 0 {
					t.Fatalf("without etcd: %+v", a)
				}
			}
		}
	}
	for i := range etcd.Size() {
		must(t, etcd.Member(i).Restart())
	}
	for _, c := range []*candidate{a, b} {
		c.await("a new leader", func(s election.State) bool { return s.Leader.Token > before && s.Registered })
	}
}

// An etcd leader change costs a leader one revision and neither its term nor its token.
func TestElectorKeepsItsTermThroughAnEtcdLeaderChange(t *testing.T) {
	const ttl = 5 * time.Second
	etcd := startCluster(t, 3, devetcd.Options{})
	bed := newBed(t, etcd.Endpoints())
	a := bed.join("a", ttl, nil)
	first := a.awaitPhase(election.Leader)
	revision := bed.Revision()
	leader := within(t, etcd.Leader)
	within(t, func(ctx context.Context) (any, error) { return nil, etcd.MoveLeader(ctx, (leader+1)%3) })
	second := a.await("rebind", func(s election.State) bool { return s.Lease != first.Lease })
	if second.Token != first.Token || !second.Since.Equal(first.Since) {
		t.Errorf("%+v became %+v", first, second)
	}
	if after := bed.Revision(); after != revision+1 {
		t.Errorf("revision went from %d to %d", revision, after)
	}
}

func TestRestoredEtcdIsNotedByAnElectorThatLivedThroughIt(t *testing.T) {
	const ttl = 2 * time.Second
	etcd := startCluster(t, 1, devetcd.Options{})
	bed := newBed(t, etcd.Endpoints())
	snapshot := filepath.Join(t.TempDir(), "snapshot")
	within(t, func(ctx context.Context) (any, error) { return nil, etcd.Snapshot(ctx, snapshot) })
	for range 50 { // more than is written before the elector has looked
		within(t, func(ctx context.Context) (any, error) { return bed.client.Put(ctx, "filler", "") })
	}
	a := bed.join("a", ttl, nil)
	a.awaitPhase(election.Leader)
	within(t, func(ctx context.Context) (any, error) { return nil, etcd.Restore(ctx, snapshot, 0) })
	a.awaitPhase(election.Fenced)
	if a.Look().Leading {
		t.Error("a fenced elector leads")
	}
}

package etcdstore_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	"github.com/elector-dev/elector/internal/devetcd"
	"github.com/elector-dev/elector/internal/election"
	"github.com/elector-dev/elector/internal/netlab"
	"github.com/elector-dev/elector/internal/testenv"
)

// trusting is a candidate that believes acknowledgements: its deadline is that of the newest
// acknowledged keep-alive, counted from when it was sent. It uses the library as it is.
type trusting struct {
	mu       sync.Mutex // guards the fields below
	sent     []election.Instant
	deadline election.Instant
	stale    int // acknowledgements received from an etcd leader of an older raft term than newest
	newest   uint64
}

// stampedStream takes the instants of a trusting candidate's keep-alives.
type stampedStream struct {
	grpc.ClientStream
	candidate *trusting
}

func (s stampedStream) SendMsg(m any) error {
	s.candidate.mu.Lock()
	s.candidate.sent = append(s.candidate.sent, now())
	s.candidate.mu.Unlock()
	return s.ClientStream.SendMsg(m)
}

func (s stampedStream) RecvMsg(m any) error {
	if err := s.ClientStream.RecvMsg(m); err != nil {
		return err
	}
	c, r := s.candidate, m.(*pb.LeaseKeepAliveResponse)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = max(c.deadline, c.sent[0].Add(time.Duration(r.TTL)*time.Second))
	c.sent = c.sent[1:]
	if r.TTL > 0 && r.Header.RaftTerm < c.newest {
		c.stale++
	}
	return nil
}

func (c *trusting) stream(ctx context.Context, d *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	s, err := open(ctx, d, cc, method, opts...)
	if err != nil || method != pb.Lease_LeaseKeepAlive_FullMethodName {
		return s, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent = nil
	return stampedStream{s, c}, nil
}

func (c *trusting) leadsUntil() (election.Instant, int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.deadline, c.stale
}

func (c *trusting) deposed(raftTerm uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.newest = raftTerm
}

// lead campaigns in a bed's election and wins.
func (c *trusting) lead(t *testing.T, b *bed, ttl time.Duration) {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{
		Endpoints: b.client.Endpoints(), DialTimeout: 5 * time.Second, Logger: zap.NewNop(),
		DialOptions: []grpc.DialOption{grpc.WithChainStreamInterceptor(c.stream)},
	})
	must(t, err)
	t.Cleanup(func() { client.Close() })
	s, err := concurrency.NewSession(client, concurrency.WithTTL(int(ttl/time.Second)))
	must(t, err)
	must(t, concurrency.NewElection(s, "/elector/default/"+b.election).Campaign(t.Context(), "naive"))
}

// An etcd leader is frozen, cut off from its peers and deposed. When it wakes it acknowledges
// keep-alives that were waiting in its socket, though the leases are another leader's by now. Whoever
// believes that says yes while another leads; an elector does not. Whether a waking member acknowledges
// is a race within it (whether its clock ticks before it serves), so several candidates try, and again.
func TestElectorDoesNotBelieveADeposedEtcdLeaderThatWakes(t *testing.T) {
	testenv.NetNS(t)
	const rounds = 4
	lab, err := netlab.New(3)
	must(t, err)
	t.Cleanup(func() { must(t, lab.Close()) })
	etcd := startCluster(t, 3, devetcd.Options{Host: lab.Addr, Wrap: lab.Exec})
	for round := range rounds {
		if second := deposedLeaderRound(t, lab, etcd); second > 0 {
			t.Logf("round %d: believing acknowledgements means a second yes for %v", round+1, second)
			return
		}
	}
	t.Errorf("no stale acknowledgement came in %d rounds: nothing was shown", rounds)
}

// deposedLeaderRound deposes the etcd leader once and returns for how long a candidate that believes
// acknowledgements would have said yes beside a rival that led; zero if none would have.
func deposedLeaderRound(t *testing.T, lab *netlab.Lab, etcd *devetcd.Cluster) (second time.Duration) {
	t.Helper()
	const ttl = 10 * time.Second
	old := within(t, etcd.Leader)
	only := []string{etcd.Member(old).Endpoint()}
	rest := endpointsWithout(etcd, old)
	ours := newBed(t, rest)
	a := ours.join("a", ttl, only)
	a.awaitPhase(election.Leader)
	b := ours.join("b", ttl, rest)
	b.awaitPhase(election.Follower)
	neverBoth(t, a, b)
	naive := make([]trusting, 8)
	rivals := make([]*candidate, len(naive))
	for i := range naive {
		theirs := newBed(t, only)
		naive[i].lead(t, theirs, ttl)
		rivals[i] = theirs.join("rival", ttl, rest)
		rivals[i].awaitPhase(election.Follower)
	}

	frozen := time.After(ttl * 55 / 100)
	must(t, etcd.Member(old).Pause())
	cut(t, lab.Cut, old, etcd.Size())
	next := within(t, etcd.Leader)
	for i := range naive {
		naive[i].deposed(raftTerm(t, etcd.Member(next).Endpoint()))
	}
	<-frozen
	must(t, etcd.Member(old).Resume())
	for i, rival := range rivals {
		rival.awaitPhase(election.Leader)
		won := rival.Look()
		if until, stale := naive[i].leadsUntil(); stale > 0 && won.Leading {
			second = max(second, until.Sub(won.At))
		}
	}
	b.awaitPhase(election.Leader)
	if a.Look().Leading {
		t.Error("a leads beside b")
	}
	cut(t, lab.Heal, old, etcd.Size())
	for _, c := range append(rivals, a, b) {
		c.leave()
	}
	return second
}

// endpointsWithout are those of all members but one.
func endpointsWithout(etcd *devetcd.Cluster, member int) []string {
	return slices.Delete(etcd.Endpoints(), member, member+1)
}

// cut applies change to both directions between one host and all others.
func cut(t *testing.T, change func(i, j int) error, host, hosts int) {
	t.Helper()
	for i := range hosts {
		if i != host {
			must(t, change(host, i))
			must(t, change(i, host))
		}
	}
}

func raftTerm(t *testing.T, endpoint string) uint64 {
	t.Helper()
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, DialTimeout: 5 * time.Second})
	must(t, err)
	defer c.Close()
	return within(t, func(ctx context.Context) (uint64, error) {
		s, err := c.Status(ctx, endpoint)
		if err != nil {
			return 0, err
		}
		return s.RaftTerm, nil
	})
}

// unbound is one candidate of an election of its own that confirms every renewal through raft, but
// counts it in whatever raft term it comes.
type unbound struct {
	key, rival string
	lease      clientv3.LeaseID
	deadline   election.Instant // owned by its renew until the fleet is stopped, then by the test
}

// unboundFleet is many of them, with a rival waiting behind each.
type unboundFleet struct {
	client  *clientv3.Client
	ttl     time.Duration
	all     []*unbound
	workers sync.WaitGroup
	stop    context.CancelFunc
}

func newUnboundFleet(t *testing.T, client *clientv3.Client, n int, ttl time.Duration) *unboundFleet {
	t.Helper()
	f := &unboundFleet{client: client, ttl: ttl}
	ctx, stop := context.WithCancel(context.Background())
	f.stop = stop
	for range n {
		u := &unbound{}
		prefix := fmt.Sprintf("/unbound/%d/", elections.Add(1))
		u.key, u.rival = prefix+"first", prefix+"second"
		within(t, func(ctx context.Context) (any, error) {
			g, err := client.Grant(ctx, int64(ttl/time.Second))
			if err != nil {
				return nil, err
			}
			u.lease = g.ID
			if _, err := client.Put(ctx, u.key, "", clientv3.WithLease(g.ID)); err != nil {
				return nil, err
			}
			return client.Put(ctx, u.rival, "")
		})
		f.all = append(f.all, u)
		f.workers.Go(func() { u.renew(ctx, f) })
	}
	return f
}

// end stops the renewals and then revokes the leases, so that nothing of the fleet ends later.
func (f *unboundFleet) end(t *testing.T) {
	f.stop()
	f.workers.Wait()
	for _, u := range f.all {
		within(t, func(ctx context.Context) (any, error) {
			_, _ = f.client.Revoke(ctx, u.lease) // some are gone
			return f.client.Delete(ctx, u.rival)
		})
	}
}

// renew renews and confirms every third of a TTL.
func (u *unbound) renew(ctx context.Context, f *unboundFleet) {
	tick := time.NewTicker(f.ttl / 3)
	defer tick.Stop()
	for ctx.Err() == nil {
		attempt, cancel := context.WithTimeout(ctx, f.ttl/3)
		sent := now()
		r, err := f.client.KeepAliveOnce(attempt, u.lease)
		if err == nil {
			c, err := f.client.Txn(attempt).If(clientv3.Compare(clientv3.LeaseValue(u.key), "=", u.lease)).
				Then(clientv3.OpDelete(u.key + "/never")).Commit()
			if err == nil && c.Succeeded {
				u.deadline = sent.Add(time.Duration(r.TTL) * time.Second)
			}
		}
		cancel()
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// An etcd leader is frozen among many leases for longer than their TTL. When it wakes it believes that
// they have expired and has them revoked through its successor, also those that were renewed and
// confirmed with the successor meanwhile. Whoever counts renewals of a lease from an older raft term
// says yes after its key has gone; an elector has long bound its key to a new lease.
func TestElectorOutlivesTheRevokesOfAWokenEtcdLeader(t *testing.T) {
	t.Parallel()
	const ttl = 5 * time.Second
	const rounds = 16 // about two in five show it
	etcd := startCluster(t, 3, devetcd.Options{})
	for round := range rounds {
		if early := wokenLeaderRound(t, etcd, ttl); early > 0 {
			t.Logf("round %d: a live, confirmed lease was revoked %v before its deadline", round+1, early)
			return
		}
	}
	t.Errorf("no live lease was revoked in %d rounds: nothing was shown", rounds)
}

// wokenLeaderRound freezes and wakes the etcd leader once and returns how long before its deadline the
// key of an unbound candidate went; zero if none did.
func wokenLeaderRound(t *testing.T, etcd *devetcd.Cluster, ttl time.Duration) time.Duration {
	t.Helper()
	old := within(t, etcd.Leader)
	rest := endpointsWithout(etcd, old)
	links, cuttable := allLinked(t, rest)
	b := newBed(t, rest)
	leading := b.join("a", ttl, cuttable)
	first := leading.awaitPhase(election.Leader)
	other := b.join("b", ttl, rest)
	other.awaitPhase(election.Follower)
	neverBoth(t, leading, other)
	fleet := newUnboundFleet(t, b.client, 48, ttl)
	watching, stop := context.WithCancel(t.Context())
	defer stop()
	watch := b.client.Watch(clientv3.WithRequireLeader(watching), "/unbound/", clientv3.WithPrefix(), clientv3.WithFilterPut())

	frozen := time.After(ttl + 2*time.Second)
	must(t, etcd.Member(old).Pause())
	rebound := leading.await("rebind, or the end of its term", func(s election.State) bool { return s.Lease != first.Lease || s.Token != first.Token })
	<-frozen
	for _, l := range links {
		l.Sever(true, true)
	}
	must(t, etcd.Member(old).Resume())
	gone, watched := map[string]election.Instant{}, make(chan struct{})
	go func() {
		defer close(watched)
		for r := range watch {
			for _, e := range r.Events {
				gone[string(e.Kv.Key)] = now()
			}
		}
	}()
	revoking := time.NewTimer(3 * time.Second) // it looks for expired leases twice a second
	<-revoking.C
	other.awaitPhase(election.Leader) // a is cut off: b takes over, and never beside it
	stop()
	<-watched
	leading.leave()
	other.leave()
	fleet.end(t)
	if rebound.Token != first.Token { // etcd took longer to choose another leader than a term lasts
		return 0
	}
	var early time.Duration
	for _, u := range fleet.all {
		if at, ok := gone[u.key]; ok && at < u.deadline.Add(-election.Margin(ttl)) {
			early = max(early, u.deadline.Sub(at))
		}
	}
	return early
}

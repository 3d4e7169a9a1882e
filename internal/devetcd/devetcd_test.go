package devetcd

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	"github.com/elector-dev/elector/internal/testenv"
)

func TestMain(m *testing.M) {
	MaybeRunMember()
	goleak.VerifyTestMain(m)
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func put(ctx context.Context, t *testing.T, a *access, endpoints ...string) {
	t.Helper()
	cli, err := a.NewClient(ctx, endpoints...)
	if err != nil {
		t.Fatal(err)
	}
	defer cli.Close()
	if _, err := cli.Put(ctx, "/elector/a", "1"); err != nil {
		t.Fatal(err)
	}
}

func TestEmbeddedMemberGrantsTwoSecondLeasesAndLeavesNothing(t *testing.T) {
	ctx := within(t, 30*time.Second)
	parent := t.TempDir()
	e, err := Start(ctx, Options{Dir: parent})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	cli, err := e.NewClient(ctx)
	if err != nil {
		t.Fatal(err)
	}
	lease, err := cli.Grant(ctx, 1)
	if err != nil || lease.TTL != 2 {
		t.Errorf("Grant(1s) = %v, %v; want 2 s, the least with default timing", lease, err)
	}
	cli.Close()
	e.Close()
	if left, _ := filepath.Glob(filepath.Join(parent, "*")); len(left) > 0 {
		t.Errorf("Close left %v", left)
	}
}

func TestCloseDoesNotWaitForConnectedClients(t *testing.T) {
	ctx := within(t, 30*time.Second)
	e, err := Start(ctx, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	cli, err := e.NewClient(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer cli.Close()
	events := cli.Watch(ctx, "/elector/a", clientv3.WithRev(1))
	put(ctx, t, &e.access)
	<-events
	begun := time.Now()
	e.Close()
	if d := time.Since(begun); d > 4*time.Second {
		t.Errorf("Close took %v with a watch open", d)
	}
}

func TestSecuredMemberWantsCertificateAndPassword(t *testing.T) {
	ctx := within(t, 30*time.Second)
	e, err := Start(ctx, Options{TLS: true, Auth: &Auth{Password: "pw"}})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	put(ctx, t, &e.access)

	tls, err := e.TLS().ClientConfig()
	if err != nil {
		t.Fatal(err)
	}
	cfg := clientv3.Config{Endpoints: e.Endpoints(), TLS: tls, Username: "elector", Password: "pw", Logger: zap.NewNop()}
	cli, err := clientv3.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer cli.Close()
	if _, err := cli.Put(ctx, "/elector/b", ""); err != nil {
		t.Errorf("the user's Put below the prefix: %v", err)
	}
	if _, err := cli.Put(ctx, "/other", ""); err == nil {
		t.Error("the user's Put outside of the prefix was let through")
	}
	cfg.TLS = tls.Clone()
	cfg.TLS.Certificates = nil
	short, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	cfg.Context = short
	if bare, err := clientv3.New(cfg); err == nil {
		bare.Close()
		t.Error("a client without a certificate was let in")
	}
}

func TestClusterSurvivesFrozenAndKilledMembers(t *testing.T) {
	ctx := within(t, 60*time.Second)
	c := start3(ctx, t, Options{})
	if err := c.MoveLeader(ctx, 0); err != nil {
		t.Fatal(err)
	}
	if err := c.Member(0).Pause(); err != nil {
		t.Fatal(err)
	}
	leader, err := c.Leader(ctx)
	if err != nil || leader == 0 {
		t.Fatalf("with member 0 frozen the leader is %d, %v", leader, err)
	}
	put(ctx, t, &c.access, c.Member(1).Endpoint(), c.Member(2).Endpoint())
	if err := c.Member(0).Resume(); err != nil {
		t.Fatal(err)
	}
	if err := c.WaitHealthy(ctx); err != nil {
		t.Fatal(err)
	}
	if err := c.Member(1).Kill(); err != nil || c.Member(1).Running() {
		t.Fatalf("after Kill: running %v, %v", c.Member(1).Running(), err)
	}
	if err := c.Member(2).Stop(ctx); err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{1, 2} {
		if err := c.Member(i).Restart(); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.WaitHealthy(ctx); err != nil {
		t.Fatal(err)
	}
	put(ctx, t, &c.access)
}

func TestMemberProcessesRunUnderTheirWrapper(t *testing.T) {
	ctx := within(t, 30*time.Second)
	c, err := StartProcesses(ctx, 1, Options{Program: testenv.Etcd(t), Wrap: func(int) []string { return []string{"env", "WRAPPED=yes"} }})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	put(ctx, t, &c.access)
	if environ, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(c.Member(0).PID()), "environ")); err == nil && !bytes.Contains(environ, []byte("WRAPPED=yes")) {
		t.Error("the PID is not the wrapped member's")
	}
}

func TestMembersRunTheProgramThatTheyAreGiven(t *testing.T) {
	ctx := within(t, 60*time.Second)
	testenv.Compat(t)
	program := testenv.Etcd(t)(0)
	release, err := Inspect(ctx, program)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("ETCD_NAME", "stranger") // of the environment of whoever runs this
	c, err := StartProcesses(ctx, 1, Options{Program: func(int) string { return program }, Quota: 64 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 2 {
		s, err := c.status(ctx, c.Member(0))
		if err != nil || s.Version != release.Version {
			t.Fatalf("a member of %s (%s) says %+v, %v", program, release.Version, s, err)
		}
		put(ctx, t, &c.access)
		if err := c.Member(0).Stop(ctx); err != nil {
			t.Fatal(err)
		}
		if err := c.Member(0).RestartAs(program); err != nil {
			t.Fatal(err)
		}
		if err := c.WaitHealthy(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Member(0).Kill(); err != nil {
		t.Fatal(err)
	}
	if err := c.Member(0).RestartAs("/bin/true"); err == nil {
		t.Error("a program that is not etcd was started")
	}
}

func TestMembersEndWhileNewStreamsComeInOverTLS(t *testing.T) {
	ctx := within(t, 2*time.Minute)
	c, err := StartProcesses(ctx, 1, Options{TLS: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	cli, err := c.NewClient(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer cli.Close()
	ctx, stop := context.WithCancel(ctx)
	const streams = 200
	var clients sync.WaitGroup
	defer clients.Wait()
	defer stop()
	open := make(chan struct{}, streams)
	for range streams {
		clients.Go(func() {
			for ctx.Err() == nil {
				s, err := etcdserverpb.NewLeaseClient(cli.ActiveConnection()).LeaseKeepAlive(ctx, grpc.WaitForReady(true))
				if err != nil || s.Send(&etcdserverpb.LeaseKeepAliveRequest{ID: 1}) != nil {
					continue
				}
				if _, err := s.Recv(); err == nil {
					select {
					case open <- struct{}{}:
					case <-ctx.Done():
					}
					_, _ = s.Recv() // nothing comes until the stream ends
				}
			}
		})
	}
	for range 5 {
		for range streams {
			select {
			case <-open:
			case <-ctx.Done():
				t.Fatal("the streams are not opened again")
			}
		}
		bounded, cancel := context.WithTimeout(ctx, 20*time.Second)
		err := c.Member(0).Stop(bounded)
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Member(0).Restart(); err != nil {
			t.Fatal(err)
		}
		if err := c.WaitHealthy(ctx); err != nil {
			t.Fatal(err)
		}
	}
}

func TestNoPortIsGivenTwice(t *testing.T) {
	given := map[string]bool{}
	for range 300 {
		addr, err := FreeAddress("127.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		if given[addr] {
			t.Fatalf("%s was given before, and who got it may not listen yet", addr)
		}
		given[addr] = true
	}
}

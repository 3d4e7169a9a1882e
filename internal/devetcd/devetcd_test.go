package devetcd

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/goleak"
	"go.uber.org/zap"
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
	c, err := StartProcesses(ctx, 1, Options{Wrap: func(int) []string { return []string{"env", "WRAPPED=yes"} }})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	put(ctx, t, &c.access)
	if environ, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(c.Member(0).PID()), "environ")); err == nil && !bytes.Contains(environ, []byte("WRAPPED=yes")) {
		t.Error("the PID is not the wrapped member's")
	}
}

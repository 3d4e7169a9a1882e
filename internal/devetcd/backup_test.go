package devetcd

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/metadata"

	"github.com/elector-dev/elector/internal/testenv"
)

func start3(ctx context.Context, t *testing.T, opts Options) *Cluster {
	t.Helper()
	opts.Program = testenv.Etcd(t)
	c, err := StartProcesses(ctx, 3, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func client(ctx context.Context, t *testing.T, a *access, endpoints ...string) *clientv3.Client {
	t.Helper()
	cli, err := a.NewClient(ctx, endpoints...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cli.Close() })
	return cli
}

func TestRestoreTakesTheRevisionBackUnlessItIsBumped(t *testing.T) {
	ctx := within(t, 120*time.Second)
	c := start3(ctx, t, Options{Auth: &Auth{}}) // passwords and tokens come with a snapshot too
	cli := client(ctx, t, &c.access)
	lease, err := cli.Grant(ctx, 120)
	if err != nil {
		t.Fatal(err)
	}
	saved, err := cli.Put(ctx, "/elector/kept", "1", clientv3.WithLease(lease.ID))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "snapshot")
	if err := c.Snapshot(ctx, path); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		put(ctx, t, &c.access)
	}
	const bump = 1000
	for _, by := range []uint64{0, bump} {
		if err := c.Restore(ctx, path, by); err != nil {
			t.Fatal(err)
		}
		want := saved.Header.Revision + int64(by)
		for i := range c.Size() {
			cli := client(ctx, t, &c.access, c.Member(i).Endpoint())
			kept, err := cli.Get(ctx, "/elector/kept")
			if err != nil || len(kept.Kvs) != 1 || kept.Kvs[0].ModRevision != saved.Header.Revision || kept.Header.Revision != want {
				t.Errorf("bump %d, member %d: %v, %v; want the key of revision %d at revision %d", by, i, kept, err, saved.Header.Revision, want)
			}
			if gone, err := cli.Get(ctx, "/elector/a"); err != nil || gone.Count != 0 {
				t.Errorf("bump %d, member %d: what was written after the snapshot is there: %v, %v", by, i, gone, err)
			}
			alive, err := cli.TimeToLive(ctx, lease.ID)
			if err != nil || alive.TTL <= 0 {
				t.Errorf("bump %d, member %d: the lease has %v, %v", by, i, alive, err)
			}
			_, err = cli.Get(ctx, "/elector/kept", clientv3.WithRev(saved.Header.Revision))
			if compacted := errors.Is(err, rpctypes.ErrCompacted); compacted != (by > 0) {
				t.Errorf("bump %d, member %d: reading the snapshot's revision returned %v", by, i, err)
			}
		}
	}
	put(ctx, t, &c.access)
}

func TestRestoreStartsMembersThatWereDeadOrFrozen(t *testing.T) {
	ctx := within(t, 60*time.Second)
	c := start3(ctx, t, Options{})
	put(ctx, t, &c.access)
	path := filepath.Join(t.TempDir(), "snapshot")
	if err := c.Snapshot(ctx, path); err != nil {
		t.Fatal(err)
	}
	if err := c.Member(0).Pause(); err != nil {
		t.Fatal(err)
	}
	if err := c.Member(1).Kill(); err != nil {
		t.Fatal(err)
	}
	if err := c.Restore(ctx, filepath.Join(t.TempDir(), "none"), 0); err == nil {
		t.Fatal("a restore from a file that is not there went well")
	}
	if err := c.Restore(ctx, path, 0); err != nil {
		t.Fatal(err)
	}
	for i := range c.Size() {
		put(ctx, t, &c.access, c.Member(i).Endpoint())
	}
}

func TestTokensOfMemberProcessesEndAsTheOptionsSay(t *testing.T) {
	ctx := within(t, 60*time.Second)
	const ttl = 2 * time.Second
	c := start3(ctx, t, Options{Auth: &Auth{Password: "pw"}, AuthToken: "simple", AuthTokenTTL: ttl})
	// Without a password, so that the client itself asks for no tokens.
	cfg, err := c.ClientConfig(c.Member(1).Endpoint())
	if err != nil {
		t.Fatal(err)
	}
	cfg.Username, cfg.Password = "", ""
	cli, err := clientv3.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer cli.Close()
	rpc := etcdserverpb.NewAuthClient(cli.ActiveConnection())
	token, err := rpc.Authenticate(ctx, &etcdserverpb.AuthenticateRequest{Name: "elector", Password: "pw"})
	if err != nil {
		t.Fatal(err)
	}
	kv := etcdserverpb.NewKVClient(cli.ActiveConnection())
	use := func() error {
		_, err := kv.Range(metadata.AppendToOutgoingContext(ctx, rpctypes.TokenFieldNameGRPC, token.GetToken()), &etcdserverpb.RangeRequest{Key: []byte("/elector/a")})
		return rpctypes.Error(err)
	}
	if err := use(); err != nil {
		t.Fatalf("a new token: %v", err)
	}
	<-time.After(ttl + 2*time.Second) // each use would extend it, and etcd looks once a second
	if err := use(); !errors.Is(err, rpctypes.ErrInvalidAuthToken) {
		t.Errorf("a token that was not used for longer than %v: %v", ttl, err)
	}
}

// etcd up to 3.4 asks what the certificate's user may do then, who is not root.
func TestRootIsRootWhenItsTokenHasEnded(t *testing.T) {
	testenv.Compat(t)
	ctx := within(t, 60*time.Second)
	const ttl = 2 * time.Second
	c := start3(ctx, t, Options{TLS: true, Auth: &Auth{}, AuthTokenTTL: ttl})
	root := client(ctx, t, &c.access)
	if _, err := root.UserChangePassword(ctx, "elector", "one"); err != nil {
		t.Fatal(err)
	}
	<-time.After(ttl + 2*time.Second) // as above
	if _, err := root.UserChangePassword(ctx, "elector", "two"); err != nil {
		t.Error(err)
	}
}

func TestAMemberKeepsItsDataWhereTheOptionsSay(t *testing.T) {
	ctx := within(t, 60*time.Second)
	disk := t.TempDir()
	c := start3(ctx, t, Options{DiskDir: func(i int) string {
		if i == 1 {
			return disk
		}
		return ""
	}})
	if found, _ := filepath.Glob(filepath.Join(disk, "*", "member", "wal", "*.wal")); len(found) != 1 {
		t.Errorf("below the disk's directory are the logs %v", found)
	}
	if fsync := [3]bool{c.Member(0).config.Fsync, c.Member(1).config.Fsync, c.Member(2).config.Fsync}; fsync != [3]bool{false, true, false} {
		t.Errorf("members call fsync: %v", fsync)
	}
	c.Close()
	if left, _ := filepath.Glob(filepath.Join(disk, "*")); len(left) > 0 {
		t.Errorf("Close left %v", left)
	}
}

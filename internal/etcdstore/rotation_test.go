package etcdstore_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/elector-dev/elector/internal/devetcd"
	"github.com/elector-dev/elector/internal/election"
	"github.com/elector-dev/elector/internal/etcdstore"
)

// volume is a directory as a kubelet mounts a secret: names lead over a link to the files of now, and one rename changes
// them all.
type volume struct {
	t   *testing.T
	dir string
	n   int
}

func newVolume(t *testing.T, files *devetcd.TLSFiles) *volume {
	v := &volume{t: t, dir: t.TempDir()}
	v.swap(files)
	for _, name := range []string{"ca.crt", "tls.crt", "tls.key"} {
		must(t, os.Symlink(filepath.Join("..data", name), v.path(name)))
	}
	return v
}

func (v *volume) path(name string) string { return filepath.Join(v.dir, name) }

func (v *volume) swap(files *devetcd.TLSFiles) {
	v.t.Helper()
	v.n++
	next := filepath.Join(v.dir, "..", filepath.Base(v.dir)+"-"+string(rune('a'+v.n)))
	must(v.t, os.Mkdir(next, 0o700))
	for name, from := range map[string]string{"ca.crt": files.CACert, "tls.crt": files.ClientCert, "tls.key": files.ClientKey} {
		b, err := os.ReadFile(from)
		must(v.t, err)
		must(v.t, os.WriteFile(filepath.Join(next, name), b, 0o600))
	}
	must(v.t, os.Symlink(next, v.path("..new")))
	must(v.t, os.Rename(v.path("..new"), v.path("..data")))
}

func (v *volume) config(c *etcdstore.Config) {
	c.CACert, c.Cert, c.Key = v.path("ca.crt"), v.path("tls.crt"), v.path("tls.key")
}

// tryStore opens and closes a session of a store, which makes a connection of its own.
func tryStore(t *testing.T, s election.Store) error {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	session, _, err := s.Open(ctx, request(3*time.Second, func(election.Event) {}))
	if err == nil {
		session.Close(true, election.Claim{})
	}
	return err
}

func TestCertificatesAreThoseOfTheNextHandshakeAndTheTermGoesOn(t *testing.T) {
	etcd := startEtcd(t, devetcd.Options{TLS: true})
	right := etcd.TLS()
	wrong, err := devetcd.NewTLSFiles(t.TempDir(), "elector", "127.0.0.1")
	must(t, err)
	root, err := etcd.ClientConfig()
	must(t, err)
	b := newBedWith(t, root)
	v := newVolume(t, right)
	b.change = v.config
	l, through := linked(t, etcd.Endpoints()[0])
	a := b.join("a", 5*time.Second, through)
	term := a.awaitPhase(election.Leader)
	s := b.storeAt("b", 3*time.Second, nil)
	must(t, tryStore(t, s))

	v.swap(wrong)
	refused(t, tryStore(t, s), "--etcd-cacert")
	v.swap(right)
	must(t, tryStore(t, s))

	l.Reset() // the leader's connection, which it makes anew with the files of now
	renewedAfter(t, a)
	if now := a.Look(); now.Token != term.Token {
		t.Errorf("the term with token %d has ended: %+v", term.Token, now)
	}
}

// renewedAfter waits until a renewal that was sent from now on has been confirmed.
func renewedAfter(t *testing.T, c *candidate) {
	t.Helper()
	from, before := time.Now(), c.Look()
	for limit := from.Add(time.Minute); time.Now().Before(limit); time.Sleep(10 * time.Millisecond) {
		now := c.Look()
		if !now.Leading || now.Token != before.Token {
			t.Fatalf("the term has ended: %+v", now)
		}
		if now.SinceRenewal < time.Since(from) && now.At.Add(now.LeaseLeft) > before.At.Add(before.LeaseLeft) {
			return
		}
	}
	t.Fatal("no renewal was confirmed")
}

func TestPasswordIsThatOfTheNextAuthenticationAndTheTermGoesOn(t *testing.T) {
	etcd := startEtcd(t, devetcd.Options{Auth: &devetcd.Auth{User: "worker", Password: "old", Prefix: "/elector/"}})
	root, err := etcd.ClientConfig()
	must(t, err)
	b := newBedWith(t, root)
	file := filepath.Join(t.TempDir(), "password")
	must(t, os.WriteFile(file, []byte("old\n"), 0o600))
	b.change = func(c *etcdstore.Config) { c.User, c.PasswordFile = "worker", file }
	a := b.join("a", 5*time.Second, nil)
	term := a.awaitPhase(election.Leader)
	s := b.storeAt("b", 3*time.Second, nil)
	must(t, tryStore(t, s))

	must(t, os.WriteFile(file, []byte("new\n"), 0o600))
	within(t, func(ctx context.Context) (any, error) { return b.client.UserChangePassword(ctx, "worker", "new") })
	renewedAfter(t, a)
	must(t, tryStore(t, s))
	if now := a.Look(); now.Token != term.Token {
		t.Errorf("the term with token %d has ended: %+v", term.Token, now)
	}
	must(t, os.WriteFile(file, []byte("wrong\n"), 0o600))
	refused(t, tryStore(t, s), "--etcd-password-file")
}

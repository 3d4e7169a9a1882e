package main

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/elector-dev/elector/internal/devetcd"
)

// refusal is a misconfiguration that comes under an elector that runs: what is done, what takes it back, and what is
// said meanwhile.
type refusal struct {
	what         string
	wrong, right func(*ground)
	says         string
	keeps        bool // the term goes on however long it lasts
}

const unusable = "new certificates for etcd cannot be used; going on with those before: "

var refusals = []refusal{
	{"a key without its certificate", file("tls.key", "foreign.key"), file("tls.key", "good.key"),
		unusable + `--etcd-cert "/run/secrets/tls.crt" and --etcd-key "/run/secrets/tls.key" are not a pair: put in a certificate and the key that it was made for, in PEM form (tls: private key does not match public key)`, true},
	{"an unreadable key", file("tls.key", "empty"), file("tls.key", "good.key"),
		unusable + `--etcd-cert "/run/secrets/tls.crt" and --etcd-key "/run/secrets/tls.key" are not a pair: put in a certificate and the key that it was made for, in PEM form (tls: failed to find any PEM data in key input)`, true},
	{"no certificate any more", gone("tls.crt"), file("tls.crt", "good.crt"),
		unusable + `--etcd-cert "/run/secrets/tls.crt" cannot be read: no such file or directory: put it there, or name another`, true},
	{"a certificate that has ended", pair("ended"), pair("good"), unusable + `--etcd-cert "/run/secrets/tls.crt" has ended at TIME: renew it`, true},
	{"a certificate that is yet to begin", pair("early"), pair("good"),
		unusable + `--etcd-cert "/run/secrets/tls.crt" is not valid before TIME, and it is TIME: wait, or set this host's clock`, true},
	{"a certificate that ends while it is in use", short, pair("good"), `the client certificate in use cannot be used any more: --etcd-cert "/run/secrets/tls.crt" has ended at TIME: renew it`, true},
	{"no authority any more", file("ca.crt", "empty"), file("ca.crt", "good-ca.crt"),
		unusable + `--etcd-cacert "/run/secrets/ca.crt" holds no certificate in PEM form: put the authority that signs the members' certificates into it`, true},
	{"an empty password file", file("password", "empty"), file("password", "good-password"),
		`the password for etcd cannot be read anew; going on with the one before: --etcd-password-file "/run/secrets/password" is empty: put the password of user "worker" into it`, true},
	{"no password file any more", gone("password"), file("password", "good-password"),
		`the password for etcd cannot be read anew; going on with the one before: --etcd-password-file "/run/secrets/password" cannot be read: no such file or directory: put it there, or name another`, true},

	{"an unknown authority", cut(file("ca.crt", "foreign-ca.crt")), file("ca.crt", "good-ca.crt"),
		`the member's certificate is of an authority that is not in --etcd-cacert: put the one that signs the members' certificates into it`, false},
	{"a client certificate of another authority", cut(pair("foreign")), pair("good"),
		`the member does not accept the client's certificate: check --etcd-cert and --etcd-key, and that the members trust the authority which signed it (tls: unknown certificate authority)`, false},
	{"a member whose certificate has ended", cut(server("ended")), server("member"),
		`the member's certificate has ended, or is not valid yet: renew it there, or set this host's clock (x509: certificate has expired or is not yet valid: current time TIME is after TIME)`, false},
	{"a member with a certificate for other names", cut(server("elsewhere")), server("member"),
		`the member's certificate is for other names than the endpoint's: use one of its names in --etcd-endpoints, or have the certificate name the endpoint (x509: certificate is valid for NAMES, not 127.0.0.1)`, false},
	{"a password that is changed in etcd alone", password("other"), password("right"),
		`user "worker" or its password is wrong: check --etcd-user and --etcd-password-file`, false},
	{"a user who is deleted", userGone, userAgain,
		`user "worker" or its password is wrong: check --etcd-user and --etcd-password-file`, false},
}

// file puts a copy of one file in the place of another.
func file(name, from string) func(*ground) {
	return func(g *ground) { g.put(name, contents(g.t, g.path(from))) }
}

func pair(from string) func(*ground) {
	return func(g *ground) { file("tls.crt", from+".crt")(g); file("tls.key", from+".key")(g) }
}

func gone(name string) func(*ground) {
	return func(g *ground) { must(g.t, os.Remove(g.path(name))) }
}

// cut has what is done be noticed at the next connection.
func cut(do func(*ground)) func(*ground) { return func(g *ground) { do(g); g.link.Reset() } }

// short is a certificate that ends in a moment.
func short(g *ground) {
	now := time.Now()
	g.issue(g.files, "short", now.Add(-time.Hour), now.Add(4*time.Second))
	pair("short")(g)
}

// server gives the member another certificate, which it reads at the next handshake.
func server(from string) func(*ground) {
	return func(g *ground) {
		replace(g.t, g.files.ServerCert, contents(g.t, g.path(from+".crt")))
		replace(g.t, g.files.ServerKey, contents(g.t, g.path(from+".key")))
	}
}

func (g *ground) asRoot(do func(context.Context, *clientv3.Client) error) {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(g.t.Context(), patience)
	defer cancel()
	c, err := g.etcd.NewClient(ctx)
	must(g.t, err)
	defer c.Close()
	must(g.t, do(ctx, c))
}

func password(is string) func(*ground) {
	return func(g *ground) {
		g.asRoot(func(ctx context.Context, c *clientv3.Client) error {
			_, err := c.UserChangePassword(ctx, "worker", is)
			return err
		})
	}
}

func userGone(g *ground) {
	g.asRoot(func(ctx context.Context, c *clientv3.Client) error {
		_, err := c.UserDelete(ctx, "worker")
		return err
	})
}

func userAgain(g *ground) {
	g.asRoot(func(ctx context.Context, c *clientv3.Client) error {
		if _, err := c.UserAdd(ctx, "worker", "right"); err != nil {
			return err
		}
		_, err := c.UserGrantRole(ctx, "worker", "worker")
		return err
	})
}

func TestEachRefusalUnderARunningElectorIsToldUntilItIsOver(t *testing.T) {
	g := newGround(t)
	for to, from := range map[string]string{"good.crt": "tls.crt", "good.key": "tls.key", "good-ca.crt": "ca.crt", "good-password": "password"} {
		file(to, from)(g)
	}
	g.put("member.crt", contents(t, g.files.ServerCert))
	g.put("member.key", contents(t, g.files.ServerKey))
	g.issueFor("elsewhere", "127.0.0.9")
	p := (&etcd{}).start(t, "w1", g.real(settings("…"))...)
	term := p.await("leading", "/leader", leads)
	streamed := g.streamed(p)
	rows := [][]string{{"what comes", "what is said", "the term"}}
	for _, r := range refusals {
		outcome := "ends, if it lasts"
		if r.keeps {
			outcome = "goes on"
		}
		rows = append(rows, []string{r.what, "`" + r.says + "`", outcome})
		if !t.Run(r.what, func(t *testing.T) {
			p, g := *p, *g
			p.t, g.t = t, t
			r.wrong(&g)
			must(t, syscall.Kill(p.PID(), syscall.SIGHUP)) // so as not to wait until the files are looked at
			g.refuses(&p, r.says)
			r.right(&g)
			must(t, syscall.Kill(p.PID(), syscall.SIGHUP))
			p.await("being let in again", "/status", func(a answer) bool { return a.code == 200 && a.Refusal == "" })
			next := p.await("leading", "/leader", leads)
			if r.keeps && next.Token != term.Token {
				t.Errorf("the term with token %d has ended", term.Token)
			}
			term = next
		}) {
			break
		}
	}
	inDocument(t, "refusals", rows)
	seen := streamed()
	for _, r := range refusals {
		if !seen[r.says] {
			t.Errorf("/events never said %s", r.says)
		}
	}
	if !seen[""] {
		t.Error("/events never said that a refusal is over")
	}
}

// streamed collects the refusals of an elector's stream of events, until they are asked for.
func (g *ground) streamed(p *process) func() map[string]bool {
	ctx, cancel := context.WithCancel(g.t.Context())
	seen, done := map[string]bool{}, make(chan struct{})
	events := p.ask().Events(ctx, false)
	go func() {
		defer close(done)
		for s, err := range events {
			if err == nil {
				seen[g.sentence(s.Refusal)] = true
			}
		}
	}()
	g.t.Cleanup(func() { cancel(); <-done })
	return func() map[string]bool { cancel(); <-done; return seen }
}

func TestUserWhomEtcdDoesNotAskForIsWarnedOf(t *testing.T) {
	open := startOne(t, devetcd.Options{TLS: true})
	files, password := open.TLS(), filepath.Join(t.TempDir(), "password")
	must(t, os.WriteFile(password, []byte("secret"), 0o600))
	p := (&etcd{}).start(t, "w1", "--etcd-endpoints", open.Endpoints()[0], "--etcd-cacert", files.CACert, "--etcd-cert", files.ClientCert,
		"--etcd-key", files.ClientKey, "--etcd-user", "worker", "--etcd-password-file", password)
	if a := p.await("leading", "/status", leads); a.Refusal != "" {
		t.Errorf("refused: %s", a.Refusal)
	}
	p.awaitLog("etcd lets in everybody: --etcd-user is not used; turn on etcd's authentication (etcdctl auth enable), or remove the user")
}

package main

import (
	"bufio"
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/elector-dev/elector/internal/devetcd"
)

// rotateFor is how long all credentials are rotated, again and again; at least once.
const rotateFor = "ELECTOR_ROTATION_FOR"

// volume is a directory as a kubelet mounts a secret: names lead over a link to the files of now, and one rename changes
// them all.
type volume struct {
	t    *testing.T
	dir  string
	n    int
	text map[string]string // by name
}

func newVolume(t *testing.T, text map[string]string) *volume {
	v := &volume{t: t, dir: t.TempDir(), text: text}
	v.swap(nil)
	for name := range text {
		must(t, os.Symlink(filepath.Join("..data", name), v.path(name)))
	}
	return v
}

func (v *volume) path(name string) string { return filepath.Join(v.dir, name) }

// swap replaces some files, all at once.
func (v *volume) swap(text map[string]string) {
	v.t.Helper()
	v.n++
	next := fmt.Sprintf("..%d", v.n)
	must(v.t, os.Mkdir(v.path(next), 0o700))
	for name, now := range text {
		v.text[name] = now
	}
	for name, now := range v.text {
		must(v.t, os.WriteFile(filepath.Join(v.path(next), name), []byte(now), 0o600))
	}
	must(v.t, os.Symlink(next, v.path("..new")))
	must(v.t, os.Rename(v.path("..new"), v.path("..data")))
	if v.n > 1 {
		must(v.t, os.RemoveAll(v.path(fmt.Sprintf("..%d", v.n-1))))
	}
}

func contents(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	must(t, err)
	return string(text)
}

// replace puts another file in the place of one that a member or this test reads.
func replace(t *testing.T, file, text string) {
	t.Helper()
	must(t, os.WriteFile(file+".new", []byte(text), 0o600))
	must(t, os.Rename(file+".new", file))
}

// secured is three members with TLS and users, and a fleet that is let in.
type secured struct {
	*etcd
	t        *testing.T
	volume   *volume
	password string
	fleet    []*process
	round    int
}

// restartAll has each member read its authorities anew, one after the other: etcd reads them when it starts.
func (s *secured) restartAll(ctx context.Context) {
	s.t.Helper()
	for i := range s.Size() {
		must(s.t, s.Member(i).Stop(ctx))
		must(s.t, s.Member(i).Restart())
		must(s.t, s.WaitHealthy(ctx))
	}
}

// rotate changes everything that the fleet is let in by, in the order in which docs/etcd-access.md has it.
func (s *secured) rotate() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 2*patience)
	defer cancel()
	s.round++
	files := s.TLS()
	next, err := devetcd.NewTLSFiles(s.t.TempDir(), "elector", "127.0.0.1")
	must(s.t, err)
	authority, pair := contents(s.t, next.CACert), map[string]string{"tls.crt": contents(s.t, next.ClientCert), "tls.key": contents(s.t, next.ClientKey)}
	both := contents(s.t, files.CACert) + authority

	replace(s.t, files.CACert, both) // the members', and this test's
	s.volume.swap(map[string]string{"ca.crt": both})
	s.restartAll(ctx)

	s.volume.swap(pair)
	replace(s.t, files.ClientCert, pair["tls.crt"])
	replace(s.t, files.ClientKey, pair["tls.key"])
	replace(s.t, files.ServerCert, contents(s.t, next.ServerCert))
	replace(s.t, files.ServerKey, contents(s.t, next.ServerKey))

	replace(s.t, files.CACert, authority)
	s.volume.swap(map[string]string{"ca.crt": authority})
	s.restartAll(ctx)

	s.password = fmt.Sprintf("password-%d", s.round)
	root, err := s.NewClient(ctx)
	must(s.t, err)
	defer root.Close()
	s.volume.swap(map[string]string{"password": s.password})
	_, err = root.UserChangePassword(ctx, "worker", s.password)
	must(s.t, err)
}

// wellAfter waits until etcd has answered a keep-alive that an elector sent from now on, and nothing is refused.
func (p *process) wellAfter() {
	p.t.Helper()
	answered := p.counted("keepalive") + 1 // the next may have been on its way
	p.await("renewing its lease", "/status", func(a answer) bool {
		return a.Connected && a.Refusal == "" && p.counted("keepalive") > answered
	})
}

// asked is every answer of an elector while all is rotated.
type asked struct {
	yes, no atomic.Int64
	wrong   atomic.Pointer[answer]
}

// askAll asks an elector all the time whether it leads with a token; 0: whether it does not.
func askAll(ctx context.Context, workers *sync.WaitGroup, p *process, token int64) *asked {
	var all asked
	workers.Go(func() {
		for ctx.Err() == nil {
			a := p.get("/leader")
			switch {
			case leads(a) && a.Token == token:
				all.yes.Add(1)
			case !a.Leading && token == 0 && a.code != 0:
				all.no.Add(1)
			default:
				all.wrong.CompareAndSwap(nil, &a)
			}
			select {
			case <-time.After(5 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	})
	return &all
}

func TestLeaderAndTokenStayWhileAllCredentialsAreRotated(t *testing.T) {
	for name, opts := range map[string]devetcd.Options{
		"simple tokens": {AuthTokenTTL: 2 * time.Second},
		"JWT":           {AuthToken: jwt(t, 2*time.Second)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rotateAll(t, opts)
		})
	}
}

func rotateAll(t *testing.T, opts devetcd.Options) {
	long, err := time.ParseDuration(cmp.Or(os.Getenv(rotateFor), "0s"))
	must(t, err)
	opts.TLS, opts.Auth = true, &devetcd.Auth{User: "worker", Password: "password-0"}
	s := &secured{etcd: startEtcd(t, opts), t: t, password: "password-0"}
	files := s.TLS()
	s.volume = newVolume(t, map[string]string{
		"ca.crt": contents(t, files.CACert), "tls.crt": contents(t, files.ClientCert), "tls.key": contents(t, files.ClientKey), "password": s.password,
	})
	s.fleet = s.fleetOf(t, 2, "--ttl", "10s", "--etcd-cacert", s.volume.path("ca.crt"), "--etcd-cert", s.volume.path("tls.crt"),
		"--etcd-key", s.volume.path("tls.key"), "--etcd-user", "worker", "--etcd-password-file", s.volume.path("password"))
	first, term := leader(t, s.fleet...)
	second := others(s.fleet, first)[0]
	place := second.get("/status").Lease.ID

	began := time.Now()
	ctx, stop := context.WithCancel(t.Context())
	var workers sync.WaitGroup
	leading, waiting := askAll(ctx, &workers, first, term.Token), askAll(ctx, &workers, second, 0)
	for s.round == 0 || time.Since(began) < long {
		s.rotate()
		for _, p := range s.fleet {
			p.wellAfter()
		}
		now, behind := first.get("/leader"), second.get("/status")
		if !leads(now) || now.Token != term.Token || leading.wrong.Load() != nil || !follows(behind) || behind.Leader.Token != term.Token {
			break
		}
		t.Logf("%5.1fs: round %d: authority, client and server certificates, password; token %d, %d yes; the follower's lease %s, %d no",
			time.Since(began).Seconds(), s.round, now.Token, leading.yes.Load(), behind.Lease.ID, waiting.no.Load())
	}
	took := time.Since(began)
	stop()
	workers.Wait()
	for p, all := range map[*process]*asked{first: leading, second: waiting} {
		if wrong := all.wrong.Load(); wrong != nil {
			t.Errorf("%s, with token %d to be kept, said %+v\n%s", p.id, term.Token, *wrong, p.logged())
		}
	}
	if now := second.get("/status"); now.Lease.ID != place {
		t.Errorf("the follower has lost its place: lease %s, then %s", place, now.Lease.ID)
	}
	authentications := []int{first.counted("authenticate"), second.counted("authenticate")}
	if least := s.round * 2; slices.Min(authentications) < least {
		t.Errorf("%v authentications in %d rounds: tokens did not expire", authentications, s.round)
	}
	must(t, first.Terminate()) // the last secrets are good for a term as well
	next := second.await("leading", "/leader", leads)
	t.Logf("%v, %d rounds: one leader, token %d, %d yes and not one no; the follower %d times no. Authentications: %v. Then token %d",
		took.Round(time.Second), s.round, term.Token, leading.yes.Load(), waiting.no.Load(), authentications, next.Token)
}

// jwt is etcd's setting for tokens that are signed and live for a time.
func jwt(t *testing.T, life time.Duration) string {
	t.Helper()
	dir := t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	must(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	for name, block := range map[string]*pem.Block{"public": {Type: "PUBLIC KEY", Bytes: public}, "private": {Type: "PRIVATE KEY", Bytes: private}} {
		must(t, os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600))
	}
	return fmt.Sprintf("jwt,pub-key=%s/public,priv-key=%s/private,sign-method=ES256,ttl=%v", dir, dir, life)
}

// counted is how many requests of a kind an elector has sent, as its metrics have it.
func (p *process) counted(op string) int {
	p.t.Helper()
	return p.counts("elector_etcd_requests_total", `op="`+op+`"`)
}

// counts is the sum of a counter's metrics that have a label.
func (p *process) counts(name, label string) (sum int) {
	p.t.Helper()
	r, err := p.http.Get("http://" + p.addr + "/metrics")
	must(p.t, err)
	defer r.Body.Close()
	for s := bufio.NewScanner(r.Body); s.Scan(); {
		if line := s.Text(); strings.HasPrefix(line, name+"{") && strings.Contains(line, label) {
			n, err := strconv.Atoi(line[strings.LastIndex(line, " ")+1:])
			must(p.t, err)
			sum += n
		}
	}
	return sum
}

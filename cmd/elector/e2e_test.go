package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/elector-dev/elector/internal/boottime"
	"github.com/elector-dev/elector/internal/devetcd"
	"github.com/elector-dev/elector/internal/testenv"
)

func TestFleetHasOneLeaderAndHandsOverOnSIGTERM(t *testing.T) {
	e := startEtcd(t, devetcd.Options{})
	fleet := e.fleetOf(t, 3)
	e.observe(t, fleet...)
	first, yes := leader(t, fleet...)
	if yes.header.Get("Elector-Token") != strconv.FormatInt(yes.Token, 10) || yes.Token == 0 || yes.ExpiresInMs <= 0 ||
		yes.header.Get("Elector-Expires-In-Ms") == "" {
		t.Errorf("yes without token or expiry: %+v", yes)
	}
	for _, p := range fleet {
		if a := p.get("/"); a.Name != first.id {
			t.Errorf("%s names %q at /", p.id, a.Name)
		}
		if a := p.get("/leader"); p != first && a.code != http.StatusServiceUnavailable {
			t.Errorf("%s answers %d", p.id, a.code)
		}
	}
	must(t, first.Terminate())
	second, next := leader(t, others(fleet, first)...)
	if next.Token <= yes.Token {
		t.Errorf("token %d follows %d", next.Token, yes.Token)
	}
	if status := first.awaitExit(); status != 0 {
		t.Errorf("%s exits with %d:\n%s", first.id, status, first.logged())
	}
	second.await("naming itself", "/", func(a answer) bool { return a.Name == second.id })
}

func TestKilledLeaderIsReplacedWhenItsLeaseEnds(t *testing.T) {
	e := startEtcd(t, devetcd.Options{})
	fleet := e.fleetOf(t, 3)
	e.observe(t, fleet...)
	first, yes := leader(t, fleet...)
	must(t, first.Kill())
	killed := time.Now()
	_, next := leader(t, others(fleet, first)...)
	took := time.Since(killed)
	if next.Token <= yes.Token {
		t.Errorf("token %d follows %d", next.Token, yes.Token)
	}
	t.Logf("next yes %v after the kill, TTL %v", took, ttl)
	if took > ttl+2*time.Second { // the promise is one second; the other is for a busy machine
		t.Errorf("next yes %v after the kill, TTL %v", took, ttl)
	}
}

func TestOperatorsDeletionOrRevokeIsNoticedAtOnce(t *testing.T) {
	e := startEtcd(t, devetcd.Options{})
	fleet := e.fleetOf(t, 2)
	for _, how := range []string{"delete", "revoke"} {
		l, yes := leader(t, fleet...)
		lease, err := strconv.ParseInt(yes.Lease.ID, 16, 64)
		must(t, err)
		if how == "delete" {
			_, err = e.client.Delete(t.Context(), "/elector/default/e2e/"+yes.Lease.ID)
		} else {
			_, err = e.client.Revoke(t.Context(), clientv3.LeaseID(lease))
		}
		must(t, err)
		done := boottime.Now()
		no := l.await("noticing", "/leader", func(a answer) bool { return a.code == http.StatusServiceUnavailable })
		if took := no.received - done; took > 500*time.Millisecond { // a hundred, and the rest for a busy machine
			t.Errorf("%s: first no after %v", how, took)
		} else {
			t.Logf("%s: first no after %v", how, took)
		}
		next, again := leader(t, fleet...)
		if next == l || again.Token <= yes.Token {
			t.Errorf("%s: %s leads with %d after %s with %d", how, next.id, again.Token, l.id, yes.Token)
		}
		l.await("re-entering", "/status", func(a answer) bool { return follows(a) && a.Registered })
	}
	l, _ := leader(t, fleet...)
	waiting := others(fleet, l)[0]
	before := waiting.get("/status")
	_, err := e.client.Delete(t.Context(), "/elector/default/e2e/"+before.Lease.ID)
	must(t, err)
	waiting.await("re-entering", "/status", func(a answer) bool {
		return follows(a) && a.Registered && a.Lease.ID != before.Lease.ID
	})
	must(t, l.Terminate())
	leader(t, waiting)
}

// Polls that wait in the socket of a frozen leader are answered when it wakes, and must not be told
// what was true before.
func TestPollsQueuedAtAFrozenLeaderGetNoYes(t *testing.T) {
	e := startEtcd(t, devetcd.Options{})
	fleet := e.fleetOf(t, 2)
	first, before := leader(t, fleet...)
	second := others(fleet, first)[0]
	must(t, first.Pause())
	var queued []net.Conn
	for range 50 {
		c, err := net.Dial("tcp", first.addr)
		must(t, err)
		defer c.Close()
		_, err = fmt.Fprintf(c, "GET /leader HTTP/1.1\r\nHost: %s\r\n\r\n", first.addr)
		must(t, err)
		queued = append(queued, c)
	}
	leader(t, second)
	frozen := time.NewTimer(2 * ttl)
	<-frozen.C
	thawed := boottime.Now()
	must(t, first.Resume())
	for _, c := range queued {
		must(t, c.SetReadDeadline(time.Now().Add(patience)))
		r, err := http.ReadResponse(bufio.NewReader(c), nil)
		must(t, err)
		body, err := io.ReadAll(r.Body)
		r.Body.Close()
		must(t, err)
		var a answer
		must(t, json.Unmarshal(body, &a))
		if r.StatusCode == http.StatusOK && a.Token <= before.Token { // a later term would be another matter
			t.Fatalf("a poll from before the thaw at %v is told yes: %s\n%s", thawed, body, first.logged())
		}
		if r.StatusCode == http.StatusOK {
			t.Logf("leads again with a new term: thaw %v, %s\n%s\n%s", thawed, body, first.logged(), second.logged())
		}
	}
	first.await("re-entering", "/status", follows)
}

func TestEtcdctlElectTakesItsTurnInTheSameQueue(t *testing.T) {
	etcdctl := testenv.Etcdctl(t)
	e := startEtcd(t, devetcd.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	elect := func(proposal string) (*exec.Cmd, *bufio.Scanner) {
		c := exec.CommandContext(ctx, etcdctl, "--endpoints", strings.Join(e.Endpoints(), ","), "elect", "/elector/default/e2e", proposal)
		out, err := c.StdoutPipe()
		must(t, err)
		must(t, c.Start())
		return c, bufio.NewScanner(out)
	}
	ours := regexp.MustCompile(`"identity":"w1"`)

	before, won := elect("by-hand")
	if !won.Scan() {
		t.Fatal("etcdctl does not win an empty election")
	}
	w := e.start(t, "w1")
	w.await("naming etcdctl's candidate", "/", func(a answer) bool { return a.Name == "by-hand" })
	must(t, before.Process.Signal(syscall.SIGINT))
	for won.Scan() { //nolint:revive // drained before Wait
	}
	_ = before.Wait()
	leader(t, w)

	after, lines := elect("waiting")
	seen := make(chan string, 16)
	go func() {
		defer close(seen)
		for lines.Scan() {
			seen <- lines.Text()
		}
	}()
	awaitKeys(t, e, 2)
	if a := w.get("/leader"); !leads(a) {
		t.Errorf("an etcdctl that waits disturbs the leader: %+v", a)
	}
	must(t, w.Terminate())
	won2 := false
	for line := range seen {
		if ours.MatchString(line) {
			t.Errorf("etcdctl reports our record as its own: %s", line)
		}
		if line == "waiting" {
			won2 = true
			break
		}
	}
	if !won2 {
		t.Error("etcdctl did not win after the elector had gone")
	}
	must(t, after.Process.Signal(syscall.SIGINT))
	for range seen { //nolint:revive // drained before Wait
	}
	_ = after.Wait()
}

// awaitKeys waits until so many candidates stand.
func awaitKeys(t *testing.T, e *etcd, n int64) {
	t.Helper()
	limit := time.Now().Add(patience)
	for time.Now().Before(limit) {
		r, err := e.client.Get(t.Context(), "/elector/default/e2e/", clientv3.WithPrefix(), clientv3.WithCountOnly())
		must(t, err)
		if r.Count == n {
			return
		}
		pause(t)
	}
	t.Fatalf("never %d candidates", n)
}

func TestSteadyStateWritesNothingAndLeaksNothing(t *testing.T) {
	e := startEtcd(t, devetcd.Options{})
	fleet := e.fleetOf(t, 3)
	gauge := func(p *process, name string) float64 {
		r, err := http.Get("http://" + p.addr + "/metrics")
		must(t, err)
		defer r.Body.Close()
		for s := bufio.NewScanner(r.Body); s.Scan(); {
			if line := s.Text(); strings.HasPrefix(line, name+"{") {
				f, err := strconv.ParseFloat(line[strings.LastIndex(line, " ")+1:], 64)
				must(t, err)
				return f
			}
		}
		t.Fatalf("no metric %s", name)
		return 0
	}
	revision := func() int64 {
		r, err := e.client.Get(t.Context(), "nothing")
		must(t, err)
		return r.Header.Revision
	}
	before, fds := revision(), map[string]float64{}
	for _, p := range fleet {
		fds[p.id] = gauge(p, "process_open_fds")
	}
	steady := time.NewTimer(5 * ttl)
	<-steady.C
	if now := revision(); now != before {
		t.Errorf("etcd's revision went from %d to %d", before, now)
	}
	for _, p := range fleet {
		if now := gauge(p, "process_open_fds"); now > fds[p.id]+4 {
			t.Errorf("%s: %v descriptors, then %v", p.id, fds[p.id], now)
		}
		if n := gauge(p, "go_goroutines"); n > 150 {
			t.Errorf("%s: %v goroutines", p.id, n)
		}
	}
}

func TestSecuredEtcdIsReachedWithCertificatesAndPassword(t *testing.T) {
	e := startEtcd(t, devetcd.Options{TLS: true, Auth: &devetcd.Auth{User: "worker", Password: "right"}})
	password := filepath.Join(t.TempDir(), "password")
	must(t, os.WriteFile(password, []byte("right\n"), 0o600))
	files := e.TLS()
	secured := []string{
		"--etcd-cacert", files.CACert, "--etcd-cert", files.ClientCert, "--etcd-key", files.ClientKey,
		"--etcd-user", "worker", "--etcd-password-file", password,
	}
	fleet := e.fleetOf(t, 2, secured...)
	first, _ := leader(t, fleet...)
	must(t, first.Terminate())
	leader(t, others(fleet, first)...)

	wrong := filepath.Join(t.TempDir(), "password")
	must(t, os.WriteFile(wrong, []byte("wrong\n"), 0o600))
	refused := e.start(t, "w3", append(secured, "--etcd-password-file", wrong)...)
	refused.await("saying that it is refused", "/status", func(a answer) bool { return a.Cause == "refused" })
	if log := refused.awaitLog("--etcd-password-file"); strings.Contains(log, `"wrong"`) {
		t.Errorf("log says too much:\n%s", log)
	}
	if a := refused.get("/livez"); a.code != http.StatusOK {
		t.Errorf("/livez %d while etcd refuses", a.code)
	}
}

func TestSecondSignalEndsTheProcessAtOnce(t *testing.T) {
	e := startEtcd(t, devetcd.Options{})
	w := e.start(t, "w1", "--answer-max", "3s")
	_, yes := leader(t, w)
	must(t, w.Terminate())
	w.await("stepping down", "/status", func(a answer) bool { return a.State == "stepping-down" })
	must(t, w.Terminate())
	if status := w.awaitExit(); status != 1 {
		t.Errorf("exit status %d", status)
	}
	if end := time.Duration(yes.ExpiresBoottimeMs) * time.Millisecond; boottime.Now() > end {
		t.Errorf("ended at %v, after its promise until %v", boottime.Now(), end)
	}
}

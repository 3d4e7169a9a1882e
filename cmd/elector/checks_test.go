package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/elector-dev/elector/internal/devetcd"
)

// patient is a worker that a check asks how it is. Each look is told what the test has decided.
type patient struct {
	*httptest.Server
	t *testing.T

	mu     sync.Mutex // guards the fields below, while a look is answered too
	looks  int        // since the test has decided last
	answer func(look int) (well bool)
}

func well(int) bool { return true }
func sick(int) bool { return false }

func newPatient(t *testing.T) *patient {
	t.Helper()
	p := &patient{t: t, answer: well}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.looks++
		if !p.answer(p.looks) {
			http.Error(w, "the queue is stuck", http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(p.Close)
	return p
}

// turn decides how the looks from now on are answered. The first of them has the number 1.
func (p *patient) turn(answer func(look int) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.looks, p.answer = 0, answer
}

// seen waits until that many looks have been answered.
func (p *patient) seen(n int) {
	p.t.Helper()
	for limit := time.Now().Add(patience); time.Now().Before(limit); pause(p.t) {
		p.mu.Lock()
		looks := p.looks
		p.mu.Unlock()
		if looks >= n {
			return
		}
	}
	p.t.Fatalf("never %d looks", n)
}

// name is what an elector calls the check, reason what it says while the worker is sick.
func (p *patient) name() string { return "http " + p.URL }
func (p *patient) reason() string {
	return "check " + p.name() + ": answered 503 Service Unavailable: the queue is stuck"
}

// checked starts an elector with a worker.
func (e *etcd) checked(t *testing.T, id string, args ...string) (*process, *patient) {
	t.Helper()
	worker := newPatient(t)
	return e.start(t, id, append([]string{"--check-http", worker.URL, "--answer-max", "300ms"}, args...)...), worker
}

// looking is settings for looks at an interval.
func looking(every time.Duration, more ...string) []string {
	return append([]string{"--check-interval", every.String(), "--check-timeout", every.String()}, more...)
}

// barred is a state in which nothing but the worker stands against a candidacy, for a reason.
func barred(reason string) func(answer) bool {
	return func(a answer) bool {
		return a.State == "ineligible" && a.Cause == "unhealthy" && !a.Eligible && a.IneligibleReason == reason && !a.Registered
	}
}

func registered(a answer) bool { return a.Registered && a.Eligible && a.IneligibleReason == "" }

// metric is the value of a series: its name, and a label that it has, if that is not empty.
func (p *process) metric(name, label string) float64 {
	p.t.Helper()
	r, err := p.http.Get("http://" + p.addr + "/metrics")
	must(p.t, err)
	defer r.Body.Close()
	for s := bufio.NewScanner(r.Body); s.Scan(); {
		if line := s.Text(); strings.HasPrefix(line, name+"{") && strings.Contains(line, label) {
			f, err := strconv.ParseFloat(line[strings.LastIndex(line, " ")+1:], 64)
			must(p.t, err)
			return f
		}
	}
	p.t.Fatalf("%s has no metric %s with %s", p.id, name, label)
	return 0
}

// rated checks what the metrics say of eligibility and of a check.
func (p *process) rated(worker *patient, want float64) {
	p.t.Helper()
	if eligible, up := p.metric("elector_eligible", ""), p.metric("elector_check_up", strconv.Quote(worker.name())); eligible != want || up != want {
		p.t.Errorf("%s: elector_eligible %v, elector_check_up %v, want %v", p.id, eligible, up, want)
	}
}

func TestCheckThatFallsEndsTheTermAndTheNextLeads(t *testing.T) {
	const fall = 3
	e := startEtcd(t, devetcd.Options{})
	settings := looking(300*time.Millisecond, "--check-fall", strconv.Itoa(fall), "--check-rise", "2")
	first, worker := e.checked(t, "w1", settings...)
	_, yes := leader(t, first)
	second, _ := e.checked(t, "w2", settings...)
	second.await("following", "/status", follows)
	e.observe(t, first, second)

	var led []bool // at each look that fails, before the elector can know that it does
	worker.turn(func(int) bool {
		led = append(led, first.glance().Leading)
		return false
	})
	_, next := leader(t, second)
	if next.Token <= yes.Token {
		t.Errorf("token %d follows %d", next.Token, yes.Token)
	}
	first.await("not being eligible", "/status", barred(worker.reason()))
	worker.seen(fall + 1)
	first.rated(worker, 0)
	first.await("naming the next", "/leader", func(a answer) bool {
		return a.code == http.StatusServiceUnavailable && a.Leader.Identity == "w2"
	})
	worker.turn(well)
	if want := []bool{true, true, true, false}; !slices.Equal(led[:fall+1], want) {
		t.Errorf("at each failing look it led: %v, want %v", led, want)
	}
	first.await("standing again", "/status", registered)
	first.rated(worker, 1)
	if _, now := leader(t, second); now.Token != next.Token {
		t.Errorf("token %d became %d when the first came back", next.Token, now.Token)
	}
	t.Logf("at each failing look it led: %v; token %d, then %d", led, yes.Token, next.Token)
}

func TestCheckThatFlapsDoesNotEndTheTerm(t *testing.T) {
	const looks = 21
	e := startEtcd(t, devetcd.Options{})
	first, worker := e.checked(t, "w1", looking(200*time.Millisecond, "--check-fall", "3")...)
	_, yes := leader(t, first)
	second := e.start(t, "w2")
	second.await("following", "/status", follows)
	worker.turn(func(look int) bool { return look%3 == 0 })
	worker.seen(looks + 1) // what came of the last is known by the next
	if now := first.glance(); !now.Leading || now.Token != yes.Token {
		t.Errorf("token %d became %d: %+v\n%s", yes.Token, now.Token, now, first.logged())
	}
	first.rated(worker, 1)
}

func TestNobodyLeadsWhileAllChecksFail(t *testing.T) {
	e := startEtcd(t, devetcd.Options{})
	var fleet []*process
	workers := map[*process]*patient{}
	for _, id := range []string{"w1", "w2", "w3"} {
		p, worker := e.checked(t, id, looking(150*time.Millisecond, "--check-fall", "2", "--check-rise", "1")...)
		fleet, workers[p] = append(fleet, p), worker
	}
	_, yes := leader(t, fleet...)
	for _, worker := range workers {
		worker.turn(sick)
	}
	awaitKeys(t, e, 0)
	for p, worker := range workers {
		p.await("not being eligible", "/status", barred(worker.reason()))
		p.await("knowing of no leader", "/leader", func(a answer) bool {
			return a.code == http.StatusServiceUnavailable && a.Leader.Identity == ""
		})
		p.rated(worker, 0)
		if a := p.get("/readyz"); a.code != http.StatusOK {
			t.Errorf("%s: /readyz %d, and a restart would not help", p.id, a.code)
		}
	}
	workers[fleet[1]].turn(well)
	if _, next := leader(t, fleet[1]); next.Token <= yes.Token {
		t.Errorf("token %d follows %d", next.Token, yes.Token)
	}
	awaitKeys(t, e, 1)
}

func TestEachKindOfCheckDecidesWhoMayLead(t *testing.T) {
	e := startEtcd(t, devetcd.Options{})
	dir := t.TempDir()
	beat, flag := filepath.Join(dir, "beat"), filepath.Join(dir, "flag")
	free, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	port := free.Addr().String()
	must(t, free.Close())
	touch := func(t *testing.T, path string) {
		must(t, os.WriteFile(path, nil, 0o600))
	}
	for name, kind := range map[string]struct {
		args          []string
		up            func(t *testing.T)
		down          func(t *testing.T)
		absent, ended string // the reason before it was up, and after
	}{
		"file": {
			args: []string{"--check-file", beat, "--check-max-age", "10m"},
			up:   func(t *testing.T) { touch(t, beat) },
			down: func(t *testing.T) {
				must(t, os.Chtimes(beat, time.Time{}, time.Now().Add(-time.Hour)))
			},
			absent: "check file " + beat + ": stat " + beat + ": no such file", ended: "check file " + beat + ": ",
		},
		"tcp": {
			args: []string{"--check-tcp", port},
			up: func(t *testing.T) {
				var err error
				free, err = net.Listen("tcp", port)
				must(t, err)
			},
			down:   func(t *testing.T) { must(t, free.Close()) },
			absent: "check tcp " + port + ": ", ended: "connection refused",
		},
		"exec": {
			args:   []string{"--check-exec", "cat " + flag},
			up:     func(t *testing.T) { touch(t, flag) },
			down:   func(t *testing.T) { must(t, os.Remove(flag)) },
			absent: "cat " + flag + ": exited with status 1: ", ended: "No such file",
		},
	} {
		t.Run(name, func(t *testing.T) {
			args := append(looking(200*time.Millisecond, "--election", name, "--check-fall", "1", "--check-rise", "1", "--answer-max", "200ms"), kind.args...)
			p := e.start(t, "w1", args...)
			down := func(reason string) string {
				return p.await("not being eligible: "+reason, "/status", func(a answer) bool {
					return a.State == "ineligible" && a.Cause == "unhealthy" && strings.Contains(a.IneligibleReason, reason)
				}).IneligibleReason
			}
			before := down(kind.absent)
			kind.up(t)
			leader(t, p)
			kind.down(t)
			t.Logf("first %q, then up, then %q", before, down(kind.ended))
		})
	}
}

// hold keeps a hold open at an elector until it is let go of.
func (p *process) hold() (letGo func()) {
	p.t.Helper()
	ctx, cancel := context.WithCancel(p.t.Context())
	alive, end := io.Pipe() // says nothing until it ends
	rq, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+p.addr+"/hold", alive)
	must(p.t, err)
	rq.Header.Set("Elector-Request", "1")
	client := &http.Client{Transport: &http.Transport{}} // a hold lasts longer than an answer of p.http
	resp, err := client.Do(rq)
	must(p.t, err)
	var told sync.WaitGroup
	told.Go(func() {
		defer resp.Body.Close()
		_, _ = io.Copy(io.Discard, resp.Body) // until it is let go of
	})
	return func() {
		cancel()
		told.Wait()
		end.Close() // the transport waits for it
	}
}

func TestCheckAndHoldMustBothPass(t *testing.T) {
	e := startEtcd(t, devetcd.Options{})
	const noHold = "no worker holds"
	p, worker := e.checked(t, "w1", looking(150*time.Millisecond, "--require-hold", "--check-fall", "1", "--check-rise", "1")...)
	p.await("wanting a hold", "/status", barred(noHold))
	worker.turn(sick)
	p.await("wanting both", "/status", barred(worker.reason()+"; "+noHold))
	letGo := p.hold()
	p.await("wanting health", "/status", barred(worker.reason()))
	worker.turn(well)
	_, yes := leader(t, p)
	letGo()
	p.await("wanting a hold again", "/status", barred(noHold))
	defer p.hold()()
	if _, again := leader(t, p); again.Token <= yes.Token {
		t.Errorf("token %d follows %d", again.Token, yes.Token)
	}
}

// everStood is the identities of all who have ever had a key, as etcd remembers.
func (e *etcd) everStood(t *testing.T) map[string]bool {
	t.Helper()
	const last = "/everything-before"
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err := e.client.Put(ctx, last, "")
	must(t, err)
	stood := map[string]bool{}
	for r := range e.client.Watch(ctx, "/", clientv3.WithPrefix(), clientv3.WithRev(1)) {
		must(t, r.Err())
		for _, ev := range r.Events {
			if string(ev.Kv.Key) == last {
				return stood
			}
			if _, after, ok := strings.Cut(string(ev.Kv.Value), `"identity":"`); ok {
				id, _, _ := strings.Cut(after, `"`)
				stood[id] = true
			}
		}
	}
	t.Fatal("etcd does not tell what was before")
	return nil
}

func TestObserverNamesTheLeaderAndNeverStands(t *testing.T) {
	e := startEtcd(t, devetcd.Options{})
	for i := range e.Size() {
		must(t, e.Member(i).Pause())
	}
	o := e.start(t, "observer", "--no-lead", "--ttl", "2s", "--answer-max", "300ms")
	if a := o.get("/readyz"); a.code != http.StatusServiceUnavailable {
		t.Errorf("/readyz %d before there was any contact", a.code)
	}
	for i := range e.Size() {
		must(t, e.Member(i).Resume())
	}
	o.await("being ready", "/readyz", func(a answer) bool { return a.code == http.StatusOK })
	w := e.start(t, "w1", "--answer-max", "300ms")
	_, yes := leader(t, w)
	names := func(id string) answer {
		return o.await("naming "+id, "/status", func(a answer) bool { return a.Leader.Identity == id })
	}
	a := names("w1")
	if a.State != "ineligible" || a.Cause != "no-lead" || a.Eligible || a.Registered || a.Leader.Token != yes.Token || a.IneligibleReason == "" {
		t.Errorf("the observer says %+v", a)
	}
	if a := o.get("/leader"); a.code != http.StatusServiceUnavailable || a.Leading {
		t.Errorf("the observer answers %+v", a)
	}
	if eligible := o.metric("elector_eligible", ""); eligible != 0 {
		t.Errorf("elector_eligible %v", eligible)
	}
	must(t, w.Terminate())
	w.awaitExit()
	names("")
	if n := e.standing(t); n != 0 {
		t.Errorf("%d candidates stand without the leader", n)
	}
	leader(t, e.start(t, "w2"))
	names("w2")
	if a := o.get("/readyz"); a.code != http.StatusOK {
		t.Errorf("/readyz %d", a.code)
	}
	must(t, o.Terminate())
	if status := o.awaitExit(); status != 0 {
		t.Errorf("exit status %d", status)
	}
	stood := e.everStood(t)
	if stood["observer"] || !stood["w1"] || !stood["w2"] {
		t.Errorf("keys were held by %v", stood)
	}
}

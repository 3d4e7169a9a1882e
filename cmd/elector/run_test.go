package main

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/elector-dev/elector/internal/boottime"
	"github.com/elector-dev/elector/internal/devetcd"
)

// asActor makes this test binary a stubborn command of elector run: the file that it writes to.
const asActor = "ELECTOR_TEST_AS_ACTOR"

// beActor acts for ever, and so does a child of its: each writes when it does, and neither heeds SIGTERM.
func beActor(journal string) {
	signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	who := "child"
	if os.Getenv(asActor+"_CHILD") == "" {
		who = "command"
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), asActor+"_CHILD=1")
		if err := cmd.Start(); err != nil {
			os.Exit(1)
		}
	}
	f, err := os.OpenFile(journal, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		os.Exit(1)
	}
	for {
		fmt.Fprintf(f, "%d %s %s %d\n", boottime.Now(), os.Getenv("ELECTOR_TERM_TOKEN"), who, syscall.Getpgrp())
		time.Sleep(2 * time.Millisecond)
	}
}

// acts is what a command and its child have done in one term.
type acts struct {
	last  time.Duration // on the boot clock
	token int64
	who   map[string]bool
	group int
}

// readActs returns the acts of the latest term.
func readActs(t *testing.T, journal string) acts {
	t.Helper()
	all := readTerms(t, journal)
	if len(all) == 0 {
		return acts{}
	}
	return all[len(all)-1]
}

// readTerms returns the acts of each term, in the order in which the terms began to act. A later one that acts
// before an earlier has ended is an error.
func readTerms(t *testing.T, journal string) (terms []acts) {
	t.Helper()
	text, err := os.ReadFile(journal)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	must(t, err)
	for line := range strings.Lines(string(text)) {
		var at, token int64
		var who string
		var group int
		if !strings.HasSuffix(line, "\n") {
			break
		}
		if _, err := fmt.Sscan(line, &at, &token, &who, &group); err != nil {
			t.Fatalf("journal line %q: %v", line, err)
		}
		if n := len(terms); n == 0 || terms[n-1].token < token {
			terms = append(terms, acts{token: token, who: map[string]bool{}, group: group})
		}
		a := &terms[len(terms)-1]
		if a.token != token {
			t.Errorf("acts under token %d after it did under %d", token, a.token)
		}
		a.last, a.who[who] = time.Duration(at), true
	}
	return terms
}

// runner is an elector with such a command.
type runner struct {
	*process
	journal string
}

func (e *etcd) runner(t *testing.T, id string) *runner {
	t.Helper()
	journal := filepath.Join(t.TempDir(), "journal")
	r := &runner{journal: journal}
	r.process = e.launch(t, []string{"env", asActor + "=" + journal, asElector + "=1"}, "run", id, "--", "env", "-u", asElector, os.Args[0])
	return r
}

// act waits until command and child act, and returns what they have done.
func (r *runner) act() acts {
	r.t.Helper()
	for limit := time.Now().Add(patience); time.Now().Before(limit); pause(r.t) {
		if a := readActs(r.t, r.journal); len(a.who) == 2 {
			return a
		}
	}
	r.t.Fatalf("%s: its command does not act\n%s", r.id, r.logged())
	return acts{}
}

// trials is how often each case is tried: ELECTOR_TRIALS, or twice.
func trials() int {
	if n, err := strconv.Atoi(os.Getenv("ELECTOR_TRIALS")); err == nil {
		return n
	}
	return 2
}

func TestCommandIsDeadBeforeAnotherLeads(t *testing.T) {
	for name, fault := range map[string]func(*testing.T, *etcd, *runner){
		"stopped": func(t *testing.T, _ *etcd, r *runner) { must(t, r.Terminate()) },
		"frozen":  func(t *testing.T, _ *etcd, r *runner) { must(t, r.Pause()) },
		"killed":  func(t *testing.T, _ *etcd, r *runner) { must(t, r.Kill()) },
		"without etcd": func(t *testing.T, e *etcd, _ *runner) {
			for i := range e.Size() {
				must(t, e.Member(i).Pause())
			}
			<-time.After(ttl + time.Second)
			for i := range e.Size() {
				must(t, e.Member(i).Resume())
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := startEtcd(t, devetcd.Options{})
			var between []time.Duration
			for i := range trials() {
				old := e.runner(t, fmt.Sprintf("old%d", i))
				began := old.act()
				next := e.start(t, fmt.Sprintf("next%d", i))
				next.await("following", "/status", follows)
				fault(t, e, old)
				yes := old.succeeded(next, began.token)
				ended := readTerms(t, old.journal)[0]
				if ended.last >= yes {
					t.Errorf("it acts at %v, the next leads at %v", ended.last, yes)
				}
				if name == "frozen" {
					must(t, old.Resume()) // it has not reaped what its guard has killed
				}
				old.reaped(began.group)
				between = append(between, yes-ended.last)
				must(t, old.Kill())
				must(t, next.Kill())
				next.gone(e)
			}
			slices.Sort(between)
			t.Logf("from its last act to the next yes, %d trials, TTL %v: least %v, median %v", len(between), ttl, between[0], between[len(between)/2])
		})
	}
}

// succeeded waits until another elector leads, or the same in a later term, and returns when.
func (r *runner) succeeded(next *process, token int64) time.Duration {
	r.t.Helper()
	for limit := time.Now().Add(patience); time.Now().Before(limit); {
		resp, err := next.http.Head("http://" + next.addr + "/leader")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return boottime.Now()
			}
		}
		if readActs(r.t, r.journal).token > token {
			return boottime.Now()
		}
	}
	r.t.Fatalf("nobody leads after %s\n%s", r.id, r.logged())
	return 0
}

// reaped waits until nothing of a group is left, zombies included.
func (r *runner) reaped(group int) {
	r.t.Helper()
	for limit := time.Now().Add(patience); time.Now().Before(limit); pause(r.t) {
		if errors.Is(syscall.Kill(-group, 0), syscall.ESRCH) {
			return
		}
	}
	r.t.Errorf("%s: something of its group is left", r.id)
}

// gone waits until no candidate stands any more.
func (p *process) gone(e *etcd) {
	p.t.Helper()
	for limit := time.Now().Add(patience); time.Now().Before(limit); pause(p.t) {
		if e.standing(p.t) == 0 {
			return
		}
	}
	p.t.Fatal("keys are left")
}

// standing is how many candidates there are.
func (e *etcd) standing(t *testing.T) int64 {
	t.Helper()
	r, err := e.client.Get(t.Context(), "/elector/default/e2e/", clientv3.WithPrefix(), clientv3.WithCountOnly())
	must(t, err)
	return r.Count
}

func TestDeadCommandHandsOverAtOnceAndItsStatusIsTheElectors(t *testing.T) {
	e := startEtcd(t, devetcd.Options{})
	var took []time.Duration
	for i := range trials() {
		old := e.runner(t, fmt.Sprintf("old%d", i))
		began := old.act()
		next := e.start(t, fmt.Sprintf("next%d", i))
		next.await("following", "/status", follows)
		<-time.After(200 * time.Millisecond) // etcd looks only ten times a second after watches that are new
		must(t, syscall.Kill(-began.group, syscall.SIGKILL))
		killed := time.Now()
		took = append(took, next.sees().Sub(killed))
		if status := old.awaitExit(); status != 128+int(syscall.SIGKILL) {
			t.Errorf("exit status %d", status)
		}
		must(t, next.Kill())
		next.gone(e)
	}
	slices.Sort(took)
	t.Logf("the next yes after the command's end, %d trials, TTL %v: median %v, worst %v", len(took), ttl, took[len(took)/2], took[len(took)-1])
}

func TestCommandIsKilledWhenItsGuardIs(t *testing.T) {
	e := startEtcd(t, devetcd.Options{})
	r := e.runner(t, "w1")
	began := r.act()
	out, err := exec.Command("pgrep", "-f", fmt.Sprintf("guard-command %d$", began.group)).Output()
	must(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(out)))
	must(t, err)
	must(t, syscall.Kill(pid, syscall.SIGKILL))
	r.awaitLog("guards the command has ended")
	for limit := time.Now().Add(patience); ; pause(t) {
		if now := readActs(t, r.journal); now.token > began.token {
			break // it campaigned again, and begins anew
		}
		if time.Now().After(limit) {
			t.Fatalf("no second term\n%s", r.logged())
		}
	}
	if err := syscall.Kill(-began.group, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("something of its group is left: %v", err)
	}
}

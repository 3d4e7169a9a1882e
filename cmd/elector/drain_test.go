package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/elector-dev/elector/internal/devetcd"
)

// drained is a state in which an elector stays out of the election since a person has said so.
func drained(a answer) bool {
	return a.State == "ineligible" && a.Cause == "drained" && !a.Eligible && !a.Registered
}

// does runs a verb that must succeed without a word.
func (p *process) does(args ...string) {
	p.t.Helper()
	if status, said := p.tell(args...); status != 0 || said != "" {
		p.t.Errorf("elector %s at %s: exit status %d, %q", strings.Join(args, " "), p.id, status, said)
	}
}

func TestDrainOutlastsTheProcessThatHasAStateDirectory(t *testing.T) {
	const because = "drained: kernel update"
	e := startEtcd(t, devetcd.Options{})
	dir := filepath.Join(t.TempDir(), "state")
	args := []string{"--answer-max", "300ms"}
	start := func() *process { return e.start(t, "w1", append(args, "--state-dir", dir)...) }
	first := start()
	_, yes := leader(t, first)
	second := e.start(t, "w2", args...)
	second.await("following", "/status", follows)
	e.observe(t, second) // the first will be another process
	first.does("drain", "--reason", "kernel update")
	if n := e.standing(t); n != 1 {
		t.Errorf("%d candidates stand when the order has been answered", n)
	}
	_, next := leader(t, second)
	if next.Token <= yes.Token {
		t.Errorf("token %d follows %d", next.Token, yes.Token)
	}
	if a := first.get("/status"); !drained(a) || a.IneligibleReason != because {
		t.Errorf("drained, it says %+v", a)
	}
	if eligible := first.metric("elector_eligible", ""); eligible != 0 {
		t.Errorf("elector_eligible %v", eligible)
	}

	must(t, first.Kill())
	first = start()
	first.awaitLog("drained by an earlier process's order")
	a := first.await("knowing the leader", "/status", func(a answer) bool { return a.Leader.Identity == "w2" })
	if !drained(a) || a.IneligibleReason != because {
		t.Errorf("started again, it says %+v", a)
	}
	must(t, second.Terminate())
	second.awaitExit()
	first.await("knowing that nobody leads", "/status", func(a answer) bool { return a.Connected && a.Leader.Identity == "" })
	if n := e.standing(t); n != 0 {
		t.Errorf("%d candidates stand while the only elector is drained", n)
	}
	if a := first.get("/status"); !drained(a) {
		t.Errorf("alone, it says %+v", a)
	}

	first.does("undrain")
	_, now := leader(t, first)
	if now.Token <= next.Token {
		t.Errorf("token %d follows %d", now.Token, next.Token)
	}
	must(t, first.Kill())
	again := start()
	if _, now := leader(t, again); now.Cause == "drained" {
		t.Errorf("undrained and started again, it says %+v", now)
	}
}

func TestDrainWithoutAStateDirectoryEndsWithTheProcess(t *testing.T) {
	e := startEtcd(t, devetcd.Options{})
	first := e.start(t, "w1", "--answer-max", "300ms")
	leader(t, first)
	first.does("drain")
	if a := first.get("/status"); !drained(a) || a.IneligibleReason != "drained" {
		t.Errorf("drained, it says %+v", a)
	}
	awaitKeys(t, e, 0)
	must(t, first.Kill())
	leader(t, e.start(t, "w1"))
}

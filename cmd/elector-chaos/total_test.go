package main

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/elector-dev/elector/internal/chaos"
	"github.com/elector-dev/elector/internal/chaos/check"
	"github.com/elector-dev/elector/internal/chaos/history"
)

// outcomeOf is a storm of that length in which every kind of fault but one took effect.
func outcomeOf(long time.Duration, without string) chaos.Outcome {
	h := &history.History{Run: history.Run{Scenario: chaos.StormScenario, Program: chaos.Elector, StaleAcks: 1, Access: "TLS and passwords"}}
	r := check.Report{Figures: check.Figures{
		Span: long, RefusedWrites: 1, Stops: 1, Promises: 1, Works: 1, PageEvents: 1, Renewals: map[string]int64{"term_mismatch": 1, "unconfirmed": 1},
	}}
	for _, k := range history.Kinds() {
		f := check.FaultFigure{Kind: k, Tried: 2, Effective: 1}
		if k == without {
			f.Effective = 0
		}
		r.Figures.Faults = append(r.Figures.Faults, f)
	}
	return chaos.Outcome{History: h, Report: r}
}

func TestALongCampaignIsWorthlessWithoutEveryKindOfFault(t *testing.T) {
	of := func(long time.Duration, without, links string, members int) string {
		sum := newTotal(options{})
		sum.add(1, outcomeOf(long, without))
		return sum.missing(links, members)
	}
	missing := func(long time.Duration, without, links string) string { return of(long, without, links, 3) }
	if got := missing(time.Hour, "", chaos.Namespaces); got != "" {
		t.Errorf("all was seen, and it misses %s", got)
	}
	if got := missing(time.Hour, history.PartitionHalf, chaos.Namespaces); got != "partition-half (tried 2 times)" {
		t.Errorf("it misses %q", got)
	}
	if got := missing(time.Minute, history.PartitionHalf, chaos.Namespaces); got != "" {
		t.Errorf("after a minute it misses %s", got)
	}
	if got := missing(time.Hour, history.LeaderDepose, chaos.Proxies); got != "" {
		t.Errorf("on loopback it misses %s", got)
	}
	if got := missing(time.Hour, history.LeaderMove, chaos.Namespaces); got == "" {
		t.Error("nothing is missing of three members whose leadership never moved")
	}
	if got := of(time.Hour, history.LeaderMove, chaos.Namespaces, 1); got != "" {
		t.Errorf("with one member it misses %s", got)
	}
	sum := newTotal(options{})
	o := outcomeOf(time.Hour, "")
	o.Report.Figures.RefusedWrites = 0
	sum.add(1, o)
	if got := sum.missing(chaos.Namespaces, 3); !strings.Contains(got, "a write refused") {
		t.Errorf("it misses %q", got)
	}
}

func TestTheLastLineSumsUpAllRuns(t *testing.T) {
	sum := newTotal(options{Options: chaos.Options{Seed: 5}})
	for seed := uint64(5); seed < 8; seed++ {
		o := outcomeOf(time.Minute, "")
		o.Report.Figures.Answers, o.Report.Figures.Unknown = 100, 500*time.Millisecond
		o.Report.Violations = []check.Violation{{Rule: "I1"}}
		sum.add(seed, o)
	}
	n := 3 * 2 * len(history.Kinds())
	if want := "chaos: 300 answers checked, " + strconv.Itoa(n) + " faults, 3 violations, 1.5 s unknown, seeds 5..7"; sum.line() != want {
		t.Errorf("%q, not %q", sum.line(), want)
	}
}

func TestARunThatShowsNothingIsNotKept(t *testing.T) {
	sound := check.Figures{
		Yes: 5, No: 5, Handovers: 1, Keys: 3, SamplesJudged: 2, CalmJudged: time.Second,
		Faults: []check.FaultFigure{{Kind: history.ElectorKill, Tried: 1, Effective: 1}},
	}
	h := func() *history.History {
		return &history.History{Run: history.Run{Program: chaos.Elector}, Leftover: &history.Leftover{}}
	}
	if v := judge(h(), check.Report{Figures: sound}, false); !v.kept() {
		t.Errorf("a sound run is not kept: %s", v.hollow())
	}
	for what, change := range map[string]func(*check.Figures){
		"yes":     func(f *check.Figures) { f.Yes = 0 },
		"keys":    func(f *check.Figures) { f.Keys = 0 },
		"gauges":  func(f *check.Figures) { f.SamplesJudged = 0 },
		"calm":    func(f *check.Figures) { f.CalmJudged = 0 },
		"effects": func(f *check.Figures) { f.Faults = nil },
	} {
		f := sound
		change(&f)
		if judge(h(), check.Report{Figures: f}, false).kept() {
			t.Errorf("a run without %s is kept", what)
		}
		if !judge(h(), check.Report{Figures: f}, true).kept() {
			t.Errorf("an interrupted run without %s is not kept", what)
		}
	}
	broken := check.Report{Figures: sound, Violations: []check.Violation{{Rule: "I1"}}}
	if judge(h(), broken, true).kept() {
		t.Error("a run with a violation is kept")
	}
}

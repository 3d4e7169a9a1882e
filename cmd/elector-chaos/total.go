package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/elector-dev/elector/internal/chaos"
	"github.com/elector-dev/elector/internal/chaos/check"
	"github.com/elector-dev/elector/internal/chaos/history"
	"github.com/elector-dev/elector/internal/chaos/timeline"
)

// enough is the time of storms after which chance is no excuse for what was not seen: every kind of fault
// comes once in about five minutes.
const enough = 20 * time.Minute

// total is the sum of all runs.
type total struct {
	first, last         uint64
	answers, violations int
	faults              int
	unknown             time.Duration

	rows      []string // of the table
	sum       check.Figures
	staleAcks int64
	curves    []timeline.Curves

	storms    time.Duration // how long electors were in storms
	secured   bool          // some of them with secrets, which can be rotated
	tried     map[string]int
	effective map[string]int
	seen      map[string]int64 // of what a campaign has to show beside faults
}

func newTotal(o options) *total {
	return &total{first: o.Seed, last: o.Seed, tried: map[string]int{}, effective: map[string]int{}, seen: map[string]int64{}}
}

func (t *total) add(seed uint64, o chaos.Outcome) {
	f := o.Report.Figures
	t.last = seed
	t.answers += f.Answers + f.Shown
	t.violations += len(o.Report.Violations) + o.Report.More
	t.faults += faults(o.Report)
	t.unknown += f.Unknown
	t.rows = append(t.rows, row(o))
	t.staleAcks += o.History.Run.StaleAcks
	plus(&t.sum, f)
	t.curves = append(t.curves, timeline.NewCurves(o.History))
	for _, k := range f.Faults {
		t.tried[k.Kind] += k.Tried
		t.effective[k.Kind] += k.Effective
	}
	if run := o.History.Run; run.Scenario != chaos.StormScenario || run.Program != chaos.Elector {
		return
	}
	t.storms += f.Span
	t.secured = t.secured || o.History.Run.Access != ""
	t.seen["a write refused for its old token"] += int64(f.RefusedWrites)
	t.seen["an acknowledgement by an older etcd leader"] += o.History.Run.StaleAcks
	t.seen["an acknowledged renewal that did not count"] += f.Renewals["late"] + f.Renewals["unconfirmed"] + f.Renewals["negative"]
	t.seen["a renewal in another raft term"] += f.Renewals["term_mismatch"]
	t.seen["a promise compared with the end of its key"] += int64(f.Promises)
	t.seen["an end of bound work"] += int64(f.Works)
	t.seen["a graceful stop while all else was well"] += int64(f.Stops)
	t.seen["an event on the stream of a page"] += int64(f.PageEvents)
}

// missing says what the storms should have shown together and did not. Short ones are excused.
func (t *total) missing(links string, members int) string {
	if t.storms < enough {
		return ""
	}
	var all []string
	for _, kind := range history.Kinds() {
		if members == 1 && chaos.NeedsFollowers(kind) {
			continue
		}
		switch kind {
		case history.Restore, history.RestoreBumped: // are scripts
			continue
		case history.LeaderDepose, history.MemberIsolate:
			if links != chaos.Namespaces {
				continue
			}
		case history.Rotation:
			if !t.secured {
				continue
			}
		case history.SlowDisk:
			if t.tried[kind] == 0 { // no disk can be made here, which was said
				continue
			}
		}
		if t.effective[kind] == 0 {
			all = append(all, fmt.Sprintf("%s (tried %d times)", kind, t.tried[kind]))
		}
	}
	for what, n := range t.seen {
		if n == 0 {
			all = append(all, what)
		}
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// line is for scripts to grep.
func (t *total) line() string {
	return fmt.Sprintf("chaos: %d answers checked, %d faults, %d violations, %.1f s unknown, seeds %d..%d",
		t.answers, t.faults, t.violations, t.unknown.Seconds(), t.first, t.last)
}

package main

import (
	"strings"
	"testing"
	"time"

	"github.com/elector-dev/elector/internal/chaos/check"
)

func TestTheTableHasALineForEachRunAndWhatAllSaw(t *testing.T) {
	sum := newTotal(options{})
	for seed, access := range []string{"", "TLS and passwords"} {
		o := outcomeOf(time.Minute, "")
		o.History.Run.Seed, o.History.Run.Access, o.History.Run.Electors = uint64(seed+7), access, []string{"w1", "w2", "w3"}
		f := &o.Report.Figures
		f.Answers, f.Shown, f.Terms, f.Rotations, f.PageLate = 1_234_560, 7, 12, 2, 1
		f.Clear, f.ClearLed, f.Faulty, f.FaultyLed, f.Longest = 100*time.Second, 99*time.Second, 200*time.Second, 150*time.Second, 1500*time.Millisecond
		if seed == 1 {
			o.Report.Violations, o.Report.More = []check.Violation{{Rule: "I1"}}, 2
		}
		sum.add(o.History.Run.Seed, o)
	}
	got := sum.table()
	for _, want := range []string{
		tableHead + "\n| 7 | 3 | none | 1,234,567 | 12 | 0 | 99.00 % of 1m40s | 75.00 % of 3m20s | 1.5s |\n",
		"\n| 8 | 3 | TLS and passwords | 1,234,567 | 12 | 3 | ", "rotation 2/4", "term_mismatch 2, unconfirmed 2", "canaries saw: 2", "cost no term: 4,", "2 events came after",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
}

func TestNumbersHaveTheirThousandsApart(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1815042: "1,815,042"} {
		if got := thousands(n); got != want {
			t.Errorf("%d: %q", n, got)
		}
	}
}

package check_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/elector-dev/elector/internal/chaos/check"
	"github.com/elector-dev/elector/internal/chaos/history"
)

func TestAQuietRunBreaksNoRule(t *testing.T) {
	r := check.Check(quiet().history())
	if told(r) != "" {
		t.Error(told(r))
	}
	f := r.Figures
	if f.Terms != 3 || f.Handovers != 2 || f.Keys != 3 || f.Stops != 1 || f.Promises != 2 || f.CalmJudged < 10*time.Second || f.SamplesJudged < 100 || f.RefusedWrites != 2 {
		t.Errorf("figures: %+v", f)
	}
	if f.Yes+f.No != f.Answers || f.Yes < 2000 || f.Renewals["confirmed"] == 0 {
		t.Errorf("figures: %+v", f)
	}
	if clear, faulty := f.Available(); clear < 0.999 || faulty < 0.8 || faulty == 1 || f.Longest.Round(20*time.Millisecond) != 2940*time.Millisecond {
		t.Errorf("available %v of fault-free time, %v of the rest, longest time without %v", clear, faulty, f.Longest)
	}
	if len(r.Vacuous) != 0 {
		t.Errorf("vacuous: %v", r.Vacuous)
	}
}

// planted is a run with one thing wrong.
type planted struct {
	name string
	plan func(*fleet)            // changes what happened
	edit func(*history.History)  // changes the record
	want string                  // rules, in order, with blanks in between; empty: none
	says []string                // in the sentences
	see  func(check.Report) bool // what else is to be
}

func TestEachBreachIsFoundAndNothingElseIs(t *testing.T) {
	for _, test := range slices.Concat(breachesOfYes, breachesOfKeys, breachesOfTokens, breachesOfTheRest, breachesOfWork, breachesOfTheNew) {
		t.Run(test.name, func(t *testing.T) {
			f := quiet()
			if test.plan != nil {
				test.plan(f)
			}
			h := f.history()
			if test.edit != nil {
				test.edit(h)
			}
			r := check.Check(h)
			if got := strings.Join(rules(r), " "); got != test.want {
				t.Errorf("broken: %q; want %q\n%s", got, test.want, told(r))
			}
			for _, s := range test.says {
				if !strings.Contains(told(r), s) {
					t.Errorf("nothing says %q:\n%s", s, told(r))
				}
			}
			if test.see != nil && !test.see(r) {
				t.Errorf("figures: %+v", r.Figures)
			}
		})
	}
}

func contains(part string) func(string) bool {
	return func(s string) bool { return strings.Contains(s, part) }
}

func TestABreachOfARunThatGoesOnIsReportedOnceItsRecordIsWhole(t *testing.T) {
	h := quiet().history()
	last(h, 12).Until = at(22_902) // its key was gone at 22.900 s
	for _, test := range []struct {
		now  int
		want int
	}{{24_850, 0}, {24_950, 1}} {
		if r := check.Check(until(h, at(test.now))); len(r.Violations) != test.want {
			t.Errorf("at %d ms: %d violations\n%s", test.now, len(r.Violations), told(r))
		}
	}
}

func TestARunWithoutAnythingIsVacuous(t *testing.T) {
	r := check.Check(&history.History{Run: history.Run{Scenario: "storm", Program: "elector", TTL: ttl, Ended: 1}})
	if !r.OK() {
		t.Error(told(r))
	}
	for _, want := range []string{
		"ever said yes", "ever said no", "nobody watched", "(I7)", "nothing was broken", "(I2)", "(I5)", "(I6)", "(I8)", "refused nothing (I9)",
		"slow-disk was never tried", "no renewal was late", "no renewal was term_mismatch",
	} {
		if !slices.ContainsFunc(r.Vacuous, contains(want)) {
			t.Errorf("%q is not among %q", want, r.Vacuous)
		}
	}
}

func TestAListOfViolationsHasAnEnd(t *testing.T) {
	f := quiet()
	h := f.history()
	for i := range h.Samples {
		if h.Samples[i].Elector == "b" {
			h.Samples[i].Leading, h.Samples[i].Token = !h.Samples[i].Leading, 0
		}
	}
	if r := check.Check(h); len(r.Violations) != 49 || r.More != 0 {
		t.Errorf("%d listed, %d more", len(r.Violations), r.More)
	}
	h.Samples = slices.Concat(h.Samples, h.Samples)
	if r := check.Check(h); len(r.Violations) != 50 || r.More != 48 {
		t.Errorf("%d listed, %d more", len(r.Violations), r.More)
	}
}

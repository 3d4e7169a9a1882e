package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/elector-dev/elector/internal/chaos"
	"github.com/elector-dev/elector/internal/chaos/check"
	"github.com/elector-dev/elector/internal/chaos/history"
)

// verdict is what is made of a report.
type verdict struct {
	run         history.Run
	report      check.Report
	complete    bool // the calm after the faults was seen and what was left was counted
	interrupted bool
}

func judge(h *history.History, r check.Report, interrupted bool) verdict {
	return verdict{run: h.Run, report: r, complete: h.Leftover != nil, interrupted: interrupted}
}

// kept reports whether every promise was kept and enough was seen to say so. What one seed's storm does not
// happen to show, others do (see total): of a single run is asked what every run can show.
func (v verdict) kept() bool { return v.report.OK() && (v.interrupted || v.hollow() == "") }

// hollow says what makes a run worthless, or nothing.
func (v verdict) hollow() string {
	f := v.report.Figures
	switch {
	case f.Yes == 0 || f.No == 0 || f.Handovers == 0 && v.run.Scenario != "move":
		return "nobody was seen to lead, or to take over"
	case f.Keys == 0:
		return "no key was seen in etcd"
	case v.run.Program == chaos.Elector && f.SamplesJudged == 0:
		return "no gauge was compared with an answer"
	case effective(v.report) == 0:
		return "no fault took effect"
	case v.run.Scenario == chaos.SoakScenario && len(f.Curves) == 0:
		return "no elector lived long enough for its curves to be judged"
	case !v.complete || f.CalmJudged == 0:
		return "the calm after the faults was not seen"
	}
	return ""
}

func effective(r check.Report) (n int) {
	for _, f := range r.Figures.Faults {
		n += f.Effective
	}
	return n
}

func faults(r check.Report) (n int) {
	for _, f := range r.Figures.Faults {
		n += f.Tried
	}
	return n
}

// text is the summary of a run, in plain lines.
func (v verdict) text() string {
	var b strings.Builder
	f := v.report.Figures
	line := func(format string, args ...any) { fmt.Fprintf(&b, "  "+format+"\n", args...) }
	fmt.Fprintf(&b, "seed %d, %s, %s for %v:\n", v.run.Seed, v.run.Program, v.run.Scenario, v.run.Ended.Sub(v.run.Began).Round(time.Second))
	line("answers checked  %d: %d yes, %d no; %d terms, %d handovers", f.Answers, f.Yes, f.No, f.Terms, f.Handovers)
	line("promises         %d terms' compared with the end of their keys, %d cut short as the operator had declared", f.Promises, f.Declared)
	line("gauges           %d samples, %d compared with answers", f.Samples, f.SamplesJudged)
	line("register         %d accesses, %d writes, %d refused for an old token", f.Accesses, f.Writes, f.RefusedWrites)
	line("work             %d lives compared with the end of their terms, %d acts; %d frozen with their guards, %d with keys taken away",
		f.Works, f.Acts, f.WorksFrozen, f.WorksExcused)
	line("faults           %d, of which %d effective: %s", faults(v.report), effective(v.report), byKind(f.Faults))
	line("handed over      %d graceful stops judged, %d not since something else was wrong; %d terms taken away behind their backs (%d noticed late, %d overlaps excused)",
		f.Stops, f.StopsOpen, f.Taken, f.NoticedLate, f.Excused)
	line("renewals         %s; %d stale acknowledgements seen by the canaries", byName(f.Renewals), v.run.StaleAcks)
	line("pages            opened %d times, told %d events (%d after their yes had ended), asked for %d things more",
		f.PagesOpened, f.PageEvents, f.PageLate, f.PageRequests)
	if v.run.Access != "" {
		line("secrets          %d rotations held to cost no term, %d amid other faults", f.Rotations, f.RotationsOpen)
	}
	for _, c := range f.Curves {
		line("long life        %s took %.1f %s on average in the second quarter, %.1f in the last", c.Elector, c.Second, c.What, c.Last)
	}
	clear, faulty := f.Available()
	line("somebody led     %.2f %% of %v without faults, %.2f %% of %v with them; longest without leader %v",
		100*clear, f.Clear.Round(time.Second), 100*faulty, f.Faulty.Round(time.Second), f.Longest.Round(time.Millisecond))
	line("harness stood    %v, which is unknown", f.Unknown.Round(time.Millisecond))
	for _, u := range v.report.Unknown {
		line("unknown          %s", u)
	}
	if len(v.report.Vacuous) > 0 {
		line("not shown        %s", strings.Join(v.report.Vacuous, "; "))
	}
	for _, x := range v.report.Violations {
		line("VIOLATION        %s: %s", x.Rule, x.Text)
	}
	if v.report.More > 0 {
		line("and %d more", v.report.More)
	}
	if v.interrupted {
		line("interrupted, so the end was not judged")
	} else if why := v.hollow(); why != "" && v.report.OK() {
		line("WORTHLESS        %s", why)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func byKind(all []check.FaultFigure) string {
	var words []string
	for _, f := range all {
		words = append(words, fmt.Sprintf("%s %d/%d", f.Kind, f.Effective, f.Tried))
	}
	return strings.Join(words, ", ")
}

func byName(counts map[string]int64) string {
	var words []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		words = append(words, fmt.Sprintf("%s %d", name, counts[name]))
	}
	return strings.Join(words, ", ")
}

package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/elector-dev/elector/internal/chaos"
	"github.com/elector-dev/elector/internal/chaos/check"
)

// tableHead is that of the table of a campaign, as docs/proof.md shows it.
const tableHead = `| seed | electors | access | answers | terms | violations | led, without faults | led, with faults | longest without leader |
|---|---|---|---|---|---|---|---|---|`

// row is one run's line of the table.
func row(o chaos.Outcome) string {
	run, f := o.History.Run, o.Report.Figures
	access := run.Access
	if access == "" {
		access = "none"
	}
	clear, faulty := f.Available()
	return fmt.Sprintf("| %d | %d | %s | %s | %d | %d | %.2f %% of %v | %.2f %% of %v | %v |",
		run.Seed, len(run.Electors), access, thousands(f.Answers+f.Shown), f.Terms, len(o.Report.Violations)+o.Report.More,
		100*clear, f.Clear.Round(time.Second), 100*faulty, f.Faulty.Round(time.Second), f.Longest.Round(time.Millisecond))
}

// table is the whole campaign as Markdown: a line for each run, and what all of them saw together.
func (t *total) table() string {
	f := t.sum
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n\n", tableHead, strings.Join(t.rows, "\n"))
	var kinds []string
	for _, k := range slices.Sorted(maps.Keys(t.tried)) {
		kinds = append(kinds, fmt.Sprintf("%s %d/%d", k, t.effective[k], t.tried[k]))
	}
	fmt.Fprintf(&b, "Faults that took effect, of those tried: %s.\n\n", strings.Join(kinds, ", "))
	fmt.Fprintf(&b, "Renewals of leaders: %s. Stale acknowledgements that the canaries saw: %d. Writes that the register refused: %d of %d.\n",
		byName(f.Renewals), t.staleAcks, f.RefusedWrites, f.Writes)
	fmt.Fprintf(&b, "Terms whose promises were compared with the end of their key: %d, and %d declared to need no wait. Graceful stops held to one second: %d.\n",
		f.Promises, f.Declared, f.Stops)
	fmt.Fprintf(&b, "Terms whose key was taken away behind their backs: %d, of which %d noticed late and %d overlapped the next term. Lives of bound work: %d.\n",
		f.Taken, f.NoticedLate, f.Excused, f.Works)
	fmt.Fprintf(&b, "Rotations of all secrets that were to cost no term: %d, and %d amid other faults. Pages: opened %d times, told %d events, asked for %d things more; %d events came after their yes had ended.\n",
		f.Rotations, f.RotationsOpen, f.PagesOpened, f.PageEvents, f.PageRequests, f.PageLate)
	return b.String()
}

// plus adds up what the table tells of all runs together.
func plus(sum *check.Figures, f check.Figures) {
	if sum.Renewals == nil {
		sum.Renewals = map[string]int64{}
	}
	for result, n := range f.Renewals {
		sum.Renewals[result] += n
	}
	for _, both := range []struct{ to, from *int }{
		{&sum.RefusedWrites, &f.RefusedWrites}, {&sum.Writes, &f.Writes}, {&sum.Promises, &f.Promises}, {&sum.Declared, &f.Declared},
		{&sum.Stops, &f.Stops}, {&sum.Taken, &f.Taken}, {&sum.NoticedLate, &f.NoticedLate}, {&sum.Excused, &f.Excused}, {&sum.Works, &f.Works},
		{&sum.Rotations, &f.Rotations}, {&sum.RotationsOpen, &f.RotationsOpen}, {&sum.PagesOpened, &f.PagesOpened},
		{&sum.PageEvents, &f.PageEvents}, {&sum.PageRequests, &f.PageRequests}, {&sum.PageLate, &f.PageLate},
	} {
		*both.to += *both.from
	}
}

// thousands is a number with commas.
func thousands(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

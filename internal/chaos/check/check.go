// Package check judges a chaos run from its record alone: it reads history.History and nothing else, so a
// run can be judged while it goes on, and again later.
//
// # The rules
//
//   - I1: never two yes at one instant.
//   - I2: a yes, and the promise that it is, ends before its key does, and before anybody says yes with a
//     greater token; a yes has a key, the oldest.
//   - I3: tokens strictly grow, and each belongs to one process.
//   - I4: a term's yes is one interval: a no is never followed by a yes of the same term.
//   - I5: once the faults have stopped there is one leader within a bound, and it stays; all others stand in
//     the queue. Nobody is fenced for nothing, and no process ends by itself or with an error.
//   - I6: nothing is left behind.
//   - I7: the gauge says what the route says.
//   - I8: after a graceful stop with --shutdown-release=now another leads within a second.
//   - I9: the register that refuses smaller tokens is linearizable. It is a part of the harness, so this
//     shows that its figures, the refused writes above all, can be believed; electors cannot break it.
//   - I10: work that is bound to an elector, as its command or by a hold, acts for the last time before its key goes
//     and before anybody says yes with a greater token. Excepted is what was frozen together with its elector and the
//     guard, and acts as it wakes.
//   - I11: an elector's page is served, its stream's yes and no are answers like others, and it is live in the calm.
//   - I12: a rotation of all secrets costs no term, if nothing else is wrong and etcd has more than one member.
//   - I13: no process's log tells of a data race, a panic or a fatal error.
//   - I14: a process that lives long does not take more and more goroutines, descriptors or memory.
//   - availability and starved: somebody leads for most of the time, and the harness ran well enough to say so.
//
// # What a yes is known to be
//
// An answer's yes was evaluated at Answer.At, within a millisecond, and surely between the request and the
// reply. A scrape's yes is known only to have been somewhere between its request and its reply. So every
// yes has an earliest and a latest instant, and a rule is broken only when it is broken wherever in
// between the yes was: the checker does not cry wolf, and what it says is so.
//
// # What is not judged
//
// While the harness itself stood still (history.Stall) or the keys' watchers were blinded by a fault,
// rules with a bound on time say nothing; Report.Unknown lists what was left open for it. Keys that were
// taken away behind an elector's back are excepted from I1 and I2, as in docs/safety.md section 1: there,
// the time until it notices is bounded.
package check

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/elector-dev/elector/internal/chaos/history"
)

// slack is how far Answer.At may be from the instant of evaluation, by rounding to milliseconds.
const slack = time.Millisecond

// most is how many violations of one rule are listed; the others are counted.
const most = 50

// Report is the judgement of a run.
type Report struct {
	Violations []Violation // by instant
	More       int         // violations beyond the first 50 of a rule, which are not listed
	Figures    Figures
	Vacuous    []string // what should have been seen and was not; whether that fails a run is for the caller to say
	Unknown    []string // what could not be judged
}

// Violation is one breach of one rule.
type Violation struct {
	Rule     string // "I1" to "I14", "availability", "starved"
	At       history.Instant
	Until    history.Instant // At for what has no duration
	Electors []string        // lanes
	Tokens   []int64
	Text     string // a sentence; instants in it count from Run.Began
}

// OK reports whether no rule was broken.
func (r Report) OK() bool { return len(r.Violations) == 0 }

// unsettled is how recent a breach may be and not be reported yet, while a run goes on: the record of what
// explains it, an access under way or a fault just done, may still be on its way.
const unsettled = 2 * time.Second

// Check judges a run, whole or still going on: then what needs the run's end is not judged yet, nor what
// has just happened, so that a violation that is reported stays one. It does not keep or change h. It takes
// time in proportion to the record, but for the register, which has a bound.
func Check(h *history.History) Report {
	j := newJudge(h)
	j.overlaps()
	j.keysOutliveYes()
	j.promisesEndBeforeTheNext()
	j.behindTheBack()
	j.tokensGrow()
	j.oneIntervalPerTerm()
	j.calm()
	j.fencedFor()
	j.endedFor()
	j.leftover()
	j.gauge()
	j.gracefulStops()
	j.workEndsInTime()
	j.pages()
	j.rotations()
	j.logs()
	j.flat()
	j.register()
	j.available()
	j.coverage()
	slices.SortStableFunc(j.report.Violations, func(a, b Violation) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Rule, b.Rule))
	})
	return j.report
}

// judge is one Check in progress.
type judge struct {
	*index
	report Report
	listed map[string]int // violations by rule
}

func newJudge(h *history.History) *judge {
	return &judge{index: newIndex(h), listed: map[string]int{}}
}

// violated reports a breach by the given terms.
func (j *judge) violated(rule string, at, until history.Instant, terms []*term, format string, args ...any) {
	if j.Run.Ended == 0 && at > j.now.Add(-unsettled) {
		return
	}
	if j.listed[rule]++; j.listed[rule] > most {
		j.report.More++
		return
	}
	v := Violation{Rule: rule, At: at, Until: max(at, until), Text: fmt.Sprintf(format, args...)}
	for _, t := range terms {
		if !slices.Contains(v.Electors, t.elector) {
			v.Electors = append(v.Electors, t.elector)
		}
		if t.token != 0 && !slices.Contains(v.Tokens, t.token) {
			v.Tokens = append(v.Tokens, t.token)
		}
	}
	j.report.Violations = append(j.report.Violations, v)
}

func (j *judge) unknown(format string, args ...any) {
	if len(j.report.Unknown) < most {
		j.report.Unknown = append(j.report.Unknown, fmt.Sprintf(format, args...))
	}
}

// at is an instant as sentences show it.
func (j *judge) at(t history.Instant) string {
	return fmt.Sprintf("%.3f s", t.Sub(j.Run.Began).Seconds())
}

// ms is a short time as sentences show it.
func ms(d time.Duration) string {
	if d < 10*time.Millisecond {
		return fmt.Sprintf("%.1f ms", float64(d)/1e6)
	}
	if d < time.Second {
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
}

package check

import (
	"slices"
	"time"

	"github.com/elector-dev/elector/internal/chaos/history"
)

// thawed is how long after a freeze of elector, guard and command together the command may live.
const thawed = 2 * time.Second

// workEndsInTime is I10: bound work has acted for the last time before its key is gone, and before anybody says yes
// with a greater token.
func (j *judge) workEndsInTime() {
	f := &j.report.Figures
	for i := range j.Work {
		w := &j.Work[i]
		f.Acts += w.Acts
		of := &term{elector: w.Elector, token: w.Token, firstLo: w.From, firstHi: w.From, lastLo: w.Last, lastHi: w.Last}
		of.key = j.keyOf(of)
		end, why := j.endOf(of)
		if end == 0 {
			continue
		}
		f.Works++
		if w.Last <= end.Add(slack) {
			continue
		}
		switch {
		case j.taken(of) != nil:
			f.WorksExcused++
		case j.frozenWith(w):
			f.WorksFrozen++
		case j.stalls.touches(end.Add(-thawed), w.Last):
			j.unknown("I10: %s's %s acted with token %d until %s, and %s at %s; the harness, and so perhaps the guard, stood still.",
				w.Elector, w.Kind, w.Token, j.at(w.Last), why, j.at(end))
		default:
			j.violated("I10", end, w.Last, []*term{of}, "%s's %s acted with token %d until %s, and %s at %s, %s earlier.",
				w.Elector, w.Kind, w.Token, j.at(w.Last), why, j.at(end), ms(w.Last.Sub(end)))
		}
	}
}

// endOf is by when a term is known to have ended, and what shows it; 0 if nothing does.
func (j *judge) endOf(t *term) (end history.Instant, why string) {
	if t.key != nil && t.key.gone != 0 {
		end, why = t.key.gone, "its key was gone"
	}
	n := slices.IndexFunc(j.terms, func(n *term) bool { return n.token > t.token && j.epoch(n.firstHi) == j.epoch(t.firstHi) })
	if n >= 0 && (end == 0 || j.terms[n].firstHi < end) {
		end, why = j.terms[n].firstHi, j.terms[n].elector+" said yes with a greater token"
	}
	return end, why
}

// frozenWith reports whether a command's last act was right after it had been frozen together with all that could
// have ended it.
func (j *judge) frozenWith(w *history.Work) bool {
	return slices.ContainsFunc(j.Faults, func(f history.Fault) bool {
		return f.Kind == history.ElectorFreeze && slices.Contains(f.Targets, w.Elector) && f.From <= w.Last && w.Last <= j.end(&f).Add(thawed)
	})
}

package check

import (
	"github.com/elector-dev/elector/internal/chaos/history"
)

// rotations is I12: who leads when all secrets begin to be rotated leads with the same token when they have been, if
// nothing else is wrong. Members are restarted for it in turn: where there is one alone, etcd is away meanwhile.
func (j *judge) rotations() {
	for i := range j.Faults {
		f := &j.Faults[i]
		if f.Kind != history.Rotation || !f.Effective || f.To == 0 {
			continue
		}
		t := j.leadingAt(f.From)
		if t == nil || len(f.Targets) == 1 || j.disturbed(f, t.elector, f.From.Add(-j.recovery()), f.To) || j.askedWithin(t, f.To) {
			j.report.Figures.RotationsOpen++
			continue
		}
		j.report.Figures.Rotations++
		if t.lastLo >= f.To.Add(-pollGap) {
			continue
		}
		j.violated("I12", t.lastLo, f.To, []*term{t}, "%s led with token %d when the rotation of all secrets began at %s, and not when it had ended at %s: its last yes was at %s.",
			t.elector, t.token, j.at(f.From), j.at(f.To), j.at(t.lastLo))
	}
}

// leadingAt is the term that was said to go on at an instant; nil: none was.
func (j *judge) leadingAt(at history.Instant) *term {
	for _, t := range j.terms {
		if n := after(t.yes, at); n > 0 && at.Sub(t.yes[n-1]) < pollGap && t.lastLo >= at {
			return t
		}
	}
	return nil
}

// askedWithin reports whether the process of a term was asked to stop, or ended, before an instant.
func (j *judge) askedWithin(t *term, to history.Instant) bool {
	p := j.processes[processID{t.elector, t.incarnation}]
	return p != nil && j.ends(p, to)
}

// logs is I13: no process tells of a data race, a panic or a fatal error.
func (j *judge) logs() {
	for _, o := range j.Outcries {
		j.violated("I13", j.now, j.now, nil, "The log of %s says in line %d: %s", o.Process, o.Line, o.Text)
	}
}

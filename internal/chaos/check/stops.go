package check

import (
	"slices"
	"sort"
	"time"

	"github.com/elector-dev/elector/internal/chaos/history"
)

// releasedWithin is how soon after a graceful stop another leads.
const releasedWithin = time.Second

// gracefulStops is I8: with --shutdown-release=now the next leader's first yes comes within a second of
// the request to stop and the time that the work may take for it, if another candidate stands and nothing else is wrong.
func (j *judge) gracefulStops() {
	for i := range j.Processes {
		p := &j.Processes[i]
		if p.Asked == 0 || !p.ReleaseNow || j.now < p.Asked.Add(releasedWithin+p.Grace+pollGap) {
			continue
		}
		t := j.ledAt(p)
		if t == nil || !j.othersStand(p) {
			continue
		}
		next := j.nextLeader(t, p.Asked)
		due := p.Asked.Add(releasedWithin + p.Grace)
		// A lease that outlives a fault does so by a TTL, and by the election timeout if etcd's
		// leader changed.
		if j.disturbedStop(p, p.Asked.Add(-j.Run.TTL-electionTimeout-settling), due) {
			j.report.Figures.StopsOpen++
			continue
		}
		j.report.Figures.Stops++
		if next != nil && next.firstHi <= due.Add(slack) {
			continue
		}
		if next == nil {
			j.violated("I8", p.Asked, j.now, []*term{t}, "%s led and was asked to stop at %s, and nobody has led since.", p.Elector, j.at(p.Asked))
			continue
		}
		j.violated("I8", p.Asked, next.firstHi, []*term{t, next}, "%s led and was asked to stop at %s; %s said yes only at %s, %s later.",
			p.Elector, j.at(p.Asked), next.elector, j.at(next.firstHi), ms(next.firstHi.Sub(p.Asked)))
	}
}

// ledAt is the term that a process was in when it was asked to stop.
func (j *judge) ledAt(p *history.Process) *term {
	said := j.processes[processID{p.Elector, p.Incarnation}]
	if said == nil {
		return nil
	}
	for _, t := range said.terms {
		if n := after(t.yes, p.Asked); n > 0 && p.Asked.Sub(t.yes[n-1]) < pollGap/2 {
			for _, a := range said.nos {
				if a.Sent > t.yes[n-1] && a.Received < p.Asked {
					return nil
				}
			}
			return t
		}
	}
	return nil
}

// othersStand reports whether another elector stood in the queue just before one was asked to stop, and was
// not asked to stop itself.
func (j *judge) othersStand(p *history.Process) bool {
	for _, q := range j.order {
		if q.elector == p.Elector || j.ends(q, p.Asked.Add(releasedWithin)) {
			continue
		}
		n := sort.Search(len(q.answers), func(i int) bool { return q.answers[i].Sent > p.Asked })
		if n > 0 && q.answers[n-1].Registered && p.Asked.Sub(q.answers[n-1].Sent) < pollGap {
			return true
		}
	}
	return false
}

// ends reports whether a process was asked to stop or ended before an instant.
func (j *judge) ends(q *process, before history.Instant) bool {
	for i := range j.Processes {
		p := &j.Processes[i]
		if p.Elector == q.elector && p.Incarnation == q.incarnation {
			return p.Asked != 0 && p.Asked < before || p.To != 0 && p.To < before
		}
	}
	return false
}

// nextLeader is the first term of another process that went on after one was asked to stop.
func (j *judge) nextLeader(t *term, asked history.Instant) *term {
	for _, n := range j.terms {
		if n.lastHi > asked && (n.elector != t.elector || n.incarnation != t.incarnation) && n.token > t.token {
			return n
		}
	}
	return nil
}

// disturbedStop reports whether anything but the stop itself was done in a time.
func (j *judge) disturbedStop(p *history.Process, from, to history.Instant) bool {
	if j.stalls.touches(from, to) {
		return true
	}
	for i := range j.Faults {
		f := &j.Faults[i]
		own := f.Kind == history.ElectorStop && slices.Contains(f.Targets, p.Elector) &&
			f.From.Add(-pollGap) <= p.Asked && p.Asked <= j.end(f).Add(pollGap)
		if !own && f.From <= to && j.end(f) >= from {
			return true
		}
	}
	for i := range j.Processes {
		q := &j.Processes[i]
		if q == p {
			continue
		}
		for _, t := range []history.Instant{q.Asked, q.To} {
			if t != 0 && from <= t && t <= to {
				return true
			}
		}
	}
	return false
}

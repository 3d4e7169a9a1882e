package check

import (
	"slices"
	"time"

	"github.com/elector-dev/elector/internal/chaos/history"
)

const (
	// unseenFor is how long a key may go unseen while no member of etcd is hit.
	unseenFor = 5 * time.Second
	// toldWithin is how soon a watcher tells that a key is gone while no member is hit.
	toldWithin = time.Second
	// noticedWithin is how soon an elector notices that its key was taken away, if nothing else is wrong.
	noticedWithin = time.Second
)

// keysOutliveYes is I2: a term has a key, no older key stands beside it, and the key goes after the last
// yes and after the last promise. A yes that says it was evaluated when it cannot have been is one whose
// end is not to be believed either.
func (j *judge) keysOutliveYes() {
	for _, t := range j.terms {
		if a := t.odd; a != nil {
			j.violated("I2", a.Sent, a.Received, []*term{t},
				"%s said yes with token %d as of %s, in an answer that was asked for at %s and came at %s.",
				t.elector, t.token, j.at(a.At), j.at(a.Sent), j.at(a.Received))
		}
		if j.Run.Program == "elector" && len(t.yes) > 0 && t.until == 0 {
			j.violated("I2", t.firstHi, t.lastLo, []*term{t}, "%s said yes with token %d from %s to %s, and never until when that holds.",
				t.elector, t.token, j.at(t.firstHi), j.at(t.lastLo))
		}
		if t.key == nil {
			j.neverSeen(t)
			continue
		}
		j.olderKey(t)
		gone := t.key.gone
		if gone == 0 || j.taken(t) != nil {
			continue
		}
		if late := len(t.yes) - after(t.yes, gone.Add(slack)); t.lastLo > gone.Add(slack) {
			j.violated("I2", gone, t.lastLo, []*term{t},
				"%s said yes with token %d until %s, and its key was gone at %s: %d answers in %s.",
				t.elector, t.token, j.at(t.lastLo), j.at(gone), late, ms(t.lastLo.Sub(gone)))
		}
		if t.until > gone.Add(slack) && j.releasedAtOnce(t, gone) {
			j.report.Figures.Declared++
			continue
		}
		if t.until != 0 {
			j.report.Figures.Promises++
		}
		if t.until > gone.Add(slack) {
			j.violated("I2", gone, t.until, []*term{t},
				"%s promised until %s with token %d, in an answer of %s, and its key was gone at %s, %s too early.",
				t.elector, j.at(t.until), t.token, j.at(t.promised.Received), j.at(gone), ms(t.until.Sub(gone)))
		}
	}
}

// promisesEndBeforeTheNext is I2 without the watchers, who may tell late that a key is gone: who says yes with
// a greater token says that all older keys are. Two yes at one instant are I1's.
func (j *judge) promisesEndBeforeTheNext() {
	for _, t := range j.terms {
		n := slices.IndexFunc(j.terms, func(n *term) bool { return n.token > t.token && j.epoch(n.firstHi) == j.epoch(t.firstHi) })
		if n < 0 || t.until <= j.terms[n].firstHi.Add(slack) {
			continue
		}
		next := j.terms[n]
		told := t.key != nil && t.key.gone != 0 && t.until > t.key.gone.Add(slack) // and judged
		if told || t.lastLo > next.firstHi.Add(slack) || len(j.gone[t.token]) > 0 || j.releasedAtOnce(t, next.firstHi) {
			continue
		}
		j.violated("I2", next.firstHi, t.until, []*term{t, next},
			"%s promised until %s with token %d, in an answer of %s, and %s said yes with token %d at %s.",
			t.elector, j.at(t.until), t.token, j.at(t.promised.Received), next.elector, next.token, j.at(next.firstHi))
	}
}

// releasedAtOnce reports whether the operator had declared, by --shutdown-release=now, that whoever got
// the term's promises has stopped when an elector shuts down: asked to, or since its command has ended.
func (x *index) releasedAtOnce(t *term, gone history.Instant) bool {
	for i := range x.Processes {
		p := &x.Processes[i]
		if p.ReleaseNow && p.Elector == t.elector && p.Incarnation == t.incarnation && (p.Asked != 0 && p.Asked <= gone || x.lostItsCommand(p, gone)) {
			return true
		}
	}
	return false
}

// lostItsCommand reports whether a process shut down because its command was killed before an instant, or may be about to.
func (x *index) lostItsCommand(p *history.Process, before history.Instant) bool {
	return (p.To == 0 && x.Run.Ended == 0 || p.Exit == withItsCommand) && slices.ContainsFunc(x.Faults, func(f history.Fault) bool {
		return f.Kind == history.WorkerKill && slices.Contains(f.Targets, p.Elector) && p.From <= f.From && f.From <= before && p.Kind == history.Child
	})
}

// neverSeen reports a yes for which there was no key. The watchers are given time to tell, and etcd's
// faults are not counted as such time.
func (j *judge) neverSeen(t *term) {
	if len(j.keys) == 0 {
		return // nobody watched, which coverage tells
	}
	for _, f := range j.restores {
		if f.From <= t.firstHi.Add(unseenFor) && j.end(f).Add(unseenFor) >= t.firstLo {
			j.unknown("I2: no key was seen for token %d of %s at %s, when etcd was being restored.", t.token, t.elector, j.at(t.firstHi))
			return
		}
	}
	if union(j.blind.without(span{t.firstHi, j.now})...).total() < unseenFor {
		if j.Run.Ended != 0 {
			j.unknown("I2: no key was seen for token %d of %s, which began at %s, when the watchers may have been late.", t.token, t.elector, j.at(t.firstHi))
		}
		return
	}
	j.violated("I2", t.firstHi, t.lastLo, []*term{t},
		"%s said yes with token %d from %s to %s, and no key with that token was ever seen.",
		t.elector, t.token, j.at(t.firstHi), j.at(t.lastLo))
}

// olderKey reports a yes while an older key of the election stood. A key's end is told soon after it, unless
// a member was hit; so a yes more than that before the end was told was a yes beside an older key.
func (j *judge) olderKey(t *term) {
	for _, k := range j.keys {
		if k.token >= t.token {
			return
		}
		gone := k.gone
		if gone == 0 {
			gone = j.now
		}
		limit := gone.Add(-toldWithin - slack)
		if limit < t.firstLo || k.put == 0 || j.lost(k) || j.epoch(k.put) != j.epoch(t.firstHi) {
			continue
		}
		n := after(t.yes, limit)
		if n == 0 || j.blind.touches(t.yes[n-1], gone) {
			continue
		}
		stood := "still stood at the end of the record"
		if k.gone != 0 {
			stood = "stood until " + j.at(k.gone)
		}
		j.violated("I2", t.yes[0], t.yes[n-1], []*term{t},
			"%s said yes with token %d at %s, while the older key %s with token %d %s.",
			t.elector, t.token, j.at(t.yes[n-1]), k.path, k.token, stood)
		return
	}
}

// lost reports whether a key's end may never be told, since etcd was restored after the key was put.
func (x *index) lost(k *key) bool {
	for _, f := range x.restores {
		if k.put <= x.end(f) && (k.gone == 0 || f.From <= k.gone) {
			return true
		}
	}
	return false
}

// behindTheBack bounds what I1 and I2 except: a term whose key was taken away ends, with its promises,
// when its lease could have ended at the latest, and soon if nothing else is wrong.
func (j *judge) behindTheBack() {
	for _, t := range j.terms {
		f := j.taken(t)
		if f == nil {
			continue
		}
		gone := f.To
		if t.key != nil && t.key.gone != 0 {
			gone = t.key.gone
		}
		if gone == 0 {
			continue // not told yet
		}
		j.report.Figures.Taken++
		end := max(t.lastLo, t.until)
		switch {
		case end > gone.Add(j.Run.TTL+slack):
			j.violated("I2", gone, end, []*term{t},
				"%s said yes with token %d until %s and promised until %s, more than a TTL after its key was taken away by %s at %s.",
				t.elector, t.token, j.at(t.lastLo), j.at(t.until), f.Kind, j.at(gone))
		case t.lastLo <= gone.Add(noticedWithin+slack):
		case history.Restore == f.Kind || history.RestoreBumped == f.Kind ||
			j.disturbed(f, t.elector, gone.Add(-j.Run.TTL), gone.Add(noticedWithin)):
			j.report.Figures.NoticedLate++
		default:
			j.violated("I2", gone, t.lastLo, []*term{t},
				"%s said yes with token %d until %s, %s after its key was taken away by %s at %s, and nothing else was wrong.",
				t.elector, t.token, j.at(t.lastLo), ms(t.lastLo.Sub(gone)), f.Kind, j.at(gone))
		}
	}
}

// disturbed reports whether anything but one fault was done to an elector or to etcd in a time, or whether
// the harness stood still in it.
func (x *index) disturbed(but *history.Fault, elector string, from, to history.Instant) bool {
	if x.stalls.touches(from, to) {
		return true
	}
	for i := range x.Faults {
		f := &x.Faults[i]
		if f != but && f.From <= to && x.end(f) >= from && x.hits(f, elector) {
			return true
		}
	}
	return false
}

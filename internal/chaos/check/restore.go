package check

import (
	"slices"
	"sort"
	"time"

	"github.com/elector-dev/elector/internal/chaos/history"
)

// observes is how soon a candidate in the queue has looked again when the oldest key has gone, if nothing is
// wrong.
const observes = time.Second

// livedThrough is I3 after a restore without bumped revisions: a process that had seen etcd further than it
// was afterwards refuses to lead. What it had seen for certain is known; a term on a key of a greater
// revision may have come when etcd had caught up, and repeats no token that it can have heard of.
func (j *judge) livedThrough(f *history.Fault) {
	for _, p := range j.order {
		known := j.knew(p, f)
		if known == 0 {
			continue
		}
		for _, t := range p.terms {
			switch {
			case t.firstLo > f.To && t.token <= known:
				j.violated("I3", t.firstHi, t.lastLo, []*term{t},
					"%s (%s) had seen etcd at revision %d, lived through the restore at %s, which took etcd back, and began a term with token %d at %s.",
					t.elector, t.incarnation, known, j.at(f.From), t.token, j.at(t.firstHi))
			case t.firstLo < f.From && t.lastLo > f.To.Add(j.Run.TTL+slack) && j.behindUntil(f, known) > f.To.Add(j.Run.TTL):
				// A yes a TTL after the restore rests on a reply of the etcd that had gone back.
				j.violated("I3", f.To.Add(j.Run.TTL), t.lastLo, []*term{t},
					"%s (%s) had seen etcd at revision %d, and said yes with token %d until %s, though a restore took etcd back at %s.",
					t.elector, t.incarnation, known, t.token, j.at(t.lastLo), j.at(f.From))
			}
		}
	}
}

// knew is a revision that a process is certain to have seen before a restore, or zero. Each candidate reads
// when it opens its session, which was after the process began; a leader reads with each confirmation, on
// one of which of the last TTL its yes rests; and one in the queue looks again when the leader's key goes.
func (j *judge) knew(p *process, f *history.Fault) (known int64) {
	if !stoodBefore(p, f.From) {
		return 0
	}
	i := slices.IndexFunc(j.Processes, func(q history.Process) bool {
		return q.Elector == p.elector && q.Incarnation == p.incarnation
	})
	lastYes := history.Instant(0)
	if n := after(p.yes, f.From-1); n > 0 {
		lastYes = p.yes[n-1]
	}
	for _, e := range j.Keys {
		if e.Seen >= f.From {
			continue
		}
		began := i >= 0 && e.Seen < j.Processes[i].From
		led := e.Seen.Add(j.Run.TTL) < lastYes
		if began || led || e.Deleted && j.queuedAt(p, e, f) {
			known = max(known, e.Revision)
		}
	}
	return known
}

// queuedAt reports whether a process stood in the queue behind a leader whose key went, and looked again.
func (j *judge) queuedAt(p *process, e history.KeyEvent, f *history.Fault) bool {
	if e.Seen.Add(observes) >= f.From || j.disturbed(nil, p.elector, e.Seen.Add(-j.Run.TTL), e.Seen.Add(observes)) {
		return false
	}
	if !slices.ContainsFunc(j.terms, func(t *term) bool { return t.token == e.Token && t.firstHi < e.Seen && t.elector != p.elector }) {
		return false
	}
	stands := func(at history.Instant) bool {
		n := sort.Search(len(p.answers), func(i int) bool { return p.answers[i].Sent > at })
		return n > 0 && p.answers[n-1].Registered && at.Sub(p.answers[n-1].Received) < observes
	}
	return stands(e.Seen.Add(-observes)) && stands(e.Seen.Add(observes))
}

// stoodBefore reports whether a process had been in contact with etcd.
func stoodBefore(p *process, at history.Instant) bool {
	for _, a := range p.answers {
		if a.Received >= at {
			return false
		}
		if a.Yes || a.Registered {
			return true
		}
	}
	return false
}

// behindUntil is when etcd's revision was seen to reach a number again after a restore, or now.
func (x *index) behindUntil(f *history.Fault, revision int64) history.Instant {
	for _, e := range x.Keys {
		if e.Seen > f.To && e.Revision >= revision {
			return e.Seen
		}
	}
	return x.now
}

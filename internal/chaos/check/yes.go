package check

import (
	"sort"

	"github.com/elector-dev/elector/internal/chaos/history"
)

// overlaps is I1: the times from the first to the last yes of any two terms are apart. A term whose key
// was taken away behind its back is excepted from then on; behindTheBack bounds it instead.
func (j *judge) overlaps() {
	var open []*term // that may still say yes when the next term begins
	for _, t := range j.terms {
		still := open[:0]
		for _, o := range open {
			if o.lastLo <= t.firstHi.Add(slack) {
				continue
			}
			still = append(still, o)
			if t.lastLo <= o.firstHi.Add(slack) {
				continue
			}
			if f := j.taken(o); f != nil && t.firstHi >= f.From {
				j.report.Figures.Excused++
				continue
			}
			until := min(o.lastLo, t.lastLo)
			j.violated("I1", t.firstHi, until, []*term{o, t},
				"%s still said yes with token %d at %s, and %s had said yes with token %d since %s: two yes for %s.",
				o.elector, o.token, j.at(o.lastLo), t.elector, t.token, j.at(t.firstHi), ms(max(0, until.Sub(t.firstHi))))
		}
		open = append(still, t)
	}
}

// tokensGrow is I3. A restore without bumped revisions hands tokens out again, so tokens are compared
// between two such restores only, and electors that lived through one are not to begin a term at all.
func (j *judge) tokensGrow() {
	var top *term // greatest token so far
	seen := map[int64]*term{}
	epoch := 0
	for _, t := range j.terms {
		if e := j.epoch(t.firstHi); e != epoch {
			epoch, top = e, nil
			clear(seen)
		}
		switch other := seen[t.token]; {
		case other != nil:
			j.violated("I3", t.firstHi, t.firstHi, []*term{other, t},
				"Token %d was said by %s (%s) from %s and by %s (%s) from %s: a token is of one process.",
				t.token, other.elector, other.incarnation, j.at(other.firstHi), t.elector, t.incarnation, j.at(t.firstHi))
		case top != nil && t.token < top.token && top.firstHi.Add(slack) < t.firstLo:
			j.violated("I3", t.firstHi, t.firstHi, []*term{top, t},
				"%s began a term with token %d at %s, after %s had begun one with the greater token %d at %s.",
				t.elector, t.token, j.at(t.firstHi), top.elector, top.token, j.at(top.firstHi))
		}
		seen[t.token] = t
		if top == nil || t.token > top.token {
			top = t
		}
		j.ownsKey(t)
	}
	for _, f := range j.restores {
		if f.Kind == history.Restore && f.Effective && f.To != 0 {
			j.livedThrough(f)
		}
	}
}

// fencedFor checks that nobody is fenced but by a restore without bumped revisions. It is a part of I5: who
// is fenced needs a person, and only that may.
func (j *judge) fencedFor() {
	for _, p := range j.order {
		if p.fenced.from != 0 && j.epoch(p.fenced.from) == 0 {
			j.violated("I5", p.fenced.from, p.fenced.to, []*term{{elector: p.elector}},
				"%s (%s) was fenced at %s, and etcd had not been restored to an earlier state.", p.elector, p.incarnation, j.at(p.fenced.from))
		}
	}
}

// epoch counts the restores without bumped revisions that had begun at an instant.
func (x *index) epoch(at history.Instant) int {
	n := 0
	for _, f := range x.restores {
		if f.Kind == history.Restore && f.From <= at {
			n++
		}
	}
	return n
}

// ownsKey checks that the key with a term's token carries the identity of who says yes with it.
func (j *judge) ownsKey(t *term) {
	keys := j.byToken[t.token]
	if len(keys) != 1 {
		return
	}
	if _, lane := j.lanes[keys[0].identity]; lane && keys[0].identity != t.elector {
		j.violated("I3", t.firstHi, t.lastLo, []*term{t},
			"%s said yes with token %d at %s, which is the token of %s's key.", t.elector, t.token, j.at(t.firstHi), keys[0].identity)
	}
}

// oneIntervalPerTerm is I4: no no lies wholly between two yes of one term.
func (j *judge) oneIntervalPerTerm() {
	for _, t := range j.terms {
		p := j.processes[processID{t.elector, t.incarnation}]
		if a := noWithin(t, p.nos); a != nil {
			j.violated("I4", a.Sent, t.lastLo, []*term{t},
				"%s said no at %s, between two yes with token %d at %s and %s.",
				t.elector, j.at(a.Sent), t.token, j.at(t.firstHi), j.at(t.lastLo))
		} else if a := noWithin(t, p.shownNos); a != nil {
			j.violated("I4", a.Sent, t.lastLo, []*term{t},
				"%s's page was told no after %s and by %s, between two yes with token %d at %s and %s.",
				t.elector, j.at(a.Sent), j.at(a.Received), t.token, j.at(t.firstHi), j.at(t.lastLo))
		}
	}
}

// noWithin is the first no that lies wholly between two yes of a term; nil: there is none.
func noWithin(t *term, nos []*history.Answer) *history.Answer {
	from := t.firstHi.Add(slack)
	for _, a := range nos[sort.Search(len(nos), func(i int) bool { return nos[i].Sent > from }):] {
		if a.Sent >= t.lastLo {
			break
		}
		if a.Received.Add(slack) < t.lastLo {
			return a
		}
	}
	return nil
}

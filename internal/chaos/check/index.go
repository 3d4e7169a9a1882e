package check

import (
	"cmp"
	"slices"
	"sort"
	"time"

	"github.com/elector-dev/elector/internal/chaos/history"
	"github.com/elector-dev/elector/internal/election"
)

// index is the record, arranged for the rules.
type index struct {
	*history.History
	now       history.Instant // the latest instant of the record
	polled    history.Instant // when the last answer was asked for
	terms     []*term         // by first yes
	processes map[processID]*process
	order     []*process // of their first answer
	keys      []*key     // by token
	byToken   map[int64][]*key

	stalls   spans
	blind    spans                      // when a member was hit, so that keys' changes may be told late
	gone     map[int64][]*history.Fault // by token, what took its key away behind the elector's back
	restores []*history.Fault           // of both kinds
	lanes    map[string]struct{}        // of electors
}

// processID names one process. The lane is part of it, since a program may not tell its incarnation.
type processID struct{ elector, incarnation string }

// process is what one process said.
type process struct {
	processID
	answers  []*history.Answer // by when they were sent
	received []*history.Answer // by when they were received
	yes      []history.Instant // the earliest instants of its answers' yes, in order
	nos      []*history.Answer // by when they were sent
	shownNos []*history.Answer // of pages' streams, in order
	terms    []*term
	fenced   span // from its first to its last answer that said so
}

// term is what one process said with one token. Its first yes was at firstHi or earlier, its last at lastLo
// or later; that is what a violation can be built on. firstLo is the earliest the first can have been.
type term struct {
	token       int64
	elector     string
	incarnation string
	firstLo     history.Instant
	firstHi     history.Instant
	lastLo      history.Instant
	lastHi      history.Instant
	yes         []history.Instant // earliest instants of its answers' yes, in order
	until       history.Instant   // end of the furthest promise
	promised    *history.Answer   // that gave it
	odd         *history.Answer   // an answer that says it was evaluated before its request or after its reply
	key         *key              // nil when none was seen
}

// key is the life of one candidate's key, as etcd's members told it.
type key struct {
	path     string
	token    int64
	identity string
	put      history.Instant // zero when only its end was seen
	gone     history.Instant // zero when its end was not seen
}

func newIndex(h *history.History) *index {
	x := &index{
		History:   h,
		now:       max(h.Run.Ended, h.Run.Began),
		processes: map[processID]*process{},
		byToken:   map[int64][]*key{},
		gone:      map[int64][]*history.Fault{},
		lanes:     map[string]struct{}{},
	}
	for _, e := range h.Run.Electors {
		x.lanes[e] = struct{}{}
	}
	x.readAnswers()
	x.readShown()
	x.readSamples()
	x.readKeys()
	x.readFaults()
	x.finish()
	return x
}

func (x *index) process(elector, incarnation string) *process {
	id := processID{elector, incarnation}
	p := x.processes[id]
	if p == nil {
		p = &process{processID: id}
		x.processes[id] = p
		x.order = append(x.order, p)
	}
	return p
}

// term of a process by its token: the latest ones first, since answers come in order.
func (x *index) term(p *process, token int64) *term {
	for i := len(p.terms) - 1; i >= 0; i-- {
		if p.terms[i].token == token {
			return p.terms[i]
		}
	}
	t := &term{token: token, elector: p.elector, incarnation: p.incarnation}
	p.terms = append(p.terms, t)
	x.terms = append(x.terms, t)
	return t
}

// said adds a yes that was evaluated between two instants.
func (t *term) said(lo, hi history.Instant) {
	if t.firstHi == 0 {
		t.firstLo, t.firstHi, t.lastLo, t.lastHi = lo, hi, lo, hi
		return
	}
	t.firstLo, t.firstHi = min(t.firstLo, lo), min(t.firstHi, hi)
	t.lastLo, t.lastHi = max(t.lastLo, lo), max(t.lastHi, hi)
}

// evaluated gives the earliest and the latest instant at which an answer's yes was evaluated. What the
// answer says of it is believed only as far as it fits between the request and the reply.
func evaluated(a *history.Answer) (lo, hi history.Instant) {
	if a.At == 0 {
		return a.Sent, a.Received
	}
	at := max(a.Sent, min(a.At, a.Received))
	return at, at
}

func (x *index) readAnswers() {
	for i := range x.Answers {
		a := &x.Answers[i]
		x.now, x.polled = max(x.now, a.Received), max(x.polled, a.Sent)
		p := x.process(a.Elector, a.Incarnation)
		p.answers = append(p.answers, a)
		if a.State == string(election.Fenced) {
			if p.fenced.from == 0 {
				p.fenced.from = a.Received
			}
			p.fenced.to = max(p.fenced.to, a.Received)
		}
		if !a.Yes {
			p.nos = append(p.nos, a)
			continue
		}
		lo, hi := evaluated(a)
		t := x.term(p, a.Token)
		t.said(lo, hi)
		t.yes = append(t.yes, lo)
		if a.At != 0 && (a.At < a.Sent.Add(-2*slack) || a.At > a.Received.Add(2*slack)) && t.odd == nil {
			t.odd = a
		}
		if t.promised == nil || a.Until > t.until {
			t.until, t.promised = a.Until, a
		}
		p.yes = append(p.yes, lo)
	}
}

// readSamples takes a gauge's yes for a yes somewhere between the scrape's request and reply.
func (x *index) readSamples() {
	for i := range x.Samples {
		s := &x.Samples[i]
		x.now = max(x.now, s.Received)
		if s.Leading && s.Token != 0 {
			x.term(x.process(s.Elector, s.Incarnation), s.Token).said(s.Sent, s.Received)
		}
	}
}

// readKeys pairs the puts and deletions of keys. A put that rebinds a key belongs to the same life.
func (x *index) readKeys() {
	type name struct {
		path  string
		token int64
	}
	lives := map[name]*key{}
	for _, e := range x.Keys {
		x.now = max(x.now, e.Seen)
		k := lives[name{e.Key, e.Token}]
		if k == nil {
			k = &key{path: e.Key, token: e.Token}
			lives[name{e.Key, e.Token}] = k
			x.keys = append(x.keys, k)
		}
		switch {
		case e.Deleted && (k.gone == 0 || e.Seen < k.gone):
			k.gone = e.Seen
		case !e.Deleted && (k.put == 0 || e.Seen < k.put):
			k.put = e.Seen
		}
		k.identity = cmp.Or(k.identity, e.Identity)
	}
	slices.SortFunc(x.keys, func(a, b *key) int { return cmp.Or(cmp.Compare(a.token, b.token), cmp.Compare(a.put, b.put)) })
	for _, k := range x.keys {
		x.byToken[k.token] = append(x.byToken[k.token], k)
	}
}

// settling is how long after a fault of etcd its members may still elect a leader and tell nothing.
const settling = 2 * time.Second

func (x *index) readFaults() {
	var stalls, blind []span
	for _, s := range x.Stalls {
		stalls = append(stalls, span{s.From, s.To})
	}
	for i := range x.Faults {
		f := &x.Faults[i]
		if history.BehindTheBack(f.Kind) {
			for _, token := range f.Tokens {
				x.gone[token] = append(x.gone[token], f)
			}
		}
		if f.Kind == history.Restore || f.Kind == history.RestoreBumped {
			x.restores = append(x.restores, f)
		}
		if x.hitsMembers(f) {
			blind = append(blind, span{f.From, x.end(f).Add(settling)})
		}
	}
	x.stalls = union(stalls...)
	x.blind = union(append(blind, stalls...)...)
}

// taken is the fault that took a term's key away behind its back, if any did. A restore may hand the same
// token out again: a term on a key that was put after it began has lost nothing. Neither has one whose key
// was never seen to go, if all that is known of the fault is that etcd was asked and did not answer.
func (x *index) taken(t *term) *history.Fault {
	for _, f := range x.gone[t.token] {
		if t.firstLo > x.end(f) || len(x.byToken[t.token]) > 1 && t.key.put > f.From {
			continue
		}
		if unanswered := f.To != 0 && !f.Effective; unanswered && (t.key == nil || t.key.gone == 0) {
			continue
		}
		return f
	}
	return nil
}

// end is when a fault was undone, or now.
func (x *index) end(f *history.Fault) history.Instant {
	if f.To == 0 {
		return max(x.now, f.From)
	}
	return f.To
}

// hitsMembers reports whether a fault is one of etcd's members or of the whole of it.
func (x *index) hitsMembers(f *history.Fault) bool {
	switch f.Kind {
	case history.LeaderMove, history.AllRestart, history.Restore, history.RestoreBumped, history.Compact, history.CompactStorm, history.NoSpace,
		history.Rotation:
		return true
	}
	return slices.ContainsFunc(f.Targets, func(lane string) bool { return slices.Contains(x.Run.Members, lane) })
}

// hits reports whether a fault is of the elector or of etcd.
func (x *index) hits(f *history.Fault, elector string) bool {
	return slices.Contains(f.Targets, elector) || x.hitsMembers(f)
}

// finish brings everything into order and ties terms to keys.
func (x *index) finish() {
	for _, p := range x.order {
		bySent := func(a, b *history.Answer) int { return cmp.Compare(a.Sent, b.Sent) }
		byReceived := func(a, b *history.Answer) int { return cmp.Compare(a.Received, b.Received) }
		sortIfNeeded(p.answers, bySent)
		sortIfNeeded(p.nos, bySent)
		sortIfNeeded(p.shownNos, bySent)
		p.received = slices.Clone(p.answers)
		sortIfNeeded(p.received, byReceived)
		sortIfNeeded(p.yes, cmp.Compare)
	}
	for _, t := range x.terms {
		sortIfNeeded(t.yes, cmp.Compare)
		t.key = x.keyOf(t)
	}
	slices.SortStableFunc(x.terms, func(a, b *term) int {
		return cmp.Or(cmp.Compare(a.firstHi, b.firstHi), cmp.Compare(a.token, b.token))
	})
}

// keyOf is the key of a term. After a restore a token may have been given to several: then it is the one
// that was put last before the term ended.
func (x *index) keyOf(t *term) *key {
	var best *key
	for _, k := range x.byToken[t.token] {
		if best == nil || k.put <= t.lastHi {
			best = k
		}
	}
	return best
}

// sortIfNeeded leaves alone what is in order already, as most of a record is.
func sortIfNeeded[T any](s []T, compare func(a, b T) int) {
	if !slices.IsSortedFunc(s, compare) {
		slices.SortStableFunc(s, compare)
	}
}

// after is how many of the instants are before or at t: the index of the first one after it.
func after(instants []history.Instant, t history.Instant) int {
	return sort.Search(len(instants), func(i int) bool { return instants[i] > t })
}

package timeline

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/elector-dev/elector/internal/chaos/history"
)

// stretch is a time in which an elector said one thing.
type stretch struct {
	from, to    float64
	incarnation string
	token       int64
	state       string
	solid       bool // it was asked all the time; else a yes that it had, and nobody heard it in between
	until       float64
}

// heard is how far apart two polls may be and count as hearing all the time in between.
const heard = 0.4

// yesOf are the yes of a lane, in order, and statesOf what it said of itself.
func (v *view) yesOf(lane string) []stretch {
	var said, nos []*history.Answer
	for _, a := range v.answers[lane] {
		if a.Yes {
			said = append(said, a)
		} else {
			nos = append(nos, a)
		}
	}
	slices.SortStableFunc(nos, func(a, b *history.Answer) int { return cmp.Compare(a.Sent, b.Sent) })
	slices.SortStableFunc(said, func(a, b *history.Answer) int { return cmp.Compare(evaluated(a), evaluated(b)) })
	var out []stretch
	n := 0 // nos before
	for _, a := range said {
		at := v.sec(evaluated(a))
		no := false
		for n < len(nos) && nos[n].Sent < evaluated(a) {
			no = no || len(out) > 0 && v.sec(nos[n].Sent) > out[len(out)-1].to && nos[n].Received < evaluated(a) &&
				nos[n].Incarnation == a.Incarnation
			n++
		}
		s := stretch{from: at, to: at, incarnation: a.Incarnation, token: a.Token, solid: true, until: v.sec(a.Until)}
		if len(out) == 0 {
			out = append(out, s)
			continue
		}
		last := &out[len(out)-1]
		switch same := last.incarnation == a.Incarnation && last.token == a.Token && !no; {
		case same && at-last.to <= heard:
			last.to, last.until = at, max(last.until, s.until)
		case same:
			out = append(out, stretch{from: last.to, to: at, incarnation: a.Incarnation, token: a.Token}, s)
		default:
			out = append(out, s)
		}
	}
	return out
}

// evaluated is when a yes was, as well as is known.
func evaluated(a *history.Answer) history.Instant {
	if a.At == 0 {
		return a.Received
	}
	return a.At
}

// statesOf are the states of a lane over time. A silence ends a stretch.
func (v *view) statesOf(lane string) []stretch {
	var out []stretch
	for _, a := range v.answers[lane] {
		at := v.sec(a.Received)
		if n := len(out); n > 0 && out[n-1].state == a.State && out[n-1].incarnation == a.Incarnation && at-out[n-1].to < 2*heard {
			out[n-1].to = max(out[n-1].to, at)
			continue
		}
		from := at
		if n := len(out); n > 0 && at-out[n-1].to < 2*heard {
			from = out[n-1].to
		}
		out = append(out, stretch{from: from, to: at, incarnation: a.Incarnation, state: a.State})
	}
	return out
}

// life is a candidate's key, from when it was first seen to when it was seen to go.
type life struct {
	key   string
	token int64
	lane  string
	from  float64
	to    float64
	ended bool
}

// lives pairs the puts and deletions of keys and finds their owners' lanes.
func lives(h *history.History, c clock) []life {
	type name struct {
		key   string
		token int64
	}
	owner := map[int64]string{}
	for i := range h.Answers {
		if a := &h.Answers[i]; a.Yes {
			owner[a.Token] = a.Elector
		}
	}
	index := map[name]int{}
	var out []life
	for _, e := range h.Keys {
		i, ok := index[name{e.Key, e.Token}]
		if !ok {
			i = len(out)
			index[name{e.Key, e.Token}] = i
			out = append(out, life{key: e.Key, token: e.Token, from: c.sec(e.Seen), to: c.length, lane: owner[e.Token]})
		}
		if slices.Contains(h.Run.Electors, e.Identity) {
			out[i].lane = e.Identity
		}
		if e.Deleted {
			out[i].to, out[i].ended = c.sec(e.Seen), true
		}
	}
	return out
}

// clusterWide are faults of the whole of etcd, which are drawn in the lanes of all members.
func clusterWide(kind string) bool {
	switch kind {
	case history.AllRestart, history.Restore, history.RestoreBumped, history.LeaderMove, history.Compact:
		return true
	}
	return false
}

// faultsOf are the faults of a lane, with the places of them in the run's list.
func faultsOf(h *history.History, lane string, member bool) []int {
	var out []int
	for i, f := range h.Faults {
		all := clusterWide(f.Kind) || len(f.Targets) == 0
		if slices.Contains(f.Targets, lane) || member && all && !slices.ContainsFunc(f.Targets, func(t string) bool { return slices.Contains(h.Run.Members, t) }) {
			out = append(out, i)
		}
	}
	return out
}

// faultTitle is what pointing at a fault shows.
func faultTitle(c clock, f *history.Fault) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s", f.Kind)
	if len(f.Targets) > 0 {
		fmt.Fprintf(&b, " of %s", strings.Join(f.Targets, ", "))
	}
	switch {
	case f.To == 0:
		fmt.Fprintf(&b, "\nfrom %.3f s, still lasting", c.sec(f.From))
	case f.To == f.From:
		fmt.Fprintf(&b, "\nat %.3f s", c.sec(f.From))
	default:
		fmt.Fprintf(&b, "\nfrom %.3f s to %.3f s, %.2f s", c.sec(f.From), c.sec(f.To), f.To.Sub(f.From).Seconds())
	}
	if len(f.Tokens) > 0 {
		fmt.Fprintf(&b, "\ntook away the keys with tokens %s", numbers(f.Tokens))
	}
	if f.Detail != "" {
		fmt.Fprintf(&b, "\n%s", f.Detail)
	}
	if !f.Effective {
		b.WriteString("\nwas not seen to do anything")
	}
	return b.String()
}

func numbers(all []int64) string {
	var out []string
	for _, n := range all {
		out = append(out, fmt.Sprint(n))
	}
	return strings.Join(out, ", ")
}

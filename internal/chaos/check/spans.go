package check

import (
	"cmp"
	"slices"
	"sort"
	"time"

	"github.com/elector-dev/elector/internal/chaos/history"
)

// span is a time from one instant to another.
type span struct{ from, to history.Instant }

func (s span) long() time.Duration { return max(0, s.to.Sub(s.from)) }

// spans are times in order, that neither overlap nor touch.
type spans []span

// union brings any times into order and merges what overlaps.
func union(all ...span) spans {
	all = slices.DeleteFunc(slices.Clone(all), func(s span) bool { return s.to <= s.from })
	slices.SortFunc(all, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	var out spans
	for _, s := range all {
		if n := len(out); n > 0 && s.from <= out[n-1].to {
			out[n-1].to = max(out[n-1].to, s.to)
		} else {
			out = append(out, s)
		}
	}
	return out
}

// cut gives the parts that lie within one time.
func (s spans) cut(in span) spans {
	var out spans
	first := sort.Search(len(s), func(i int) bool { return s[i].to > in.from })
	for _, x := range s[first:] {
		if x.from >= in.to {
			break
		}
		out = append(out, span{max(x.from, in.from), min(x.to, in.to)})
	}
	return out
}

// touches reports whether any part of the time from one instant to another is in s. An instant touches
// what it is in.
func (s spans) touches(from, to history.Instant) bool {
	first := sort.Search(len(s), func(i int) bool { return s[i].to >= from })
	return first < len(s) && s[first].from <= to
}

// without gives the parts of one time that are not in s.
func (s spans) without(in span) spans {
	var out spans
	at := in.from
	for _, x := range s.cut(in) {
		if x.from > at {
			out = append(out, span{at, x.from})
		}
		at = x.to
	}
	if in.to > at {
		out = append(out, span{at, in.to})
	}
	return out
}

// minus gives the parts of s that are not in t.
func (s spans) minus(t spans) spans {
	var out spans
	for _, x := range s {
		out = append(out, t.without(x)...)
	}
	return out
}

// total is how long s is together.
func (s spans) total() time.Duration {
	var sum time.Duration
	for _, x := range s {
		sum += x.long()
	}
	return sum
}

package main

import (
	"maps"
	"slices"
	"time"
)

// bins are sums for each instant of the grid, from a beginning on.
type bins struct {
	from time.Duration
	sums []float64
}

func newBins(from, to time.Duration) *bins {
	return &bins{from, make([]float64, int((to-from)/sampleEvery)+1)}
}

// spread distributes an amount evenly over the time in which it came about.
func (b *bins) spread(from, to time.Duration, amount float64) {
	to = max(to, from+1)
	each := amount / float64(to-from)
	for i := max(0, int((from-b.from)/sampleEvery)); i < len(b.sums); i++ {
		at := b.from + time.Duration(i)*sampleEvery
		if at >= to {
			return
		}
		if part := min(to, at+sampleEvery) - max(from, at); part > 0 {
			b.sums[i] += each * float64(part)
		}
	}
}

// peak is the greatest sum over so many instants in a row, per second.
func (b *bins) peak(width int) float64 {
	var sum, most float64
	for i, s := range b.sums {
		sum += s
		if i >= width {
			sum -= b.sums[i-width]
		}
		most = max(most, sum)
	}
	return most / (time.Duration(width) * sampleEvery).Seconds()
}

func (b *bins) total() (sum float64) {
	for _, s := range b.sums {
		sum += s
	}
	return sum
}

// figures are what is known of a time.
type figures struct {
	requests, cpu, sent, fresh *bins
	by                         map[string]float64 // requests by method
	connections, watchers      int                // the most
	slow, failed               float64
	pending                    float64 // the most
	changes                    float64 // of etcd's leader, after etcd was mended
	down                       time.Duration
	most                       int // elections without a leader
	first, all                 time.Duration
	gone                       bool             // no election had a leader
	sessions                   map[string]int64 // by what became of them
}

// figuresOf reads a time out of a run. What happens to etcd by itself counts from mended on, when nobody hurts it.
func (r *run) figuresOf(from, mended, to time.Duration) figures {
	f := figures{
		requests: newBins(from, to), cpu: newBins(from, to), sent: newBins(from, to), fresh: newBins(from, to),
		by: map[string]float64{},
	}
	for _, pages := range r.sampler.pages {
		f.ofMember(pages, from, to)
	}
	f.ofLeaders(r.sampler.pages, mended, to)
	f.ofKernel(r.sampler.moments, from, to)
	f.ofCrowd(r.words, r.elections(), from, to)
	return f
}

func (f *figures) ofMember(pages []page, from, to time.Duration) {
	var watchers int
	for i, p := range pages {
		old := page{At: max(p.Asked, p.At-sampleEvery)} // of a new process, which had done nothing
		if i > 0 && pages[i-1].PID == p.PID {
			old = pages[i-1]
		}
		if p.At < from || old.At > to {
			continue
		}
		for method, n := range p.Requests {
			n -= old.Requests[method]
			f.requests.spread(old.At, p.At, n)
			f.by[method] += n
		}
		f.sent.spread(old.At, p.At, p.Sent-old.Sent)
		f.slow += p.Slow - old.Slow
		f.failed += p.Failed - old.Failed
		f.pending = max(f.pending, p.Pending)
		watchers = max(watchers, int(p.Watchers))
	}
	f.watchers += watchers
}

// ofLeaders finds how long etcd had no leader of its own though nobody hurt it, after it had found one, and how often
// that changed: as one of the members has seen it, whichever saw most.
func (f *figures) ofLeaders(pages [][]page, mended, to time.Duration) {
	for _, pages := range pages {
		var down time.Duration
		var changes float64
		led := -1
		for i, p := range pages {
			if p.At < mended || p.At > to {
				continue
			}
			if led < 0 {
				if p.Leads {
					led = i
				}
				continue
			}
			if old := pages[i-1]; old.PID == p.PID {
				if !p.Leads || !old.Leads {
					down += p.At - old.At
				}
				changes += p.Changes - old.Changes
			}
		}
		f.down, f.changes = max(f.down, down), max(f.changes, changes)
	}
}

func (f *figures) ofKernel(moments []moment, from, to time.Duration) {
	for i, m := range moments {
		if i == 0 || m.At < from || moments[i-1].At > to {
			continue
		}
		old := moments[i-1]
		for pid, used := range m.By {
			f.cpu.spread(old.At, m.At, max(0, used-old.By[pid]).Seconds())
		}
		f.fresh.spread(m.At, m.At, float64(m.Fresh))
		f.connections = max(f.connections, m.Connections)
	}
}

// ofCrowd finds when elections had a leader again. first and all count from began.
func (f *figures) ofCrowd(words []word, elections int, from, to time.Duration) {
	last := -1
	for i, w := range words {
		if w.At < from || w.At > to {
			continue
		}
		if f.sessions == nil {
			f.sessions = map[string]int64{}
		}
		if i > 0 {
			for result, n := range w.Sessions {
				if n -= words[i-1].Sessions[result]; n > 0 { // else of a crowd that has just been started
					f.sessions[result] += n
				}
			}
		}
		f.most = max(f.most, elections-w.Leaders)
		switch {
		case w.Leaders == 0:
			f.gone, f.first = true, 0
		case f.gone && f.first == 0:
			f.first = w.At - from
		}
		if w.Leaders < elections {
			last = i
		}
	}
	if last >= 0 && last+1 < len(words) {
		f.all = words[last+1].At - from
	}
}

// methods are those with the most requests first.
func (f *figures) methods() []string {
	return slices.SortedFunc(maps.Keys(f.by), func(a, b string) int {
		if f.by[a] != f.by[b] {
			return int(f.by[b] - f.by[a])
		}
		return slices.Compare([]byte(a), []byte(b))
	})
}

package election

import (
	"fmt"
	"hash/maphash"
	"math/bits"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// scope is a small world to be explored in full.
type scope struct {
	name       string
	cands      int
	budget     budget
	horizon    tick
	grid       tick
	releaseNow bool // shutdown does not wait for promises
	grace      tick // that work needs to stop
	vets       bool // somebody is asked before a term begins
	restarts   bool // a killed process may come back
	observe    bool // candidates observe the oldest key
	breaks     bool // sessions may break, at the price of a loss
	noLiveness bool
	fine       bool   // time also stops at the last instant of certainty
	evidence   bool   // how far etcd has been seen is kept
	streams    int    // keep-alives that may be under way at once; 1 unless set
	fairOneIn  uint64 // in the short form a fair schedule is run from one state in so many; 0: from all

	prefix   func(m *machine, w *world) // from the empty world to where the exploration starts
	snapshot *modelEtcd                 // what a restore brings back; set by the prefix

	splitReads bool // probed: a reader can be stopped within an evaluation while others publish
}

// digest is a world's hash. Two worlds of one hash are taken for one: with 128 bits and 10^8 states
// the chance of that is below 10^-22.
type digest [2]uint64

type hasher [2]maphash.Seed

func newHasher() hasher { return hasher{maphash.MakeSeed(), maphash.MakeSeed()} }

// sum hashes a world of n candidates.
func (h hasher) sum(w *world, n int) digest {
	d := digest{maphash.Comparable(h[0], w.common), maphash.Comparable(h[1], w.common)}
	for i := range n {
		for j := range d {
			d[j] = bits.RotateLeft64(d[j], 23)*0x9e3779b97f4a7c15 ^ maphash.Comparable(h[j], w.cands[i])
		}
	}
	return d
}

// node remembers how a state was reached.
type node struct {
	parent int32
	act    act
}

const shards = 64

// visited is the set of states seen, shared by the workers.
type visited struct {
	mu  [shards]sync.Mutex // each guards its set, for a look-up
	set [shards]map[digest]struct{}
}

func newVisited() *visited {
	v := &visited{}
	for i := range v.set {
		v.set[i] = map[digest]struct{}{}
	}
	return v
}

// add reports whether d is new.
func (v *visited) add(d digest) bool {
	s := d[0] % shards
	v.mu[s].Lock()
	defer v.mu[s].Unlock()
	if _, ok := v.set[s][d]; ok {
		return false
	}
	v.set[s][d] = struct{}{}
	return true
}

// found is a broken invariant: the state's parent, the last act, and how the fair schedule went on if
// it was that which failed.
type found struct {
	invariant, detail string
	parent            int32
	act               act
	fair              []act
}

// outcome is what an exploration came to.
type outcome struct {
	scope       string
	states      int
	transitions uint64
	fair        uint64
	depth       int
	capped      bool
	took        time.Duration
	without     []string // effects of faults that it was to have and has not had
	violation   *found
	trace       string
}

func (o outcome) String() string {
	end := "exhausted"
	if o.capped {
		end = "capped"
	}
	return fmt.Sprintf("%-18s %9d states %10d transitions  depth %3d  %8d fair schedules  %-9s %6.1fs",
		o.scope, o.states, o.transitions, o.depth, o.fair, end, o.took.Seconds())
}

// explorer goes breadth-first over one scope.
type explorer struct {
	scope   *scope
	hash    hasher
	seen    *visited
	nodes   []node
	limit   int
	allFair bool // a fair schedule is run from every state
	started time.Time
	said    time.Time

	transitions, fair atomic.Uint64
	effects           atomic.Uint32
	stop              atomic.Bool
	mu                sync.Mutex // guards first
	first             *found
}

// born is a new state with its origin.
type born struct {
	world world
	node  node
}

// nursery is one worker's new states, in blocks, so that a growing list copies none of them.
type nursery struct {
	list  []*born
	block []born
}

func (n *nursery) add(w *world, cands int, from node) {
	if len(n.block) == 0 {
		n.block = make([]born, 128)
	}
	b := &n.block[0]
	n.block = n.block[1:]
	b.world.common, b.node = w.common, from
	copy(b.world.cands[:cands], w.cands[:cands])
	n.list = append(n.list, b)
}

// explore visits every state of a scope, at most limit of them.
func explore(s *scope, limit int) outcome {
	x := &explorer{scope: s, hash: newHasher(), seen: newVisited(), limit: limit, allFair: !shortForm(), started: time.Now(), said: time.Now()}
	w := world{}
	m := newMachine(s)
	w.etcd.term, w.etcd.promoted, w.etcd.rev = 1, true, 1
	s.splitReads = readerMayBeStopped()
	s.streams = max(1, s.streams)
	s.prefix(m, &w)
	w.budget = s.budget
	o := outcome{scope: s.name}
	if m.violation != "" {
		x.first = &found{invariant: m.violation, detail: m.detail, parent: -1}
	}
	x.seen.add(x.hash.sum(&w, s.cands))
	x.nodes = append(x.nodes, node{parent: -1})
	level := []*born{{world: w, node: x.nodes[0]}}
	base := int32(0)
	for len(level) > 0 && x.first == nil && !o.capped {
		next := x.expand(level, base)
		base = int32(len(x.nodes))
		for _, b := range next {
			x.nodes = append(x.nodes, b.node)
		}
		level = next
		o.depth++
		o.capped = len(x.nodes) >= x.limit && len(level) > 0
		x.progress(o.depth, len(level))
	}
	o.states, o.transitions, o.fair = len(x.nodes), x.transitions.Load(), x.fair.Load()
	o.took = time.Since(x.started)
	if !o.capped && x.first == nil {
		o.without = s.without(x.effects.Load())
	}
	if x.first != nil {
		o.violation = x.first
		o.trace = x.trace(w, x.first)
	}
	return o
}

// progress says once a minute how far an exploration is.
func (x *explorer) progress(depth, width int) {
	if time.Since(x.said) < time.Minute {
		return
	}
	x.said = time.Now()
	fmt.Fprintf(os.Stderr, "model: %s: %d states, depth %d, %d in this level, %v\n",
		x.scope.name, len(x.nodes), depth, width, time.Since(x.started).Round(time.Second))
}

// expand finds the successors of a level that have not been seen. Its states have consecutive numbers
// from base on.
func (x *explorer) expand(level []*born, base int32) []*born {
	workers := runtime.GOMAXPROCS(0)
	if len(level) < 64 {
		workers = 1
	}
	const chunk = 32
	var cursor atomic.Int64
	parts := make([]nursery, workers)
	var wg sync.WaitGroup
	for n := range workers {
		wg.Go(func() {
			m := newMachine(x.scope)
			defer func() { x.effects.Or(m.effects) }()
			for !x.stop.Load() {
				lo := int(cursor.Add(chunk)) - chunk
				if lo >= len(level) {
					return
				}
				for j := lo; j < min(lo+chunk, len(level)); j++ {
					x.successors(m, &level[j].world, base+int32(j), &parts[n])
				}
			}
		})
	}
	wg.Wait()
	out := parts[0].list
	for _, p := range parts[1:] {
		out = append(out, p.list...)
	}
	return out
}

// successors carries out every act that a world allows.
func (x *explorer) successors(m *machine, from *world, index int32, out *nursery) {
	m.todo = m.enabled(from, m.todo)
	n := x.scope.cands
	w := &m.next
	for _, a := range m.todo {
		w.common = from.common
		copy(w.cands[:n], from.cands[:n])
		m.do(w, a)
		x.transitions.Add(1)
		m.check(w)
		if m.violation != "" {
			x.report(m, index, a, nil)
			return
		}
		d := x.hash.sum(w, n)
		if !x.seen.add(d) {
			continue
		}
		out.add(w, n, node{index, a})
		if x.allFair || x.scope.fairOneIn < 2 || d[1]%x.scope.fairOneIn == 0 {
			if m.settle(w) {
				x.fair.Add(1)
			}
			if m.violation != "" {
				x.report(m, index, a, m.stack)
				return
			}
		}
	}
}

func (x *explorer) report(m *machine, parent int32, a act, fair []act) {
	x.stop.Store(true)
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.first == nil {
		x.first = &found{m.violation, m.detail, parent, a, append([]act(nil), fair...)}
	}
}

// trace replays the way to a broken invariant from the start.
func (x *explorer) trace(w world, f *found) string {
	var way []act
	if f.parent >= 0 {
		way = append(way, f.act)
		for at := f.parent; at > 0; at = x.nodes[at].parent {
			way = append(way, x.nodes[at].act)
		}
	}
	for i, j := 0, len(way)-1; i < j; i, j = i+1, j-1 {
		way[i], way[j] = way[j], way[i]
	}
	t := newTracer(x.scope, &w)
	for _, a := range way {
		t.step(a, false)
	}
	if len(f.fair) > 0 {
		t.settle()
		for _, a := range f.fair {
			t.step(a, true)
		}
	}
	return t.String()
}

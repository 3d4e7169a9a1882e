package election

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// walker goes one random way, far beyond what can be exhausted: three candidates, every kind of fault,
// a horizon of many TTLs.
type walker struct {
	m     *machine
	w     world
	start world
	rand  *rand.Rand
	way   []act
	fair  uint64
	calm  []act // scratch
	wild  []act
}

const walkHorizon = 30 * modelTTL

// walkScope is a walk's scope; the seed decides what kind of walk it is.
func walkScope(seed uint64) *scope {
	s := &scope{
		name: "walk", cands: 3, horizon: walkHorizon, grid: 1700, fine: true, evidence: true, observe: true,
		restarts: true, breaks: true, streams: maxKAs, releaseNow: seed%4 == 1,
		budget: budget{
			fDelay: 250, fLoss: 20, fElect: 8, fOldAck: 20, fOldRevoke: 10, fPause: 12, fPreempt: 20, fReader: 10,
			fPoll: 60, fShutdown: 2, fResign: 4, fTransfer: 4, fVeto: 3, fBar: 4, fCrash: 4, fWorkReturns: 3, fOperator: 3, fStall: 1, fZombie: 10, fStamp: 10, fStraggler: 20,
		},
	}
	s.vets = seed%2 == 1
	if seed%8 == 2 {
		s.budget[fRestore], s.budget[fUnfence] = 1, 2
	}
	return s
}

func newWalker(seed uint64, splitReads bool) *walker {
	s := walkScope(seed)
	s.splitReads = splitReads
	k := &walker{m: newMachine(s), rand: rand.New(rand.NewPCG(seed, 1))}
	k.w.etcd.term, k.w.etcd.promoted, k.w.etcd.rev = 1, true, 1
	switch seed % 3 {
	case 0:
		nobody(k.m, &k.w)
	case 1:
		aLeads(k.m, &k.w)
	case 2:
		behindARival(k.m, &k.w)
	}
	k.w.budget = s.budget
	k.start = k.w
	return k
}

// walk goes on until the horizon, or until something is broken.
func (k *walker) walk() (steps uint64) {
	snapshotAt := k.rand.IntN(200)
	for k.m.violation == "" {
		if len(k.way) == snapshotAt && k.w.budget[fRestore] > 0 {
			old := k.w.etcd
			k.m.scope.snapshot = &old
		}
		a, ok := k.choose()
		if !ok || k.w.etcd.rev > 240 || k.w.etcd.lastLease > 240 || len(k.way) > 20_000 {
			return steps
		}
		k.way = append(k.way, a)
		k.m.do(&k.w, a)
		steps++
		k.m.check(&k.w)
		if k.m.violation == "" && k.rand.IntN(64) == 0 {
			k.m.stack = k.m.stack[:0]
			if k.m.settle(&k.w) {
				k.fair++
			}
			if k.m.violation == "" {
				k.m.stack = k.m.stack[:0]
			}
		}
	}
	return steps
}

// choose draws what happens next: mostly what would by right happen at once, now and then time, now and
// then a fault.
func (k *walker) choose() (act, bool) {
	k.m.todo = k.m.enabled(&k.w, k.m.todo)
	k.calm, k.wild = k.calm[:0], k.wild[:0]
	advance := false
	for _, a := range k.m.todo {
		switch {
		case a.op == opAdvance:
			advance = true
		case isFault(a):
			k.wild = append(k.wild, a)
		default:
			k.calm = append(k.calm, a)
		}
	}
	draw := k.rand.IntN(100)
	switch {
	case draw < 6 && len(k.wild) > 0:
		return k.wild[k.rand.IntN(len(k.wild))], true
	case advance && (draw < 25 || len(k.calm) == 0):
		return act{op: opAdvance}, true
	case len(k.calm) > 0:
		return k.calm[k.rand.IntN(len(k.calm))], true
	case len(k.wild) > 0:
		return k.wild[k.rand.IntN(len(k.wild))], true
	}
	return act{}, false
}

func isFault(a act) bool {
	switch a.op {
	case opAdvance, opGoOn, opApply, opClear, opKASend, opWatch, opWorkEnds, opObserve, opRestart, opPromote, opDecide, opRevoke,
		opEndRead, opPoll, opWake, opRivalGoes:
		return false
	case opTick, opReceive, opKAReceive, opKAAck:
		return a.arg2 != 0
	case opKADrop:
		return a.arg == 0
	}
	return true
}

// trace tells the walk's way, at most its last part.
func (k *walker) trace() string {
	w := k.start
	t := newTracer(k.m.scope, &w)
	const tail = 150
	for i, a := range k.way {
		if i == len(k.way)-tail {
			t.Reset()
			t.WriteString("           ...\n")
			t.state()
		}
		t.step(a, false)
	}
	if len(k.m.stack) > 0 {
		t.settle()
		for _, a := range k.m.stack {
			t.step(a, true)
		}
	}
	return t.String()
}

func envUint(t *testing.T, name string, otherwise uint64) uint64 {
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// TestModelWalks goes random ways through the model with every fault on. ELECTOR_MODEL_WALKS says how
// many; ELECTOR_MODEL_SEED is the first one's seed, and each next walk's is one more.
func TestModelWalks(t *testing.T) {
	count := uint64(2000)
	if (raceDetector || testing.Short()) && os.Getenv("ELECTOR_MODEL") != "full" {
		count = 100
	}
	count = envUint(t, "ELECTOR_MODEL_WALKS", count)
	first := envUint(t, "ELECTOR_MODEL_SEED", rand.Uint64()>>24)
	split := readerMayBeStopped()
	var next, steps, fair atomic.Uint64
	var broken atomic.Int64
	var effects atomic.Uint32
	var ops [len(opNames)]atomic.Uint64
	var wg sync.WaitGroup
	began := time.Now()
	var said atomic.Int64
	for range 2 {
		wg.Go(func() {
			for broken.Load() == 0 {
				n := next.Add(1) - 1
				if n >= count {
					return
				}
				k := newWalker(first+n, split)
				steps.Add(k.walk())
				fair.Add(k.fair)
				effects.Or(k.m.effects)
				for _, a := range k.way {
					ops[a.op].Add(1)
				}
				if k.m.violation != "" {
					broken.Add(1)
					t.Errorf("%s: %s\n%s\nrepeat with: ELECTOR_MODEL_SEED=%d ELECTOR_MODEL_WALKS=1 go test -run TestModelWalks ./internal/election",
						k.m.violation, k.m.detail, k.trace(), first+n)
				}
				if minute := int64(time.Since(began) / time.Minute); minute > said.Load() && said.Swap(minute) < minute {
					fmt.Fprintf(os.Stderr, "model: walks: %d of %d, %d steps, %v\n", n+1, count, steps.Load(), time.Since(began).Round(time.Second))
				}
			}
		})
	}
	wg.Wait()
	walked := min(next.Load(), count)
	for o := range ops {
		if n := ops[o].Load(); n > 0 {
			t.Logf("%9d  %s", n, opNames[o])
		} else if walked >= 1000 && (op(o) != opRead && op(o) != opEndRead || split) {
			t.Errorf("in %d walks it never happened: %s", walked, opNames[o])
		}
	}
	all := walkScope(2)
	all.splitReads = split
	if missing := all.without(effects.Load()); missing != nil && walked >= 1000 && broken.Load() == 0 {
		t.Errorf("in %d walks not once: %q", walked, missing)
	}
	fmt.Fprintf(os.Stdout, "walks: %d walks from seed %d, %d steps, %d fair schedules, %d violations, %.1fs\n",
		walked, first, steps.Load(), fair.Load(), broken.Load(), time.Since(began).Seconds())
}

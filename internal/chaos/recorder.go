package chaos

import (
	"cmp"
	"slices"
	"sync"

	"github.com/elector-dev/elector/internal/boottime"
	"github.com/elector-dev/elector/internal/chaos/history"
)

// now reads the clock of the record.
func now() history.Instant { return history.Instant(boottime.Now()) }

// recorder gathers a history from many goroutines. All methods may be called concurrently.
type recorder struct {
	mu sync.Mutex // guards h; held for slice operations only
	h  history.History
}

func newRecorder(run history.Run) *recorder {
	return &recorder{h: history.History{Run: run}}
}

func (r *recorder) do(change func(h *history.History)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.h)
}

// answer records a reply, and for the first of a process its incarnation.
func (r *recorder) answer(a history.Answer) {
	r.do(func(h *history.History) {
		h.Answers = append(h.Answers, a)
		for i := len(h.Processes) - 1; i >= 0; i-- {
			p := &h.Processes[i]
			if p.Elector == a.Elector {
				// A late reply of the process before must not name the newest one.
				if p.Incarnation == "" && p.From < a.Sent {
					p.Incarnation = a.Incarnation
				}
				return
			}
		}
	})
}

func (r *recorder) sample(s history.Sample) {
	r.do(func(h *history.History) { h.Samples = append(h.Samples, s) })
}

func (r *recorder) key(k history.KeyEvent) {
	r.do(func(h *history.History) { h.Keys = append(h.Keys, k) })
}

func (r *recorder) access(a history.Access) {
	r.do(func(h *history.History) { h.Register = append(h.Register, a) })
}

func (r *recorder) stall(s history.Stall) {
	r.do(func(h *history.History) { h.Stalls = append(h.Stalls, s) })
}

func (r *recorder) staleAck() { r.do(func(h *history.History) { h.Run.StaleAcks++ }) }

func (r *recorder) staleAcks() (n int64) {
	r.do(func(h *history.History) { n = h.Run.StaleAcks })
	return n
}

// started records a new process and returns its place for processChanged.
func (r *recorder) started(p history.Process) (place int) {
	r.do(func(h *history.History) {
		place = len(h.Processes)
		h.Processes = append(h.Processes, p)
	})
	return place
}

func (r *recorder) processChanged(place int, change func(*history.Process)) {
	r.do(func(h *history.History) { change(&h.Processes[place]) })
}

// acted records an act, of the work at a place that it returns; a place below zero is of work that begins with it.
func (r *recorder) acted(place int, w history.Work, at history.Instant) int {
	r.do(func(h *history.History) {
		if place < 0 {
			place = len(h.Work)
			w.From = at
			h.Work = append(h.Work, w)
		}
		of := &h.Work[place]
		of.Last = max(of.Last, at)
		of.Acts++
	})
	return place
}

// opened records that a page is opened, and returns its place for pageChanged.
func (r *recorder) opened(p history.Page) (place int) {
	r.do(func(h *history.History) {
		place = len(h.Pages)
		h.Pages = append(h.Pages, p)
	})
	return place
}

func (r *recorder) pageChanged(place int, change func(*history.Page)) {
	r.do(func(h *history.History) { change(&h.Pages[place]) })
}

// shown records what came on the stream of a page.
func (r *recorder) shown(a history.Answer) {
	r.do(func(h *history.History) { h.Shown = append(h.Shown, a) })
}

// fault is one that is under way. Its methods may be called concurrently.
type fault struct {
	recorder *recorder
	place    int
}

// begin records that a fault begins now, before anything is done.
func (r *recorder) begin(kind, detail string, targets ...string) *fault {
	f := &fault{recorder: r}
	r.do(func(h *history.History) {
		f.place = len(h.Faults)
		h.Faults = append(h.Faults, history.Fault{Kind: kind, Targets: targets, From: now(), Detail: detail})
	})
	return f
}

func (f *fault) change(change func(*history.Fault)) {
	f.recorder.do(func(h *history.History) { change(&h.Faults[f.place]) })
}

// end records that it has been undone by now, and whether it was seen to do something.
func (f *fault) end(effective bool) {
	f.change(func(h *history.Fault) { h.To, h.Effective = now(), effective })
}

// took names the tokens whose keys it takes away.
func (f *fault) took(tokens []int64) {
	f.change(func(h *history.Fault) { h.Tokens = slices.Clone(tokens) })
}

// snapshot is the history so far, which nobody changes any more, in the order that it promises.
func (r *recorder) snapshot() *history.History {
	r.mu.Lock()
	h := r.h
	h.Answers = slices.Clone(h.Answers)
	h.Samples = slices.Clone(h.Samples)
	h.Keys = slices.Clone(h.Keys)
	h.Faults = slices.Clone(h.Faults)
	h.Processes = slices.Clone(h.Processes)
	h.Register = slices.Clone(h.Register)
	h.Work = slices.Clone(h.Work)
	h.Pages = slices.Clone(h.Pages)
	h.Shown = slices.Clone(h.Shown)
	h.Outcries = slices.Clone(h.Outcries)
	h.Stalls = slices.Clone(h.Stalls)
	r.mu.Unlock()
	slices.SortStableFunc(h.Answers, func(a, b history.Answer) int { return cmp.Compare(a.Sent, b.Sent) })
	slices.SortStableFunc(h.Shown, func(a, b history.Answer) int { return cmp.Compare(a.Sent, b.Sent) })
	slices.SortStableFunc(h.Samples, func(a, b history.Sample) int { return cmp.Compare(a.Sent, b.Sent) })
	slices.SortStableFunc(h.Keys, func(a, b history.KeyEvent) int { return cmp.Compare(a.Seen, b.Seen) })
	slices.SortStableFunc(h.Register, func(a, b history.Access) int { return cmp.Compare(a.Call, b.Call) })
	return &h
}

// counts is how much has been recorded.
func (r *recorder) counts() (answers int64, faults int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return int64(len(r.h.Answers)), len(r.h.Faults)
}

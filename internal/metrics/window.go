package metrics

import (
	"sync"
	"time"
)

// lagSpan is half of what a lagWindow remembers. Scrapes are seldom further apart than a minute, so
// each sees every lag, however many scrapers there are.
const lagSpan = time.Minute

// lagWindow keeps the greatest lag of the current span and of the one before it. Safe for concurrent use.
type lagWindow struct {
	now func() time.Time

	mu            sync.Mutex // guards the fields below, for a few comparisons
	since         time.Time  // when current began
	current, last time.Duration
}

func newLagWindow(now func() time.Time) *lagWindow { return &lagWindow{now: now, since: now()} }

func (w *lagWindow) add(lag time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.turn()
	w.current = max(w.current, lag)
}

// worst is the greatest lag of the last one to two spans.
func (w *lagWindow) worst() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.turn()
	return max(w.current, w.last)
}

// turn forgets what is older than the window.
func (w *lagWindow) turn() {
	now := w.now()
	switch age := now.Sub(w.since); {
	case age >= 2*lagSpan:
		w.current, w.last, w.since = 0, 0, now
	case age >= lagSpan:
		w.current, w.last, w.since = 0, w.current, w.since.Add(lagSpan)
	}
}

// suspends turns readings of the time since boot that was spent suspended into a counter from the
// process's start. Safe for concurrent use.
type suspends struct {
	read func() time.Duration
	base time.Duration

	mu       sync.Mutex // guards greatest, for a reading and a comparison
	greatest time.Duration
}

func newSuspends(read func() time.Duration) *suspends { return &suspends{read: read, base: read()} }

// total never falls, though readings do: each is the difference of two clocks that are read one after
// the other, and to Prometheus a counter that falls by a microsecond has started again from zero. What
// is below ten milliseconds is that noise and not a suspend.
func (s *suspends) total() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.greatest = max(s.greatest, (s.read() - s.base).Truncate(10*time.Millisecond))
	return s.greatest
}

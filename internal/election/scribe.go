package election

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// seenEvery is how often a revision that has grown is noted, when there is no other reason to write. A greater
// token is noted at once.
const seenEvery = time.Minute

// errNotWritten says that the journal has not answered in time.
var errNotWritten = errors.New("not written in time")

// scribe writes the journal in a goroutine of its own, one entry after the other in the order in which they were noted: a
// disk may hang, and neither the loop nor the lead waits for it.
type scribe struct {
	journal Journal
	failed  func(error)   // is told of every failure
	more    chan struct{} // holds a value when there are entries

	mu      sync.Mutex // guards entries, for a slice operation
	entries []entry
}

type entry struct {
	what  string
	write func(Journal) error
	done  chan<- error // has room
}

// newScribe returns nil when there is no journal.
func newScribe(j Journal, failed func(error)) *scribe {
	if j == nil {
		return nil
	}
	return &scribe{journal: j, failed: failed, more: make(chan struct{}, 1)}
}

// note has an entry written and returns what came of it. It does not block.
func (s *scribe) note(what string, write func(Journal) error) <-chan error {
	done := make(chan error, 1)
	s.mu.Lock()
	s.entries = append(s.entries, entry{what, write, done})
	s.mu.Unlock()
	select {
	case s.more <- struct{}{}:
	default:
	}
	return done
}

// run writes until over, and then what is left.
func (s *scribe) run(over <-chan struct{}) {
	for {
		select {
		case <-s.more:
			s.writeAll()
		case <-over:
			s.writeAll()
			return
		}
	}
}

func (s *scribe) writeAll() {
	for {
		s.mu.Lock()
		entries := s.entries
		s.entries = nil
		s.mu.Unlock()
		if len(entries) == 0 {
			return
		}
		for _, e := range entries {
			err := e.write(s.journal)
			if err != nil {
				err = fmt.Errorf("note %s: %w", e.what, err)
				s.failed(err)
			}
			e.done <- err
		}
	}
}

// noteCandidacy returns when the candidacy is on disk, so that it can be removed by whoever comes after this process.
// A journal that fails or hangs costs only that: the key is then left to its lease.
func (r *run) noteCandidacy(ctx context.Context, c Candidacy) {
	if r.scribe == nil {
		return
	}
	late := time.NewTimer(2 * CallTimeout(r.cfg.TTL))
	defer late.Stop()
	select {
	case <-r.scribe.note("the candidacy", func(j Journal) error { return j.Candidacy(c) }):
	case <-late.C:
		r.journalFailed(fmt.Errorf("note the candidacy: %w", errNotWritten))
	case <-ctx.Done():
	}
}

// takeNotes has written what the latest step has brought.
func (r *run) takeNotes() {
	if r.scribe == nil {
		return
	}
	if fence := r.core.fenceCause(); fence != r.fence {
		if r.fence = fence; fence == CauseNone {
			r.seen = Mark{}
		}
		r.fenceNoted = r.scribe.note("the fence", func(j Journal) error { return j.Fenced(fence) })
	}
	now, seen := r.cfg.Clock.Now(), r.core.seen.mark()
	if seen.Token > r.seen.Token || seen.Revision > r.seen.Revision && now.Sub(r.seenAt) >= seenEvery {
		r.seenAt = now
		r.noteSeen(seen)
	}
}

func (r *run) noteSeen(seen Mark) {
	if r.scribe != nil && seen != r.seen {
		r.seen = seen
		r.scribe.note("how far etcd was seen", func(j Journal) error { return j.Seen(seen) })
	}
}

// journalFailed says so once a minute, whatever becomes of the sessions meanwhile.
func (r *run) journalFailed(err error) {
	if r.complaints.allow("journal", time.Now()) {
		r.cfg.Logger.Warn("the state directory is not written; after a crash the next start would wait for the lease, and "+
			"may not know of a restore of etcd: look at its disk", "err", err)
	}
}

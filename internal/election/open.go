package election

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// The bounds of the back-off between attempts at a session.
const (
	backoffBase = 100 * time.Millisecond
	backoffMax  = 5 * time.Second
)

// openTimeout bounds one attempt at a session.
const openTimeout = 10 * time.Second

// sessionReady is emitted by open ahead of SessionOpened; the loop keeps the session and passes the
// rest on.
type sessionReady struct {
	SessionOpened
	session Session
}

// open waits out the back-off, full jitter below a doubling bound, and opens a session.
func (r *run) open(a openSession) {
	if !pause(r.opening, backoff(a.Attempt)) {
		r.emit(SessionFailed{Session: a.Session})
		return
	}
	ctx, cancel := context.WithTimeout(r.opening, openTimeout)
	defer cancel()
	early := &holdingSink{emit: r.emit}
	session, opened, err := r.cfg.Store.Open(ctx, OpenRequest{
		Number: a.Session, TTL: r.cfg.TTL, Sink: early.take, Alive: r.alive,
	})
	if err != nil {
		if r.opening.Err() == nil {
			r.warn("no session with etcd; trying again", err)
		}
		r.emit(SessionFailed{Session: a.Session, Refusal: refusal(err)})
		return
	}
	r.warnings.clear()
	r.noteCandidacy(r.opening, candidacy(opened, 0))
	early.release(sessionReady{SessionOpened{a.Session, opened}, session})
}

// candidacy is a session's, as the journal has it.
func candidacy(o Opened, token int64) Candidacy {
	return Candidacy{ClusterID: o.ClusterID, Key: o.Key, Lease: o.Grant.Lease, Token: token}
}

// holdingSink keeps the events of a session that is being opened until the loop has been told of it.
type holdingSink struct {
	emit func(Event)

	mu   sync.Mutex // guards the fields below; held to emit only while the held events go out
	open bool
	held []Event
}

func (h *holdingSink) take(ev Event) {
	h.mu.Lock()
	if !h.open {
		h.held = append(h.held, ev)
		h.mu.Unlock()
		return
	}
	h.mu.Unlock()
	h.emit(ev)
}

// release emits first, then what was held, and holds nothing from then on.
func (h *holdingSink) release(first Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.emit(first)
	for _, ev := range h.held {
		h.emit(ev)
	}
	h.open, h.held = true, nil
}

// backoff is the pause before an attempt: none before the first.
func backoff(attempt int) time.Duration {
	if attempt <= 1 {
		return 0
	}
	return rand.N(backoffBound(attempt))
}

func backoffBound(attempt int) time.Duration {
	return min(backoffMax, backoffBase<<min(attempt-2, 10))
}

// pause waits for d and reports whether ctx is still alive.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

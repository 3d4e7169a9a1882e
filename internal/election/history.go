package election

import (
	"sync"
	"time"
)

// maxHistory is how many terms an elector remembers.
const maxHistory = 1000

// PastTerm is a term as this elector has seen it, its own or another's. Times are of its wall clock.
type PastTerm struct {
	Identity    string
	Incarnation string
	Token       int64
	From        time.Time // when this elector first saw it
	To          time.Time // when this elector saw that it had ended, or lost sight of it; zero while neither
	Cause       Cause     // of the end, where this elector knows it: of its own terms only
}

// history is the latest terms, oldest first.
type history struct {
	mu    sync.Mutex // guards terms, for a copy of them
	terms []PastTerm // maxHistory and up to as many again that are about to be forgotten
}

// note takes a change of the published state. at is when it was published.
func (h *history) note(old, now State, at time.Time) {
	if old.Leader == now.Leader {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if n := len(h.terms); n > 0 && h.terms[n-1].To.IsZero() {
		h.terms[n-1].To = at
		if old.Token != 0 {
			h.terms[n-1].Cause = now.Cause
		}
	}
	if now.Leader.Token == 0 {
		return
	}
	// A term that was out of sight for a while goes on. So does an own one, whose key this elector saw
	// standing first before it led.
	if n := len(h.terms); n > 0 && h.terms[n-1].Token == now.Leader.Token {
		h.terms[n-1].To = time.Time{}
		return
	}
	h.terms = append(h.terms, PastTerm{
		Identity: now.Leader.Identity, Incarnation: now.Leader.Incarnation, Token: now.Leader.Token, From: at,
	})
	if len(h.terms) == 2*maxHistory { // seldom, so that forgetting costs nothing
		h.terms = append(h.terms[:0], h.terms[maxHistory:]...)
	}
}

// History returns the latest 1,000 terms that this elector has seen, the oldest first. It does not block.
func (e *Elector) History() []PastTerm {
	e.past.mu.Lock()
	defer e.past.mu.Unlock()
	latest := e.past.terms[max(0, len(e.past.terms)-maxHistory):]
	return append([]PastTerm(nil), latest...)
}

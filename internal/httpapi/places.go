package httpapi

import (
	"fmt"
	"net/http"
)

// maxHeld is how many requests may wait or stream at once on the main listener. Each holds a descriptor, two
// goroutines and some 45 KiB, and every new state wakes it: a thousand are more than the programs beside
// an elector need, and cost it little. Those on the probe listener are fewer: strangers can reach it, and what it
// costs at most should fit into the memory that a sidecar is given.
const (
	maxHeld      = 1024
	maxProbeHeld = 256
)

// maxSlow is how many requests may be at once, on a listener, in handlers that their peer or etcd can hold up for
// some seconds: those that read a body, write a long answer or ask etcd. All others are in and out of
// their handlers without waiting for anybody.
const maxSlow = 128

// room is the places that a listener has for requests that may be held up. Each listener has its own, so that those
// who reach the probe listener do not sit in the places of the programs beside the elector.
type room struct{ held, slow seats }

// seats has an element for each request that sits in it.
type seats chan struct{}

func newRoom(held int) *room { return &room{make(seats, held), make(seats, maxSlow)} }

// place is where a request sits; its goroutine owns it.
type place struct {
	*room
	in seats // nil: nowhere
}

// wait takes a place among those that wait or stream. It answers false, and the request, when there are as many as
// may be.
func (p *place) wait(w http.ResponseWriter, r *http.Request) bool {
	return p.move(w, r, p.held, "too many requests wait or stream", "close those that nobody reads, or ask without wait")
}

// move takes a seat and gives the one before up.
func (p *place) move(w http.ResponseWriter, r *http.Request, to seats, full, hint string) bool {
	select {
	case to <- struct{}{}:
		p.leave()
		p.in = to
		return true
	default:
		reply(w, r, http.StatusServiceUnavailable, failure{full, fmt.Sprintf("at most %d may at once: %s", cap(to), hint)})
		return false
	}
}

// leave gives up the place, if there is one.
func (p *place) leave() {
	if p.in != nil {
		<-p.in
		p.in = nil
	}
}

// slow is a handler for one whose peer or etcd can hold it up, unless only the status line is wanted.
func slow(h handler) handler {
	return func(w http.ResponseWriter, r *http.Request, q query) {
		if statusOnly(r) || q.place.move(w, r, q.place.slow, "too many requests are under way", "ask again in some seconds") {
			h(w, r, q)
		}
	}
}

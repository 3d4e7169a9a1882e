package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/elector-dev/elector/internal/election"
)

// maxHeld is how many requests may wait or stream at once on a listener. Each holds a descriptor, two
// goroutines and some 30 KiB, and every new state wakes it: a thousand are more than the programs beside
// an elector need, and cost it little.
const maxHeld = 1024

// writeTimeout is the time that an answer has which comes after a wait, and each write of a stream.
const writeTimeout = 5 * time.Second

// askTimeout bounds what a request waits for from etcd or the elector's loop: with a long TTL those take longer
// to give up than a connection may be silent.
const askTimeout = 5 * time.Second

// bounded is the context for that. It leaves time for the answer afterwards, however long the request took to come.
func bounded(w http.ResponseWriter, r *http.Request) (context.Context, context.CancelFunc) {
	// A writer that has no deadline has none to put off.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(askTimeout + writeTimeout))
	return context.WithTimeout(r.Context(), askTimeout)
}

// seats has an element for each request that waits or streams. Each listener has its own, so that those
// who reach the probe listener do not sit in the places of the programs beside the elector.
type seats chan struct{}

// take answers false, and the request, when there are as many as may be.
func (s seats) take(w http.ResponseWriter, r *http.Request) bool {
	select {
	case s <- struct{}{}:
		return true
	default:
		reply(w, r, http.StatusServiceUnavailable, failure{
			"too many requests wait or stream",
			fmt.Sprintf("at most %d may at once: close those that nobody reads, or ask without wait", cap(s)),
		})
		return false
	}
}

func (s seats) leave() { <-s }

// await blocks until an elector's published state is as wanted, the query's time is up or the elector has
// ended: then it is to be answered. It returns false when the request has been answered, because as many
// wait as may. A request whose reader has gone is cut off: an empty answer would have the status of a yes.
//
// wanted is asked at once and then after each new state. Who finds what it wants need not wait, and is
// answered however many do.
func (a *API) await(w http.ResponseWriter, r *http.Request, q query, wanted func(election.State) bool) bool {
	if q.wait == 0 {
		return true
	}
	state, changed := a.elector.Watch()
	if wanted(state) {
		return true
	}
	if !q.seats.take(w, r) {
		return false
	}
	defer q.seats.leave()
	// A writer that has no deadline has none to put off.
	defer func() { _ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout)) }()
	timer := time.NewTimer(q.wait)
	defer timer.Stop()
	for !state.Ended && !wanted(state) {
		select {
		case <-changed:
		case <-timer.C:
			return true
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		}
		state, changed = a.elector.Watch()
	}
	return true
}

package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/elector-dev/elector/internal/election"
)

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
	if !q.place.wait(w, r) {
		return false
	}
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

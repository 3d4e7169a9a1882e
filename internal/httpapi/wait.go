package httpapi

import (
	"net/http"
	"time"

	"github.com/elector-dev/elector/internal/election"
)

// maxWaiting is how many requests may wait or stream at once: enough for a worker and its tools many times
// over, and a bound on what a runaway client can cost.
const maxWaiting = 1024

// writeTimeout bounds each write to somebody who waited. Who does not read for so long is gone.
const writeTimeout = 5 * time.Second

// queueUp takes a place among those who wait, for which the caller calls leave in the end; false, and an
// answer, when there is none.
func (a *API) queueUp(w http.ResponseWriter, r *http.Request) (leave func(), ok bool) {
	select {
	case a.waiting <- struct{}{}:
		return func() { <-a.waiting }, true
	default:
		reply(w, r, http.StatusServiceUnavailable, failure{"too many requests wait here already", "ask without waiting, or end some of those"})
		return nil, false
	}
}

// await blocks until enough is true of a newly published state, the time is up, or nobody waits any more. It
// reports false when the request has been answered with an error. Afterwards the answer has writeTimeout.
func (a *API) await(w http.ResponseWriter, r *http.Request, wait time.Duration, enough func(election.State) bool) bool {
	if wait == 0 {
		return true
	}
	leave, ok := a.queueUp(w, r)
	if !ok {
		return false
	}
	defer leave()
	lift(w)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		state, changed := a.elector.Watch()
		if state.Ended || enough(state) {
			break
		}
		select {
		case <-changed:
			continue
		case <-timer.C:
		case <-r.Context().Done():
		}
		break
	}
	allow(w)
	return true
}

// lift takes the server's deadlines off a request that is to last. A response that has none, in a test,
// needs nothing.
func lift(w http.ResponseWriter) {
	c := http.NewResponseController(w)
	_ = c.SetReadDeadline(time.Time{}) // it would end the request's context
	_ = c.SetWriteDeadline(time.Time{})
}

// allow gives the next write its time.
func allow(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout))
}

// newer reports what state is news to a reader who has seen p.
func (a *API) newer(p position) func(election.State) bool {
	return func(s election.State) bool { return p.incarnation != a.self.Incarnation || s.Seq > p.seq }
}

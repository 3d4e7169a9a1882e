package httpapi

import (
	"net/http"
	"time"

	"github.com/elector-dev/elector/internal/election"
)

// role makes a handler that answers by its status whether the elector is something now, and says all it
// knows in the body. With wait the answer comes as soon as the elector is that, or when the time is up.
func (a *API) role(is func(election.Answer) bool) handler {
	status := func(answer election.Answer) int {
		if is(answer) {
			return http.StatusOK
		}
		return http.StatusServiceUnavailable
	}
	return func(w http.ResponseWriter, r *http.Request, q query) {
		if statusOnly(r) {
			w.WriteHeader(status(a.elector.Look()))
			return
		}
		if !a.await(w, r, q, func(election.State) bool { return is(a.elector.Look()) }) {
			return
		}
		answer := a.elector.Answer(a.limit(q))
		a.tell(w, status(answer), answer)
	}
}

func leads(now election.Answer) bool { return now.Leading }

// follows is no before the work of an own term has ended: traffic for followers must not meet it.
func follows(now election.Answer) bool {
	return now.Registered && now.Connected && !now.Leading && now.Phase != election.SteppingDown
}

func stands(now election.Answer) bool { return leads(now) || follows(now) }

func (a *API) healthy(now election.Answer) bool {
	return !a.elector.Stalled() && !now.Ended && now.Connected
}

// limit is the longest promise that a request wants.
func (a *API) limit(q query) time.Duration {
	if longest := a.elector.AnswerMax(); q.max == 0 || q.max > longest {
		return longest
	}
	return q.max
}

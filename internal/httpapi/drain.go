package httpapi

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/elector-dev/elector/internal/election"
)

// Drains is how an elector is taken out of the election, and let in again.
type Drains struct {
	// Drain keeps it from campaigning, for a reason that is shown; it blocks until the elector's answer is no, or ctx
	// ends. After an error that is ErrNotKept it is drained all the same.
	Drain func(ctx context.Context, reason string) error
	// Undrain lets it campaign again.
	Undrain func(ctx context.Context) error
}

// ErrNotKept is returned by Drains when what was asked for holds for this process, and not for the next.
var ErrNotKept = errors.New("not written to the state directory")

// maxReason bounds the reason of a drain.
const maxReason = 512

// drain takes the elector out of the election until it is undrained.
func (a *API) drain(w http.ResponseWriter, r *http.Request, q query) {
	if !a.mayWrite(w, r) {
		return
	}
	const hint = `send {"reason":"kernel update"}, or nothing`
	var order struct {
		Reason string `json:"reason"`
	}
	why := readOrder(w, r, &order, nil, hint)
	if why.status == 0 && len(order.Reason) > maxReason {
		why = refusal{http.StatusBadRequest, failure{"the reason is too long", "say it in up to 512 bytes"}}
	}
	if why.status != 0 {
		reply(w, r, why.status, why.failure)
		return
	}
	ctx, done := bounded(w, r)
	defer done()
	if err := a.drains.Drain(ctx, clean(order.Reason)); err != nil {
		a.refuseDrain(w, r, err, "it is drained for this process only")
		return
	}
	q.wait = a.elector.AnswerMax() + 5*time.Second
	seen := false // once is enough: the states that follow may not tell it any more
	if !a.await(w, r, q, func(s election.State) bool { seen = seen || gone(s); return seen }) {
		return
	}
	reply(w, r, http.StatusOK, drained{true, seen})
}

// gone reports whether an elector that does not campaign has no key any more. A follower's stands for a while after its
// phase says so, and the oldest until whoever is asked before a term has answered.
// A fenced elector has none.
func gone(s election.State) bool {
	return !s.Registered && (released(s) || s.Phase == election.Fenced)
}

// drained is the body of both verbs.
type drained struct {
	Drained  bool `json:"drained"`
	Released bool `json:"released"` // no key of this elector's stands
}

func (a *API) undrain(w http.ResponseWriter, r *http.Request, _ query) {
	if !a.mayWrite(w, r) {
		return
	}
	ctx, done := bounded(w, r)
	defer done()
	if err := a.drains.Undrain(ctx); err != nil {
		a.refuseDrain(w, r, err, "it is undrained for this process only")
		return
	}
	now, _ := a.elector.Watch()
	reply(w, r, http.StatusOK, drained{false, !now.Registered})
}

func (a *API) refuseDrain(w http.ResponseWriter, r *http.Request, err error, halfway string) {
	switch {
	case errors.Is(err, ErrNotKept):
		reply(w, r, http.StatusServiceUnavailable, failure{halfway, clean(err.Error())})
	case errors.Is(err, election.ErrNoSession):
		reply(w, r, http.StatusServiceUnavailable, failure{"the elector has stopped", "its process is about to end"})
	default:
		reply(w, r, http.StatusServiceUnavailable, failure{"the elector has not taken it", "ask again"})
	}
}

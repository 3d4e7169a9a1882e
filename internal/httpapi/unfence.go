package httpapi

import (
	"errors"
	"net/http"

	"github.com/elector-dev/elector/internal/election"
)

// unfence lifts the fence of an elector that has seen etcd go back in time.
func (a *API) unfence(w http.ResponseWriter, r *http.Request, _ query) {
	if !a.mayWrite(w, r) {
		return
	}
	ctx, done := bounded(w, r)
	defer done()
	switch err := a.elector.Unfence(ctx); {
	case err == nil:
		reply(w, r, http.StatusOK, struct {
			Unfenced bool `json:"unfenced"`
		}{true})
	case errors.Is(err, election.ErrNotFenced):
		reply(w, r, http.StatusConflict, failure{"this elector is not fenced", "nothing needs to be done"})
	case errors.Is(err, election.ErrNoSession):
		reply(w, r, http.StatusServiceUnavailable, failure{"the elector has stopped", "its process is about to end"})
	default:
		reply(w, r, http.StatusServiceUnavailable, failure{"the fence is lifted for this process only", "it is not written to the state directory: " + clean(err.Error())})
	}
}

package httpapi

import (
	"net/http"

	"github.com/elector-dev/elector/internal/election"
)

// livez fails only when nothing but a restart of the process helps. etcd being gone is no such case.
func (a *API) livez(w http.ResponseWriter, r *http.Request, _ query) {
	if a.elector.Stalled() {
		reply(w, r, http.StatusServiceUnavailable, failure{stalled, "restart this process; if it happens again, look for a lack of CPU"})
		return
	}
	reply(w, r, http.StatusOK, struct {
		Live bool `json:"live"`
	}{true})
}

const stalled = "the elector's loop stands still"

// readyz fails until the elector has come to stand in the election for the first time. From then on it
// succeeds while the loop runs, on standbys and without etcd too, so that neither a rolling update nor an
// outage of etcd takes an application down. The query asks for more.
func (a *API) readyz(w http.ResponseWriter, r *http.Request, asked query) {
	if why := a.notReady(asked); why != (failure{}) {
		reply(w, r, http.StatusServiceUnavailable, why)
		return
	}
	ready := readiness{Ready: true}
	if asked.contact {
		ready.Refusal = clean(a.elector.Look().Refusal)
	}
	reply(w, r, http.StatusOK, ready)
}

// readiness is the answer of who is ready. A refusal does not make it unready as long as it is in contact with etcd:
// what is refused may be the next connection only.
type readiness struct {
	Ready   bool   `json:"ready"`
	Refusal string `json:"refusal,omitempty"`
}

// notReady says what is missing; it is empty when the elector is ready.
//
// An elector that may not campaign never registers; for it, having been in contact with etcd is what
// counts, remembered from probe to probe.
func (a *API) notReady(asked query) failure {
	halted := a.elector.Stalled()
	now := a.elector.Look()
	ineligible := now.Phase == election.Ineligible
	if ineligible && now.Connected {
		a.met.Store(true)
	}
	entered := now.EverRegistered || a.met.Load()
	hint := "wait; the elector's log says why if it lasts"
	if asked.contact && now.Refusal != "" {
		hint = clean(now.Refusal)
	}
	switch {
	case halted:
		return failure{stalled, "see /livez"}
	case now.Ended:
		return failure{"the elector has stopped", "its process is about to end"}
	case !entered && ineligible, asked.contact && !now.Connected:
		return failure{"no contact with etcd", hint}
	case !entered:
		return failure{"not registered in the election yet", hint}
	case asked.leading && !now.Leading:
		return failure{"this elector does not lead", "ask without role=leader if standbys are to be ready"}
	}
	return failure{}
}

// metrics answers a scrape.
func (a *API) metrics(w http.ResponseWriter, r *http.Request, _ query) { a.scrape.ServeHTTP(w, r) }

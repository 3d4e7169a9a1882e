package httpapi

import (
	"net/http"
	"time"

	"github.com/elector-dev/elector/internal/election"
)

// queueStatus is the body of /candidates.
type queueStatus struct {
	Election   string            `json:"election"`
	Candidates []candidateStatus `json:"candidates"`
	Total      int               `json:"total"` // more than are listed if there are more than election.MaxQueue
}

type candidateStatus struct {
	Identity    string     `json:"identity"`
	Incarnation string     `json:"incarnation"` // empty for candidates that are no electors
	Token       int64      `json:"token"`       // its fencing token if it leads
	Since       *time.Time `json:"since"`       // start of its process, by its own clock; null when it does not tell
	Version     string     `json:"version"`
	Position    int        `json:"position"`  // 1 stands first: it leads, or is about to
	Self        bool       `json:"self"`      // this process
	Duplicate   bool       `json:"duplicate"` // another process stands under the same identity
}

// candidates tells who stands in the queue, in its order. That is not who leads: the first leads once it has
// verified it.
func (a *API) candidates(w http.ResponseWriter, r *http.Request, _ query) {
	if statusOnly(r) {
		w.WriteHeader(http.StatusOK)
		return
	}
	ctx, done := bounded(w, r)
	defer done()
	queue, err := a.elector.Candidates(ctx)
	if err != nil {
		reply(w, r, http.StatusServiceUnavailable, failure{"the queue cannot be read from etcd", clean(err.Error())})
		return
	}
	body := queueStatus{Election: a.self.Election, Candidates: []candidateStatus{}, Total: queue.Total}
	for i, s := range queue.Standings {
		body.Candidates = append(body.Candidates, a.standing(queue, i, s))
	}
	reply(w, r, http.StatusOK, body)
}

func (a *API) standing(queue election.Queue, i int, s election.Standing) candidateStatus {
	c := candidateStatus{
		Identity: clean(s.Identity), Incarnation: clean(s.Incarnation), Token: s.Token, Version: clean(s.Version), Position: i + 1,
		Duplicate: queue.Twins(s.Identity, s.Incarnation) > 0,
	}
	c.Self = c.Identity == a.self.Identity && c.Incarnation == a.self.Incarnation
	if year := s.Since.Year(); !s.Since.IsZero() && year > 0 && year < 10000 { // what JSON can hold
		since := wall(s.Since)
		c.Since = &since
	}
	return c
}

// historyStatus is the body of /history.
type historyStatus struct {
	Election string       `json:"election"`
	Terms    []termStatus `json:"terms"` // the newest first
}

type termStatus struct {
	Identity    string     `json:"identity"`
	Incarnation string     `json:"incarnation"`
	Token       int64      `json:"token"`
	From        time.Time  `json:"from"`  // when this elector first saw it
	To          *time.Time `json:"to"`    // null while it lasts
	Cause       string     `json:"cause"` // of the end, where known: of own terms
}

// history tells the latest terms that this elector has seen.
func (a *API) history(w http.ResponseWriter, r *http.Request, _ query) {
	past := a.elector.History()
	body := historyStatus{Election: a.self.Election, Terms: make([]termStatus, 0, len(past))}
	for i := len(past) - 1; i >= 0; i-- {
		p := past[i]
		t := termStatus{
			Identity: clean(p.Identity), Incarnation: clean(p.Incarnation), Token: p.Token, From: wall(p.From), Cause: string(p.Cause),
		}
		if !p.To.IsZero() {
			to := wall(p.To)
			t.To = &to
		}
		body.Terms = append(body.Terms, t)
	}
	reply(w, r, http.StatusOK, body)
}

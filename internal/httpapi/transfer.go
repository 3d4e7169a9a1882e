package httpapi

import (
	"errors"
	"io"
	"net/http"

	"github.com/elector-dev/elector/internal/election"
)

// transferring is the body of 202: whom the lead goes to once work and promises have ended. The states that follow
// tell what comes of it.
type transferring struct {
	To    string `json:"to"`
	Token int64  `json:"token"` // of the term that is given up
}

// transferred is the body of 200, after a wait.
type transferred struct {
	transferring
	Transferred bool         `json:"transferred"` // the one that it was to go to leads
	Leader      LeaderStatus `json:"leader"`      // who does
}

// transfer passes the lead on to another candidate. With wait it answers when somebody leads again: this elector too,
// if the other has gone and nobody else is there.
func (a *API) transfer(w http.ResponseWriter, r *http.Request, q query) {
	if !a.mayWrite(w, r) {
		return
	}
	wish, why := readTransfer(w, r)
	if why.status != 0 {
		reply(w, r, why.status, why.failure)
		return
	}
	ctx, done := bounded(w, r)
	defer done()
	token, to, err := a.elector.Transfer(ctx, wish)
	if err != nil {
		a.refuseTransfer(w, r, err)
		return
	}
	under := transferring{clean(to.Identity), token}
	led := func(s election.State) bool {
		leads := s.Token != 0 || s.Leader.Identity != a.elector.Identity() // the own key may be the oldest before it leads
		return s.Leader.Token > 0 && s.Leader.Token != token && leads
	}
	if !a.await(w, r, q, led) {
		return
	}
	now := a.elector.Look()
	if q.wait == 0 || !led(now.State) {
		reply(w, r, http.StatusAccepted, under)
		return
	}
	to.Token = now.Leader.Token // it may have lost its place, and have come back
	reply(w, r, http.StatusOK, transferred{under, now.Leader == to, a.named(now)})
}

func (a *API) refuseTransfer(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case a.replyTerm(w, r, err):
	case errors.Is(err, election.ErrNotStanding):
		reply(w, r, http.StatusNotFound, failure{"no other candidate of that identity stands in the queue", "GET /candidates lists those that do"})
	case errors.Is(err, election.ErrTooFarBack):
		reply(w, r, http.StatusPreconditionFailed, failure{"it stands too far back for one transaction of etcd", "pass the lead on to one of the 127 behind the leader in GET /candidates"})
	case errors.Is(err, election.ErrForeignBetween):
		reply(w, r, http.StatusPreconditionFailed, failure{"a candidate that is no elector stands in between, and would take itself for the leader", "end it, or pass the lead on to one before it in GET /candidates"})
	case errors.Is(err, election.ErrRefused):
		reply(w, r, http.StatusServiceUnavailable, failure{"etcd refuses", clean(err.Error())})
	default:
		reply(w, r, http.StatusServiceUnavailable, failure{"the queue is not known", "ask again; the elector's log says why if it lasts"})
	}
}

// readTransfer reads the body and the token.
func readTransfer(w http.ResponseWriter, r *http.Request) (election.Transfer, refusal) {
	const hint = `send {"to":"worker-2"}`
	var wish election.Transfer
	var order struct {
		To *string `json:"to"`
	}
	why := readOrder(w, r, &order, &wish.Token, hint)
	if why.status == 0 && (order.To == nil || *order.To == "") {
		why = refusal{http.StatusBadRequest, failure{"the body does not say to whom", hint}}
	}
	if why.status == 0 {
		wish.To = *order.To
	}
	return wish, why
}

// readOrder reads a verb's body strictly, if there is one, and the token that it may come with.
func readOrder(w http.ResponseWriter, r *http.Request, into any, token *int64, hint string) refusal {
	if text := r.Header.Get("Elector-Token"); text != "" && token != nil {
		var ok bool
		if *token, ok = parseToken(text); !ok {
			return refusal{http.StatusBadRequest, failure{"Elector-Token is not a token", "send the number that a yes has"}}
		}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxOrder))
	switch {
	case errors.As(err, new(*http.MaxBytesError)):
		return refusal{http.StatusRequestEntityTooLarge, failure{"the body is too long", hint}}
	case err != nil:
		return refusal{http.StatusBadRequest, failure{"the body ended early", "send it again"}}
	case len(body) == 0:
		return refusal{}
	}
	if err := decode(body, into); err != nil {
		return refusal{http.StatusBadRequest, failure{clean(err.Error()), hint}}
	}
	return refusal{}
}

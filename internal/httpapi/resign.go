package httpapi

import (
	"errors"
	"net/http"
	"time"

	"github.com/elector-dev/elector/internal/election"
)

// maxCooldown is the longest time for which an elector may be asked not to campaign.
const maxCooldown = 24 * time.Hour

// maxOrder bounds the body of a verb.
const maxOrder = 4 << 10

// notLeading is the body of 409: the failure, and who leads.
type notLeading struct {
	failure
	Leader LeaderStatus `json:"leader"`
}

// replyTerm answers an error that says that the term is not the one that was meant, and reports whether
// it was one.
func (a *API) replyTerm(w http.ResponseWriter, r *http.Request, err error) bool {
	switch {
	case errors.Is(err, election.ErrNotLeading), errors.Is(err, election.ErrSessionEnded):
		body := notLeading{failure: failure{"this elector does not lead", "ask the leader's elector"}}
		if now := a.elector.Look(); !now.Leading { // it may have come to lead since, which is told with an end or not at all
			body.Leader = a.named(now)
		}
		reply(w, r, http.StatusConflict, body)
	case errors.Is(err, election.ErrTokenMismatch):
		reply(w, r, http.StatusPreconditionFailed, failure{"the token is not that of the term under way", "ask whether this elector still leads"})
	case errors.Is(err, election.ErrNoSession):
		reply(w, r, http.StatusServiceUnavailable, failure{"the elector has no session with etcd", "wait; the elector's log says why if it lasts"})
	default:
		return false
	}
	return true
}

// resign gives the lead up. With the current token it is the caller's word that whoever acts on this elector's
// promises has stopped, and they are not waited for.
func (a *API) resign(w http.ResponseWriter, r *http.Request, q query) {
	if !a.mayWrite(w, r) {
		return
	}
	wish, why := readResignation(w, r)
	if why.status != 0 {
		reply(w, r, why.status, why.failure)
		return
	}
	term := a.elector.Look().Token
	ctx, done := bounded(w, r)
	defer done()
	if err := a.elector.Resign(ctx, wish); err != nil {
		if !a.replyTerm(w, r, err) {
			reply(w, r, http.StatusServiceUnavailable, failure{"the elector has not taken it", "ask again"})
		}
		return
	}
	// The key goes when work and promises have ended, and etcd's part in it is bounded.
	q.wait = a.elector.AnswerMax() + 5*time.Second
	seen := false // once is enough: the states that follow may not tell it any more
	if !a.await(w, r, q, func(s election.State) bool { seen = seen || released(s); return seen }) {
		return
	}
	reply(w, r, http.StatusOK, struct {
		Resigned bool  `json:"resigned"`
		Released bool  `json:"released"` // the key is known to have gone
		Token    int64 `json:"token"`    // of the term that was given up
	}{true, seen, max(term, wish.Token)})
}

// released reports whether the key of a term that was given up is known to have gone. The end of its session
// does not tell, as etcd may have been out of reach; the next one first removes what the last has left.
func released(s election.State) bool { return s.Phase != election.SteppingDown && s.Lease != 0 }

// readResignation reads the body, which may be missing, and the token.
func readResignation(w http.ResponseWriter, r *http.Request) (election.Resignation, refusal) {
	const hint = `send {"cooldown":"30s"}, or nothing`
	var wish election.Resignation
	var order struct {
		Cooldown *string `json:"cooldown"`
	}
	why := readOrder(w, r, &order, &wish.Token, hint)
	if why.status != 0 || order.Cooldown == nil {
		return wish, why
	}
	d, err := time.ParseDuration(*order.Cooldown)
	if err != nil || d < 0 || d > maxCooldown {
		return wish, refusal{http.StatusBadRequest, failure{"cooldown is no time from 0s to 24h", hint}}
	}
	wish.Cooldown = d
	return wish, refusal{}
}

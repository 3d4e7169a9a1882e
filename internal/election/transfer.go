package election

import (
	"context"
	"errors"
	"time"
)

// Errors of a transfer, from Elector.Transfer and Session.Pass.
var (
	// ErrNotStanding: no other candidate of that identity stands in the queue.
	ErrNotStanding = errors.New("no such candidate stands in the queue")
	// ErrTooFarBack: more candidates stand in between than one transaction of etcd takes.
	ErrTooFarBack = errors.New("too many candidates stand in between")
	// ErrForeignBetween: a candidate in between is no elector. Whoever campaigns with etcd's library alone does not see its
	// own key go: it would take itself for the leader as soon as no older one is left, beside the one that leads.
	ErrForeignBetween = errors.New("a candidate that is no elector stands in between")
)

// MaxPassed is the furthest place in the queue, with the leader at 0, that the lead can be passed on to: etcd takes 128
// operations and as many conditions in a transaction by default (--max-txn-ops), and the one that it is passed to is a
// condition too.
const MaxPassed = 127

// Transfer is a wish to pass the lead on.
type Transfer struct {
	To string // identity of a candidate that stands in the queue
	// Token of the term to give up, as in Resignation: whoever acts on its promises has stopped. 0: whichever term
	// is under way, and promises are waited for.
	Token int64
}

// Transfer gives the lead up in favour of another candidate: as Resign does, but when the work has been joined and
// promises have run out the keys of all who stand before the other are removed together with this one. Those re-enter
// behind it. Should it have gone by then, whoever is next leads. When Transfer returns nil, the answer is no. It
// blocks until etcd has told the queue, and the loop has taken the wish, or ctx ends. It returns the token of the
// term that ends and the candidate that follows. The errors are ErrNotLeading, ErrTokenMismatch, ErrNotStanding,
// ErrTooFarBack, ErrForeignBetween, and those of Candidates.
func (e *Elector) Transfer(ctx context.Context, wish Transfer) (token int64, to Candidate, err error) {
	if !e.Look().Leading {
		return 0, Candidate{}, ErrNotLeading
	}
	q, err := e.count(ctx)
	if err != nil {
		return 0, Candidate{}, err
	}
	type reply struct {
		token int64
		to    Candidate
		err   error
	}
	done := make(chan reply, 1)
	err = e.ask(ctx, func(r *run) {
		token, to, err := r.transfer(wish, q)
		done <- reply{token, to, err}
	})
	if err != nil {
		return 0, Candidate{}, err
	}
	got := <-done
	return got.token, got.to, got.err
}

func (r *run) transfer(wish Transfer, q Queue) (int64, Candidate, error) {
	c := &r.core
	switch {
	case !c.termOnKey() || c.term.over || c.ending.on:
		return 0, Candidate{}, ErrNotLeading
	case wish.Token != 0 && wish.Token != c.key.token:
		return 0, Candidate{}, ErrTokenMismatch
	}
	to, err := q.heir(wish.To, c.key.token)
	if err != nil {
		return 0, Candidate{}, err
	}
	token := c.key.token
	r.handle(TransferAsked{Token: token, To: to, Stopped: wish.Token != 0})
	return token, to, nil
}

// heir finds another candidate than the one with a token by its identity: the first of those that bear it.
func (q Queue) heir(identity string, token int64) (Candidate, error) {
	foreign := false
	for i, s := range q.Standings {
		switch {
		case s.Identity != identity || s.Token == token:
			foreign = foreign || s.Foreign()
		case i > MaxPassed:
			return Candidate{}, ErrTooFarBack
		case foreign:
			return Candidate{}, ErrForeignBetween
		default:
			return s.Candidate, nil
		}
	}
	if q.Total > len(q.Standings) {
		return Candidate{}, ErrTooFarBack // it may stand where the queue was not read
	}
	return Candidate{}, ErrNotStanding
}

// passTimeout bounds the passing on of the lead, which the release follows in any case.
const passTimeout = 2 * time.Second

// pass passes the lead on, if it can.
func (r *run) pass(session Session, a closeSession) {
	ctx, cancel := context.WithTimeout(context.Background(), passTimeout)
	defer cancel()
	if err := session.Pass(ctx, a.Claim, a.To); err != nil {
		r.cfg.Logger.Warn("the lead may not have been passed on as asked; whoever is next has it", "token", a.Claim.Token, "leader", a.To.Identity, "err", err)
	}
}

package cli

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/elector-dev/elector/internal/election"
)

// The pauses between attempts to publish, doubled from the first to the last.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second
)

// sharer is what a value is published through; *election.Elector is one.
type sharer interface {
	Watch() (election.State, <-chan struct{})
	// PutValue blocks until etcd has answered or ctx ends. After an error the value may have been published.
	PutValue(ctx context.Context, put election.ValuePut) (*election.Value, error)
}

// publish is the work of a term that shares a value with the fleet at its start; nil, when there is none to
// share, means no work. It is tried until the term has a value, its worker's own too: what that has put
// meanwhile is newer, and stays. The work ends with ctx, and so keeps no lead from being given up.
func publish(e sharer, value string, log *slog.Logger) election.Lead {
	if value == "" {
		return nil
	}
	return func(ctx context.Context, term election.Term) error {
		put := election.ValuePut{Bytes: []byte(value), ContentType: "text/plain; charset=utf-8", Token: term.Token}
		var told complaints
		for pause := firstPause; ctx.Err() == nil && !shared(e, term.Token); pause = min(2*pause, lastPause) {
			_, err := e.PutValue(ctx, put)
			if err == nil || errors.Is(err, election.ErrNotLeading) || errors.Is(err, election.ErrTokenMismatch) {
				break
			}
			if ctx.Err() == nil {
				told.log(log, term.Token, err)
			}
			select {
			case <-time.After(pause):
			case <-ctx.Done():
			}
		}
		<-ctx.Done()
		return nil
	}
}

// shared reports whether the term with a token is seen to have a value.
func shared(e sharer, token int64) bool {
	state, _ := e.Watch()
	return state.Value != nil && state.Value.Token == token
}

// complaints are those of one term: each kind is made once.
type complaints struct{ refused, failed bool }

func (c *complaints) log(log *slog.Logger, token int64, err error) {
	switch refused := errors.Is(err, election.ErrRefused); {
	case refused && !c.refused:
		c.refused = true
		log.Error("etcd refuses the value of --value; it is tried again", "token", token, "err", err)
	case !refused && !c.failed:
		c.failed = true
		log.Warn("--value could not be published; trying again", "token", token, "err", err)
	}
}

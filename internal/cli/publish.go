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

// publish is the work of a term that shares a value with the fleet at its start; nil, when there is none to
// share, means no work.
func publish(e *election.Elector, value string, log *slog.Logger) election.Lead {
	if value == "" {
		return nil
	}
	return func(ctx context.Context, term election.Term) error {
		put := election.ValuePut{Bytes: []byte(value), ContentType: "text/plain; charset=utf-8", Token: term.Token}
		for pause := firstPause; ctx.Err() == nil; pause = min(2*pause, lastPause) {
			_, err := e.PutValue(ctx, put)
			if err == nil || errors.Is(err, election.ErrNotLeading) || errors.Is(err, election.ErrTokenMismatch) {
				break
			}
			if pause == firstPause && ctx.Err() == nil {
				log.Warn("--value could not be published; trying again", "token", term.Token, "err", err)
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

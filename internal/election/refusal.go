package election

import (
	"cmp"
	"context"
	"errors"
)

// refusal is the text of an error that is etcd's refusal, else empty.
func refusal(err error) string {
	if errors.Is(err, ErrRefused) {
		return err.Error()
	}
	return ""
}

// refusalNow is what is told of refusals: the candidacy's own, which the core knows, before all else.
func (r *run) refusalNow() string {
	beside := r.refusedBeside
	if r.core.stage != open {
		beside = "" // of a session that is over
	}
	return cmp.Or(r.core.refusal, beside, r.forewarned)
}

func (r *run) refusedElsewhere(ev Refused) {
	if ev.Session == r.core.session {
		r.refusedBeside = ev.Why
	}
}

// Forewarn tells that etcd will refuse this elector when it next comes, although it may be in contact now: why, and
// what to do, or nothing when it will not. It is published as State.Refusal while etcd refuses nothing yet. It blocks
// until the loop has taken it or ctx ends, before Run too. The error is ctx's, or ErrNoSession once Run has ended.
func (e *Elector) Forewarn(ctx context.Context, why string) error {
	done := make(chan struct{})
	err := e.ask(ctx, func(r *run) {
		r.forewarned = why
		r.handle(Tick{})
		close(done)
	})
	if err != nil {
		return err
	}
	<-done
	return nil
}

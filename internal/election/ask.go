package election

import (
	"context"
	"time"
)

// ask has f run in the elector's loop, between two of its turns. It blocks until the loop has taken f or
// ctx ends, and before Run too; f itself runs afterwards. f must not block.
func (e *Elector) ask(ctx context.Context, f func(*run)) error {
	select {
	case e.asks <- f:
		return nil
	case <-e.ended:
		return ErrNoSession
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Resignation is a wish to give the lead up.
type Resignation struct {
	// Token of the term to give up. Giving it says that whoever acts on this elector's promises has
	// stopped, so that they are not waited for. 0: whichever term is under way, and promises are.
	Token int64
	// Cooldown is how long from now this elector does not campaign again.
	Cooldown time.Duration
}

// Resign gives the lead up by choice. When it returns nil, the answer is no; the key goes when the work
// has been joined and promises have run out, which the state's phase tells. It blocks until the loop has
// taken the wish or ctx ends, before Run too. A second call may bring the token after a first one without
// it. The errors are ErrNotLeading, ErrTokenMismatch and, once Run has ended, ErrNoSession.
func (e *Elector) Resign(ctx context.Context, wish Resignation) error {
	done := make(chan error, 1)
	if err := e.ask(ctx, func(r *run) { done <- r.resign(wish) }); err != nil {
		return err
	}
	return <-done
}

func (r *run) resign(wish Resignation) error {
	c := &r.core
	switch {
	case !c.termOnKey() || c.term.over && wish.Token == 0:
		return ErrNotLeading
	case wish.Token != 0 && wish.Token != c.key.token:
		return ErrTokenMismatch
	}
	r.handle(ResignAsked{
		Token: c.key.token, Stopped: wish.Token != 0, Until: r.cfg.Clock.Now().Add(max(0, wish.Cooldown)),
	})
	return nil
}

// Bar keeps this elector from campaigning or, with the zero Bar, lets it again. An elector that leads
// steps down by choice. When it returns nil, the answer is no; the key goes as after Resign. It blocks until
// the loop has taken it or ctx ends, before Run too. The error is ctx's, or ErrNoSession once Run has ended.
func (e *Elector) Bar(ctx context.Context, b Bar) error {
	done := make(chan struct{})
	err := e.ask(ctx, func(r *run) {
		r.bar = b
		r.handle(EligibilityChanged{Barred: b.Cause})
		close(done)
	})
	if err != nil {
		return err
	}
	<-done
	return nil
}

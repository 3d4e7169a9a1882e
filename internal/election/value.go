package election

import (
	"context"
	"errors"
	"time"
)

// MaxValue is the greatest size of the shared value, in bytes. etcd takes a request of 1.5 MiB at most
// by default, and every watcher gets a copy of what is put.
const MaxValue = 64 << 10

// Value is what a leader publishes for the whole fleet: it belongs to a term and is gone with it. A Value
// and its bytes are never changed once made.
type Value struct {
	Bytes       []byte
	ContentType string
	Token       int64 // of the term that it belongs to
	Revision    int64 // of etcd's store, at its latest write
}

// The revisions that a ValuePut may demand besides a certain one.
const (
	AnyRevision int64 = 0  // whatever is there, or nothing
	SomeValue   int64 = -1 // any value of this term
)

// ValuePut is a value to be published.
type ValuePut struct {
	Bytes       []byte
	ContentType string
	Token       int64 // of the term that publishes it; never 0
	Revision    int64 // that the value must have now, or AnyRevision or SomeValue
}

// Errors of what is asked of a running elector.
var (
	// ErrNotLeading is returned by Resign and PutValue of an elector that does not lead.
	ErrNotLeading = errors.New("this elector does not lead")
	// ErrTokenMismatch is returned by Resign and PutValue when the token is not that of the term under way.
	ErrTokenMismatch = errors.New("the token is not the current one")
	// ErrValueChanged is returned by PutValue when the value has not the revision that was demanded.
	ErrValueChanged = errors.New("the value has another revision")
	// ErrNotFenced is returned by Unfence.
	ErrNotFenced = errors.New("this elector is not fenced")
	// ErrNoSession is returned by PutValue and Candidates while there is no session with etcd, and by
	// whatever is asked once Run has ended.
	ErrNoSession = errors.New("no session with etcd")
)

// PutValue publishes the fleet's shared value, on the condition that this elector's term with the put's
// token is under way when etcd applies it. It blocks until etcd has answered, ctx ends, or a few seconds
// have passed; it does so before Run too. The errors are ErrNotLeading, ErrTokenMismatch, ErrValueChanged,
// ErrNoSession, ErrSessionEnded and ErrRefused, none of which changes anything; after any other the value
// may have been published, or may still be.
func (e *Elector) PutValue(ctx context.Context, put ValuePut) (*Value, error) {
	type result struct {
		value *Value
		err   error
	}
	done := make(chan result, 1)
	err := e.ask(ctx, func(r *run) {
		if err := r.own(put.Token); err != nil {
			done <- result{err: err}
			return
		}
		session, claim, within := r.session, r.core.claim(), r.inSession
		r.start(func() {
			ctx, cancel := r.until(ctx, within)
			defer cancel()
			v, err := session.PutValue(ctx, claim, put)
			done <- result{v, err}
		})
	})
	if err != nil {
		return nil, err
	}
	got := <-done // the call above is bounded
	return got.value, got.err
}

// own reports why the term with a token is not under way; nil when it is.
func (r *run) own(token int64) error {
	switch now := r.Look(); {
	case !now.Leading:
		return ErrNotLeading
	case token != now.Token:
		return ErrTokenMismatch
	}
	return nil
}

// until is a context for a call on a session that somebody outside waits for.
func (r *run) until(ctx, session context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, max(4*CallTimeout(r.cfg.TTL), 2*time.Second))
	stop := context.AfterFunc(session, cancel)
	return ctx, func() { stop(); cancel() }
}

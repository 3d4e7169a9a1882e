package etcdstore

import (
	"context"
	"errors"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/peer"

	"github.com/elector-dev/elector/internal/election"
)

// patience is how long a stream may stay silent while an answer is owed on it. It is shared by the
// streams of one kind in a session, one after the other, and doubles at each trip up to a limit, so
// that an etcd which is merely slow is not starved of its own answers; each answer takes a little of
// that back.
type patience struct {
	first, limit time.Duration

	mu      sync.Mutex // guards current, for an assignment
	current time.Duration
}

func (p *patience) now() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.current == 0 {
		p.current = p.first
	}
	return p.current
}

func (p *patience) tripped() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.current = min(2*p.current, p.limit)
}

func (p *patience) answered() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.current = max(p.first, p.current*7/8)
}

// watched is a stream that is given up when it stays silent while an answer is owed on it: one silent
// endpoint out of three would otherwise hold a session's only keep-alive stream until its lease is
// gone, or its only watch stream until gRPC's own ping.
type watched struct {
	grpc.ClientStream
	session  *session
	op       string
	cancel   context.CancelFunc
	patience *patience
	tokens   int64 // that the client had got when the stream was opened

	mu     sync.Mutex         // guards the fields below, for assignments
	owed   []election.Instant // when each message was sent whose answer is still to come, oldest first
	timer  *time.Timer        // runs while anything is owed
	silent bool               // the stream was given up
	ended  bool
}

// owes reports whether a message that is sent has exactly one answer. Every watch is acknowledged and
// so is every keep-alive; the end of a watch need not be.
func owes(m any) bool {
	if r, ok := m.(*pb.WatchRequest); ok {
		return r.GetCreateRequest() != nil
	}
	return true
}

// pays reports whether a message that is received is such an answer.
func pays(m any) bool {
	if r, ok := m.(*pb.WatchResponse); ok {
		return r.Created
	}
	return true
}

// SendMsg implements grpc.ClientStream.
func (w *watched) SendMsg(m any) error {
	if owes(m) {
		w.owe()
	}
	return w.ClientStream.SendMsg(m)
}

// RecvMsg implements grpc.ClientStream.
func (w *watched) RecvMsg(m any) error {
	err := w.ClientStream.RecvMsg(m)
	if r, ok := m.(*pb.WatchResponse); ok && err == nil && r.Canceled && w.stale(r.CancelReason) {
		// The library keeps the stream, and with it the token, for all watches to come.
		err = errStale
	}
	asked, err := w.heard(m, err)
	if err == nil && asked > 0 {
		w.session.emit(election.InTouch{Session: w.session.req.Number, Sent: asked})
	}
	return err
}

// stale reports whether a watch was refused because its stream was opened with a password token that no longer counts.
// etcd up to 3.4 has one text for that and for a denial: it was the token if the client has got another since. One that
// was denied reads, and a read that was refused for its token has the library get another.
func (w *watched) stale(reason string) bool {
	return staleToken(reason) || denied(errors.New(reason)) && w.tokens < w.session.tokens.Load()
}

// owe notes that an answer is owed, and starts the clock on it unless it runs already.
func (w *watched) owe() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.owed = append(w.owed, w.session.now())
	if len(w.owed) == 1 && !w.ended {
		w.startClock()
	}
}

// heard takes the outcome of a receive. It returns when the message was sent that this answers, zero if
// it answers none, and the error to hand on. Whatever was received shows that the stream is alive: the
// clock starts anew for what is still owed.
func (w *watched) heard(m any, err error) (asked election.Instant, _ error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer != nil {
		w.timer.Stop()
		w.timer = nil
	}
	if err != nil {
		w.ended = true
		w.cancel()
		switch {
		case w.silent:
			err = errSilent
		case learner(err): // over which the library would end all watches
			err = errLearner
		}
		w.session.store.cfg.Requests(w.op, code(err))
		return 0, err
	}
	w.session.store.cfg.Requests(w.op, code(nil))
	if len(w.owed) > 0 && pays(m) {
		asked, w.owed = w.owed[0], w.owed[1:]
		w.patience.answered()
	}
	if len(w.owed) > 0 {
		w.startClock()
	}
	return asked, nil
}

// startClock wants mu held. A clock that was stopped too late finds another in its place.
func (w *watched) startClock() {
	var t *time.Timer
	t = time.AfterFunc(w.wait(), func() {
		w.mu.Lock()
		silent := w.timer == t
		w.silent = w.silent || silent
		w.mu.Unlock()
		if silent {
			w.patience.tripped()
			w.giveUp()
		}
	})
	w.timer = t
}

// wait is how long the stream may be silent now. Where no term hangs on it that is a quarter of the TTL at least: a thousand
// candidates that come to a busy etcd together would else be its greatest burden with the connections that they give up.
func (w *watched) wait() time.Duration {
	if w.session.won.Load() {
		return w.patience.now()
	}
	return max(w.patience.now(), w.session.req.TTL/4)
}

// giveUp ends the stream and the connection under it. Without its connection the endpoint is out of the
// client's rotation, also for other requests, until a new one has seen the server speak.
func (w *watched) giveUp() {
	if conn := w.conn(); conn != "" {
		w.session.conns.close(conn)
	}
	w.cancel()
}

// conn is the local address of the connection under the stream, by which conns knows it; empty if there is none.
func (w *watched) conn() string {
	if p, ok := peer.FromContext(w.ClientStream.Context()); ok && p.LocalAddr != nil {
		return p.LocalAddr.String()
	}
	return ""
}

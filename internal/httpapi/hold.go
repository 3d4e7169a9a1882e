package httpapi

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"

	"github.com/elector-dev/elector/internal/election"
)

// Holds is how workers' holds are taken.
type Holds struct {
	// Open opens one; it blocks until the elector knows, or ctx ends.
	Open func(ctx context.Context) (Hold, error)
	// Timeout is how long a worker may send nothing; 0: as long as its connection stands.
	Timeout time.Duration
}

// Hold is one worker's. Of Close and Cut one is called, once.
type Hold interface {
	// Answer is election.Elector.Answer for the worker alone.
	Answer(limit time.Duration) election.Answer
	// Unwanted is closed when the stream is to end.
	Unwanted() <-chan struct{}
	// Close says that the worker has let go, and so has stopped.
	Close()
	// Cut says that the worker has not been heard of.
	Cut()
}

// hold streams the states to a worker that keeps the request open for as long as it may act, each yes anew
// before half of it has passed. When the worker ends the request or its connection, which the kernel of a dead
// worker does, it has stopped. With a time-out it also sends a byte of the body now and then.
func (a *API) hold(w http.ResponseWriter, r *http.Request, q query) {
	if !a.mayWrite(w, r) {
		return
	}
	bodyless := r.ContentLength == 0
	switch {
	case a.holds.Open == nil:
		reply(w, r, http.StatusServiceUnavailable, failure{"this elector takes no holds", "ask the one beside the worker"})
		return
	case bodyless && a.holds.Timeout > 0:
		reply(w, r, http.StatusLengthRequired, failure{"the request has no body to send signs of life in",
			"send a chunked body, and a byte of it at least every " + a.holds.Timeout.String()})
		return
	}
	within, done := context.WithTimeout(r.Context(), askTimeout)
	h, err := a.holds.Open(within)
	done()
	if err != nil {
		reply(w, r, http.StatusServiceUnavailable, failure{"the elector has not taken the hold", "ask again"})
		return
	}
	ctx, end := context.WithCancel(r.Context())
	defer end()
	said := make(chan error, 1) // by the worker, in the end
	if !bodyless {
		_ = http.NewResponseController(w).EnableFullDuplex() // a server of HTTP/2 is that
		go func() {
			said <- listenTo(w, r.Body, a.holds.Timeout)
			end()
		}()
	}
	q.renewals = true
	s := a.states(r, q)
	s.answer, s.end = h.Answer, h.Unwanted()
	err = s.serve(w, r.WithContext(ctx), q)
	if !bodyless {
		err = verdict(w, err, said)
	}
	if lost(err) {
		h.Cut()
	} else {
		h.Close()
	}
}

// verdict is why a hold with a body has ended: what its worker said goes before how the stream fared, which it may
// have ended. It returns when nobody reads the body any more.
func verdict(w http.ResponseWriter, streamed error, said <-chan error) error {
	select {
	case err := <-said:
		return err
	default:
	}
	if lost(streamed) {
		_ = http.NewResponseController(w).SetReadDeadline(time.Unix(1, 0))
		<-said
		return streamed
	}
	return <-said // the request has ended, and its body with it
}

// errLetGo ends a hold whose worker has ended its body.
var errLetGo = errors.New("the worker has let go")

// listenTo reads a worker's signs of life until it sends no more, and returns what has ended it. The time-out
// is between two of them; 0: for ever.
func listenTo(w http.ResponseWriter, body io.Reader, timeout time.Duration) error {
	c, buffer := http.NewResponseController(w), make([]byte, 64)
	for {
		var limit time.Time
		if timeout > 0 {
			limit = time.Now().Add(timeout)
		}
		_ = c.SetReadDeadline(limit)
		if _, err := body.Read(buffer); errors.Is(err, io.EOF) {
			return errLetGo
		} else if err != nil {
			return err
		}
	}
}

// lost reports whether a hold ended in a way that says nothing of its worker: it was not heard of, or did not read,
// for too long; or it was cut from here.
func lost(err error) bool {
	var timeout net.Error
	return err == nil || errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout() ||
		errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETUNREACH) // of a host that has vanished
}

package httpapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/elector-dev/elector/internal/election"
)

// grip is a hold that notes what becomes of it.
type grip struct {
	answer   func(time.Duration) election.Answer
	unwanted chan struct{}
	fate     chan string
}

func (g *grip) Answer(limit time.Duration) election.Answer { return g.answer(limit) }
func (g *grip) Unwanted() <-chan struct{}                  { return g.unwanted }
func (g *grip) Close()                                     { g.fate <- "closed" }
func (g *grip) Cut()                                       { g.fate <- "cut" }

// holding is a member whose surface takes holds.
func (f *fleet) holding(timeout time.Duration) (*member, *grip) {
	m := f.join("a")
	m.await("leading", leads)
	g := &grip{answer: m.Answer, unwanted: make(chan struct{}), fate: make(chan string, 1)}
	api := newAPI(m)
	api.holds = Holds{Open: func(context.Context) (Hold, error) { return g, nil }, Timeout: timeout}
	m.server.Handler = newConns(maxConns).handler(api.Main())
	return m, g
}

// grab opens a hold; the body is not ended.
func (m *member) grab(body bool) *reader {
	m.t.Helper()
	lines := []string{"Elector-Request: 1", "Host: localhost"}
	if body {
		lines = append(lines, "Transfer-Encoding: chunked")
	}
	return openAs(m.t, m.dial(), http.MethodPost, "/hold", lines...)
}

func TestHoldTellsEachYesAnewAndEndsWithItsWorker(t *testing.T) {
	for _, body := range []bool{false, true} {
		t.Run(fmt.Sprint("body ", body), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, g := newFleet(t).holding(0)
				r := m.grab(body)
				r.next()
				for range 5 {
					if e := r.next(); !stateOf(t, e.data).Leading || e.after > time.Second {
						t.Errorf("told %+v", e)
					}
				}
				r.conn.Close()
				if fate := <-g.fate; fate != "closed" {
					t.Error(fate)
				}
			})
		})
	}
}

func TestHoldEndsWhenItsWorkerEndsTheBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, g := newFleet(t).holding(0)
		r := m.grab(true)
		r.next()
		go io.WriteString(r.conn, "0\r\n\r\n")
		if fate := <-g.fate; fate != "closed" {
			t.Error(fate)
		}
	})
}

func TestHoldOfAWorkerThatIsNotHeardOfIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, g := newFleet(t).holding(3 * time.Second)
		r := m.grab(true)
		go func() { // it reads on, as a half-open connection's buffers do
			for {
				if _, err := r.read(); err != nil {
					return
				}
			}
		}()
		for range 5 {
			time.Sleep(2 * time.Second)
			io.WriteString(r.conn, "1\r\nx\r\n")
		}
		if len(g.fate) > 0 {
			t.Fatal("let go of a worker that sends signs of life")
		}
		began := time.Now()
		select {
		case fate := <-g.fate:
			if fate != "cut" || time.Since(began) > 3*time.Second {
				t.Errorf("%s after %v", fate, time.Since(began))
			}
		case <-time.After(time.Minute):
			t.Error("the hold stands though its worker is not heard of")
		}
		r.conn.Close()
	})
}

func TestHoldOfAWorkerThatDoesNotReadIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, g := newFleet(t).holding(0)
		r := m.grab(false)
		began := time.Now()
		if fate := <-g.fate; fate != "cut" || time.Since(began) > writeTimeout+time.Second {
			t.Errorf("%s after %v", fate, time.Since(began))
		}
		r.conn.Close()
	})
}

func TestUnwantedHoldIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, g := newFleet(t).holding(0)
		r := m.grab(false)
		r.next()
		r.next()
		close(g.unwanted)
		if fate := <-g.fate; fate != "cut" {
			t.Error(fate)
		}
		if _, err := r.read(); !errors.Is(err, io.EOF) {
			t.Errorf("the stream goes on: %v", err)
		}
	})
}

func TestHoldsAreRefused(t *testing.T) {
	own := map[string]string{"Elector-Request": "1"}
	open := func(err error) func(context.Context) (Hold, error) {
		return func(context.Context) (Hold, error) { return nil, err }
	}
	for _, c := range []struct {
		name   string
		holds  Holds
		header map[string]string
		body   string
		status int
	}{
		{"a page elsewhere", Holds{Open: open(nil)}, nil, "", 403},
		{"none are taken", Holds{}, own, "", 503},
		{"no body for signs of life", Holds{Open: open(nil), Timeout: time.Second}, own, "", 411},
		{"the elector has ended", Holds{Open: open(election.ErrNoSession)}, own, "", 503},
	} {
		api := newAPI(leading())
		api.holds = c.holds
		rec := order{method: http.MethodPost, path: "/hold", body: c.body, header: c.header}.send(api.Main())
		if rec.Code != c.status || !strings.Contains(rec.Body.String(), "hint") {
			t.Errorf("%s: %d %s", c.name, rec.Code, rec.Body)
		}
	}
}

func TestALostHoldIsToldFromOneThatWasLetGo(t *testing.T) {
	for err, want := range map[error]bool{
		nil: true, context.Canceled: false, errLetGo: false, io.ErrUnexpectedEOF: false, net.ErrClosed: false,
		&net.OpError{Op: "write", Err: timedOut{}}: true, &net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.EHOSTUNREACH)}: true,
		&net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)}: false,
	} {
		if lost(err) != want {
			t.Errorf("%v: lost %v", err, !want)
		}
	}
}

type timedOut struct{}

func (timedOut) Error() string   { return "timed out" }
func (timedOut) Timeout() bool   { return true }
func (timedOut) Temporary() bool { return true }

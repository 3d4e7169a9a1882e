package httpapi

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/elector-dev/elector/internal/election"
	"github.com/elector-dev/elector/internal/electiontest"
)

// fleet is electors on a fake etcd, each with the server of its main listener.
type fleet struct {
	*testing.T
	clock   *bubble
	cluster *electiontest.Cluster
}

func newFleet(t *testing.T) *fleet {
	clock := &bubble{start: time.Now()}
	return &fleet{t, clock, electiontest.NewCluster(clock)}
}

// member is an elector of a fleet. Its server's connections are pipes, so that it does in bubble time all
// it does.
type member struct {
	*election.Elector
	*pipes
	t      *testing.T
	server *http.Server
	stop   context.CancelFunc
	ended  chan struct{} // Run has returned
	asked  atomic.Int64  // requests in handlers
}

// join starts an elector and its server. Both end with the test, or before.
func (f *fleet) join(identity string) *member {
	f.Helper()
	e, err := election.New(election.Config{
		Identity: identity, Incarnation: identity + "-1", Election: "shop/billing", TTL: 10 * time.Second, AnswerMax: 2 * time.Second,
		Clock: f.clock, Store: f.cluster.Store(identity, identity+"-1"), Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		f.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	m := &member{Elector: e, pipes: newPipes(), t: f.T, stop: stop, ended: make(chan struct{})}
	h := newAPI(e).Main()
	m.server = NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.asked.Add(1)
		defer m.asked.Add(-1)
		h.ServeHTTP(w, r)
	}))
	m.server.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(m.ended)
		if err := e.Run(ctx, nil); err != nil {
			f.Error(err)
		}
	})
	wg.Go(func() {
		if err := m.server.Serve(m.pipes); !errors.Is(err, http.ErrServerClosed) {
			f.Error(err)
		}
	})
	f.Cleanup(func() {
		stop()
		<-m.ended
		m.server.Close()
		wg.Wait()
	})
	return m
}

// pair is an elector that leads and one that follows.
func (f *fleet) pair() (leader, follower *member) {
	leader = f.join("a")
	leader.await("leading", func(a election.Answer) bool { return a.Leading })
	follower = f.join("b")
	follower.await("following a", func(a election.Answer) bool { return follows(a) && a.Leader.Identity == "a" })
	return leader, follower
}

// await blocks until what the elector answers is as wanted, for a minute at most.
func (m *member) await(what string, want func(election.Answer) bool) election.Answer {
	m.t.Helper()
	limit := time.After(time.Minute)
	for {
		_, changed := m.Watch()
		now := m.Look()
		if want(now) {
			return now
		}
		select {
		case <-changed:
		case <-limit:
			m.t.Fatalf("%s: not %s: %+v", m.Identity(), what, now)
		}
	}
}

// resign has a leader give the lead up, without waiting for promises.
func (m *member) resign() {
	m.t.Helper()
	if err := m.Resign(m.t.Context(), election.Resignation{Token: m.Look().Token}); err != nil {
		m.t.Fatal(err)
	}
}

// get asks over a connection of its own and returns the status and the body; 0 when there is no answer.
func (m *member) get(target string) (status int, body string) {
	conn := m.dial()
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET "+target+" HTTP/1.1\r\nHost: elector\r\n\r\n"); err != nil {
		return 0, ""
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0, ""
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, ""
	}
	return resp.StatusCode, string(b)
}

// inBackground is get, whose answer comes through a channel. It returns when the request is being handled.
func (m *member) inBackground(target string) <-chan answered {
	done := make(chan answered, 1)
	asked := time.Now()
	go func() {
		status, body := m.get(target)
		done <- answered{status, body, time.Since(asked)}
	}()
	synctest.Wait()
	return done
}

type answered struct {
	status int
	body   string
	after  time.Duration
}

// idle reports an error if a request is in a handler.
func (m *member) idle() {
	m.t.Helper()
	synctest.Wait()
	if n := m.asked.Load(); n != 0 {
		m.t.Errorf("%d requests are in handlers", n)
	}
}

// pipes is a listener for connections within the process.
type pipes struct {
	dialled chan net.Conn
	closed  chan struct{}
	once    sync.Once
}

func newPipes() *pipes { return &pipes{dialled: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.dialled:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "pipe"} }

// dial connects. What is written to a pipe is not buffered: a peer that does not read holds the writer up.
func (p *pipes) dial() net.Conn {
	near, far := net.Pipe()
	select {
	case p.dialled <- far:
	case <-p.closed:
		near.Close()
	}
	return near
}

// reader reads an event stream.
type reader struct {
	t    *testing.T
	conn net.Conn
	text *bufio.Reader
}

// event is a block of an event stream.
type event struct {
	id, name, data, comment, retry string
	after                          time.Duration // since it was asked for
}

// open asks for a stream; headers are whole lines.
func (m *member) open(target string, headers ...string) *reader {
	m.t.Helper()
	return openOn(m.t, m.dial(), target, headers...)
}

func openOn(t *testing.T, conn net.Conn, target string, headers ...string) *reader {
	t.Helper()
	return openAs(t, conn, http.MethodGet, target, append([]string{"Host: elector"}, headers...)...)
}

func openAs(t *testing.T, conn net.Conn, method, target string, headers ...string) *reader {
	t.Helper()
	t.Cleanup(func() { conn.Close() })
	lines := append([]string{method + " " + target + " HTTP/1.1"}, headers...)
	if _, err := io.WriteString(conn, strings.Join(lines, "\r\n")+"\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReaderSize(conn, 64), nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" || resp.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%s: %d %v", target, resp.StatusCode, resp.Header)
	}
	return &reader{t, conn, bufio.NewReaderSize(resp.Body, 64)}
}

// read returns the next block, and an error when the stream has ended or is cut.
func (r *reader) read() (e event, err error) {
	asked := time.Now()
	for {
		line, err := r.text.ReadString('\n')
		if err != nil {
			return e, err
		}
		line = strings.TrimSuffix(line, "\n")
		field, value, _ := strings.Cut(line, ": ")
		switch field {
		case "id":
			e.id = value
		case "event":
			e.name = value
		case "data":
			e.data = value
		case "retry":
			e.retry = value
		case "":
			if line == "" {
				e.after = time.Since(asked)
				return e, nil
			}
			e.comment = value
		default:
			r.t.Errorf("line %q", line)
		}
	}
}

// next is read of a stream that must go on.
func (r *reader) next() event {
	r.t.Helper()
	e, err := r.read()
	if err != nil {
		r.t.Fatal(err)
	}
	return e
}

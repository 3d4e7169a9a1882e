package httpapi

import (
	"bufio"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// crowd is a server that takes few connections, and the handler's requests wait for its word.
type crowd struct {
	*pipes
	t       *testing.T
	release chan struct{}
}

func newCrowd(t *testing.T, most int) *crowd {
	c := &crowd{newPipes(), t, make(chan struct{})}
	server := newServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/held" {
			<-c.release
		}
	}), most)
	server.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(c.pipes) }()
	t.Cleanup(func() {
		server.Close()
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return c
}

// says dials and sends a text, and returns when the server has taken it in.
func (c *crowd) says(text string) *line {
	conn := c.dial()
	c.t.Cleanup(func() { conn.Close() })
	l := &line{conn, bufio.NewReader(conn)}
	synctest.Wait()
	l.say(text)
	time.Sleep(time.Millisecond) // so that no two are idle for equally long
	return l
}

// line is a connection to a crowd's server.
type line struct {
	net.Conn
	text *bufio.Reader
}

func (l *line) say(text string) {
	_, _ = io.WriteString(l, text) // it may be closed
	synctest.Wait()
}

func (l *line) answered() bool {
	resp, err := http.ReadResponse(l.text, nil)
	if err != nil {
		return false
	}
	resp.Body.Close()
	time.Sleep(time.Millisecond)
	return resp.StatusCode == http.StatusOK
}

// closed reports whether the server has closed the connection.
func (l *line) closed() bool {
	_ = l.SetReadDeadline(time.Now().Add(time.Nanosecond))
	_, err := l.text.ReadByte()
	_ = l.SetReadDeadline(time.Time{})
	return errors.Is(err, io.EOF)
}

const (
	ask1 = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
	held = "GET /held HTTP/1.1\r\nHost: x\r\n\r\n"
)

func TestLongestIdleConnectionMakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, 4)
		silent, half, used, busy := c.says(""), c.says(ask1[:20]), c.says(ask1), c.says(held)
		if !used.answered() {
			t.Fatal("no answer to the third")
		}
		var after []*line
		for i, made := range []*line{silent, half, used} {
			if made.closed() {
				t.Errorf("connection %d is closed too early", i)
			}
			l := c.says(ask1)
			if after = append(after, l); !l.answered() || !made.closed() {
				t.Errorf("connection %d has not made room", i)
			}
		}
		after[0].say(ask1) // now the second has been idle for longest
		if !after[0].answered() {
			t.Error("no second answer")
		}
		if l := c.says(ask1); !l.answered() || after[0].closed() || !after[1].closed() || after[2].closed() {
			t.Error("not the longest idle has made room")
		}
		close(c.release)
		if !busy.answered() {
			t.Error("a request in a handler was cut off")
		}
	})
}

func TestConnectionThatFindsAllOthersBusyIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, 2)
		busy := []*line{c.says(held), c.says(held)}
		if l := c.says(ask1); !l.closed() {
			t.Error("one more than may be is open")
		}
		close(c.release)
		for _, l := range busy {
			if !l.answered() {
				t.Error("a request in a handler was cut off")
			}
		}
		if l := c.says(ask1); !l.answered() || busy[0].closed() == busy[1].closed() {
			t.Error("not one has made room when they are idle")
		}
	})
}

func TestClosedConnectionsLeaveRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, 2)
		first := c.says(ask1)
		if !first.answered() {
			t.Fatal("no answer")
		}
		for range 5 {
			l := c.says(ask1)
			if !l.answered() {
				t.Error("no answer")
			}
			l.Close()
			synctest.Wait()
		}
		if first.closed() {
			t.Error("made room for connections that were closed")
		}
	})
}

func TestHandlerPanicLeavesItsConnectionIdle(t *testing.T) {
	conns := newConns(1)
	near, far := net.Pipe()
	defer near.Close()
	ctx := conns.admit(t.Context(), far)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "/", strings.NewReader(""))
	if err != nil {
		t.Fatal(err)
	}
	func() {
		defer func() { _ = recover() }()
		conns.handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("broken") })).ServeHTTP(nil, req)
	}()
	if other, _ := net.Pipe(); conns.admit(t.Context(), other) == t.Context() {
		t.Error("still busy")
	}
}

func TestConnectionMakesRoomOnce(t *testing.T) {
	conns := newConns(1)
	for range 3 { // sooner than the server finds any of them closed
		near, far := net.Pipe()
		defer near.Close()
		conns.admit(t.Context(), far)
	}
	if len(conns.at) != 1 {
		t.Errorf("%d connections", len(conns.at))
	}
}

package httpapi

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
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

// guest is a connection from an address.
type guest struct {
	net.Conn
	from string
}

func (g guest) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(g.from), 1))
}

func (g guest) gone() bool {
	_ = g.SetWriteDeadline(time.Unix(1, 0))
	_, err := g.Write(nil)
	return errors.Is(err, io.ErrClosedPipe)
}

func TestGreedyHostShutsOutItself(t *testing.T) {
	conns := newConns(6)
	come := func(from string) guest {
		near, far := net.Pipe()
		t.Cleanup(func() { near.Close() })
		g := guest{far, from}
		conns.admit(t.Context(), g)
		return g
	}
	probe, other := come("10.0.0.1"), come("2001:db8:0:1::1")
	for i := range 50 {
		if from := []string{"10.0.0.2", "2001:db8::", "::ffff:10.0.0.2"}[i%3]; from == "2001:db8::" {
			come(fmt.Sprint(from, i)) // one host has many of these
		} else {
			come(from)
		}
	}
	if probe.gone() || other.gone() {
		t.Error("others' idle connections made room for the greedy")
	}
	if len(conns.at) != 6 {
		t.Errorf("%d connections", len(conns.at))
	}
	for conn := range conns.at {
		conns.follow(conn, http.StateClosed)
	}
	if len(conns.of) != 0 {
		t.Errorf("hosts are remembered: %v", conns.of)
	}
}

func TestConnectionIsBusyUntilTheLastOfItsRequestsHasEnded(t *testing.T) {
	conns := newConns(1)
	near, far := net.Pipe()
	defer near.Close()
	ctx := conns.admit(t.Context(), far)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "/", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	admitted := func() bool { other, _ := net.Pipe(); return conns.admit(t.Context(), other) != t.Context() }
	inner := conns.handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	conns.handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inner.ServeHTTP(w, r) // as HTTP/2 does beside the first
		if admitted() {
			t.Error("a connection with a request in a handler made room")
		}
	})).ServeHTTP(nil, req)
	if !admitted() {
		t.Error("no room was made by an idle connection")
	}
}

// A farewell of TLS would be written while nobody else can be admitted, to a peer that does not read.
func TestRoomIsMadeWithoutWaitingForAPeerOfTLS(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	conns := newConns(1)
	server := httptest.NewUnstartedServer(nil)
	server.StartTLS()
	defer server.Close()
	conn := tls.Server(far, &tls.Config{Certificates: server.TLS.Certificates})
	conns.admit(t.Context(), conn)
	shaken := make(chan error, 1)
	go func() { shaken <- conn.Handshake() }()
	if err := tls.Client(near, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}).Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-shaken; err != nil {
		t.Fatal(err)
	}
	admitted := make(chan struct{})
	go func() { conns.admit(t.Context(), guest{nil, "10.0.0.1"}); close(admitted) }()
	if _, err := near.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("not cut, but told something: %v", err)
	}
	<-admitted
}

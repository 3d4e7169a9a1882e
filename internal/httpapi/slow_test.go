package httpapi

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// serveOn has the server of a listener serve connections within the process until the test ends.
func serveOn(t *testing.T, h http.Handler) *pipes {
	p, server := newPipes(), NewServer(h)
	server.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(p) }()
	t.Cleanup(func() {
		server.Close()
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return p
}

// lasts says something on a connection, and a little more each second, until the server has closed it.
func lasts(conn net.Conn, say, drip string, reads bool) time.Duration {
	defer conn.Close()
	var reader sync.WaitGroup
	defer reader.Wait()
	began := time.Now()
	closed := make(chan struct{})
	if reads {
		reader.Go(func() { _, _ = io.Copy(io.Discard, conn); close(closed) })
	}
	for _, err := io.WriteString(conn, say); err == nil; _, err = io.WriteString(conn, drip) {
		select {
		case <-closed:
			return time.Since(began)
		case <-time.After(time.Second):
		}
		if drip == "" && reads {
			<-closed
			return time.Since(began)
		}
	}
	return time.Since(began)
}

// Nothing that is read into a pipe waits in a buffer, so that a peer which does not read holds its writer up at once.
func TestNoConnectionLastsLongerThanItMay(t *testing.T) {
	const (
		put  = "PUT /value HTTP/1.1\r\nHost: localhost\r\nElector-Request: 1\r\nElector-Token: 4242\r\n"
		ask  = "GET /leader HTTP/1.1\r\nHost: x\r\n\r\n"
		many = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
	)
	const header, body, answer, idle = 5 * time.Second, 10 * time.Second, 10 * time.Second, 2 * time.Minute
	api := newAPI(leading())
	for listener, h := range map[string]http.Handler{"main": api.Main(), "probe": api.Probe()} {
		for _, c := range []struct {
			name, say, drip string
			reads           bool
			within          time.Duration
		}{
			{"says nothing", "", "", true, header},
			{"half a request line", "GET /lea", "", true, header},
			{"half its headers", ask[:30], "", true, header},
			{"a byte of a header each second", ask[:30] + "X: ", "x", true, header},
			{"an empty line each second", "", "\r\n", true, header},
			{"headers without end", "GET / HTTP/1.1\r\nHost: x\r\nX: ", strings.Repeat("x", 8<<10), true, header},
			{"speaks TLS", "\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03", "", true, header},
			{"a request, and no more", ask, "", true, idle},
			{"a request, and half of the next", ask + ask[:30], "", true, header},
			{"no body", put + "Content-Length: 9\r\n\r\n", "", true, body},
			{"no body of a read", ask[:len(ask)-2] + "Content-Length: 9\r\n\r\n", "", true, body},
			{"a byte of the body each second", put + "Content-Length: 99\r\n\r\n", "x", true, body},
			{"a body without end", put + "Transfer-Encoding: chunked\r\n\r\n", "4000\r\n" + strings.Repeat("x", 16<<10) + "\r\n", true, body},
			{"half a chunk", put + "Transfer-Encoding: chunked\r\n\r\n9\r\nx", "", true, body},
			{"wants to be asked for the body", put + "Expect: 100-continue\r\nContent-Length: 9\r\n\r\n", "", true, body},
			{"reads no answer", ask, ask, false, answer},
			{"reads none of many answers", strings.Repeat(many, 500), many, false, answer},
		} {
			t.Run(listener+"/"+c.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p := serveOn(t, h)
					if open := lasts(p.dial(), c.say, c.drip, c.reads); open > c.within+time.Second { // one more drop
						t.Errorf("open for %v, more than %v", open, c.within)
					}
				})
			})
		}
	}
}

// By default a connection of HTTP/2 has 250 requests at once, and 1 MiB of what nobody has read.
func TestAConnectionOfHTTP2HasFewRequestsAtOnce(t *testing.T) {
	srv := httptest.NewUnstartedServer(nil)
	srv.Config = NewProbeServer(newAPI(leading()).Probe())
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	conn, err := tls.Dial("tcp", srv.Listener.Addr().String(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"); err != nil {
		t.Fatal(err)
	}
	head := make([]byte, 9) // RFC 9113, sections 4.1 and 6.5
	if _, err := io.ReadFull(conn, head); err != nil || head[3] != 4 {
		t.Fatalf("no settings come first: %x, %v", head, err)
	}
	settings := make([]byte, int(head[1])<<8|int(head[2]))
	if _, err := io.ReadFull(conn, settings); err != nil {
		t.Fatal(err)
	}
	told := map[uint16]uint32{}
	for ; len(settings) >= 6; settings = settings[6:] {
		told[binary.BigEndian.Uint16(settings)] = binary.BigEndian.Uint32(settings[2:])
	}
	const streams, window = 3, 4
	if told[streams] != 8 || told[window] > 16<<10 {
		t.Errorf("the settings are %v", told)
	}
}

func TestEveryBodyHasALimit(t *testing.T) {
	header := map[string]string{"Elector-Request": "1", "Elector-Token": "4242"}
	api := newAPI(leading())
	for _, rt := range api.routes() {
		for _, method := range []string{http.MethodPost, http.MethodPut} {
			if !rt.methods.has(method) || len(rt.methods) == 0 || rt.path == "/hold" { // which keeps nothing of what it reads
				continue
			}
			rec := order{method: method, path: rt.path, header: header, body: strings.Repeat(" ", 1<<20)}.send(api.Main())
			if unread := rt.path == "/undrain" || rt.path == "/unfence"; !unread && rec.Code != http.StatusRequestEntityTooLarge {
				t.Errorf("%s %s takes 1 MiB: %d %s", method, rt.path, rec.Code, rec.Body)
			}
		}
	}
}

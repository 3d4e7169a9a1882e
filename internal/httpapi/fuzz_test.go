package httpapi

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// script is a connection whose peer has said all that it will say, and reads whatever comes.
type script struct {
	net.Conn // none: a method that is not below is not used
	said     *bytes.Reader
	closed   chan struct{}
	once     sync.Once
	mu       sync.Mutex // guards answer: streams and the server write in turn
	answer   bytes.Buffer
}

func (s *script) Read(b []byte) (int, error) { return s.said.Read(b) }

func (s *script) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.answer.Write(b)
}

func (s *script) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

func (s *script) LocalAddr() net.Addr              { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4040} }
func (s *script) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }
func (s *script) SetDeadline(time.Time) error      { return nil }
func (s *script) SetReadDeadline(time.Time) error  { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }

// untouched fails a test when the elector was asked to change something.
func untouched(t *testing.T, e *scripted, said []byte) {
	t.Helper()
	if e.put.Token != 0 || e.resigned.Token != 0 || e.resigned.Cooldown != 0 || e.passed.To != "" || e.now.Phase != following().now.Phase {
		t.Errorf("%q changes something: %+v", said, e)
	}
}

// FuzzRequest: whatever a connection says to a follower that others can reach, through the real server, it is told no
// yes, changes nothing, gets no more answers than it asked for, and each of them is as this server writes it.
func FuzzRequest(f *testing.F) {
	const own = "Host: localhost\r\nElector-Request: 1\r\nAuthorization: Bearer x\r\n"
	for _, rt := range newAPI(following()).routes() {
		f.Add([]byte("GET " + rt.path + " HTTP/1.1\r\nHost: x\r\n\r\n"))
		if rt.methods.has(http.MethodPost) {
			f.Add([]byte("POST " + rt.path + " HTTP/1.1\r\n" + own + "Elector-Token: 4242\r\nContent-Length: 2\r\n\r\n{}"))
		}
	}
	for _, said := range []string{
		"PUT /value HTTP/1.1\r\n" + own + "Elector-Token: 7\r\nIf-Match: \"7\"\r\nTransfer-Encoding: chunked\r\n\r\n1;a=b\r\nx\r\n0\r\n\r\n" + behind,
		"GET /follower HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + behind,
		"GET http://localhost/leader?wait=1ms&max=1s HTTP/1.1\r\nHost: y\r\n\r\nHEAD /status?after=a-1&wait=1ms HTTP/1.0\n\n",
		"GET /readyz?contact=required&role=leader HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\nOPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /events?renewals=1&max=100ms HTTP/1.1\r\nHost: x\r\nLast-Event-ID: a-\x00\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\x16\x03\x01\x00\xa5\x01",
		"GET /value HTTP/1.1\r\nHost: x\r\nIf-None-Match: W/\"77\", *\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx",
	} {
		f.Add([]byte(said))
	}
	file := tokenFile(f)
	server := NewServer(nil)
	server.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	p, current := newPipes(), http.Handler(nil)
	server.Handler = newConns(maxConns).handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { current.ServeHTTP(w, r) }))
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(p) }()
	f.Cleanup(func() {
		server.Close()
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			f.Error(err)
		}
	})
	f.Fuzz(func(t *testing.T, said []byte) {
		e := following()
		e.now.Ended = true // so that nothing waits or streams for long
		writes := Writes{Exposed: true}
		if len(said)%2 == 1 {
			writes.TokenFile = file
		}
		api := New(Config{Elector: e, Election: "shop/billing", Metrics: http.NotFoundHandler(), Writes: writes})
		if current = api.Main(); len(said)%3 == 0 {
			current = api.Probe()
		}
		conn := &script{said: bytes.NewReader(said), closed: make(chan struct{})}
		p.dialled <- conn
		<-conn.closed
		untouched(t, e, said)
		conn.mu.Lock()
		defer conn.mu.Unlock()
		judgeAnswers(t, said, conn.answer.Bytes())
	})
}

// judgeAnswers holds what came back against what was said.
func judgeAnswers(t *testing.T, said, all []byte) {
	t.Helper()
	answers, n := bufio.NewReader(bytes.NewReader(all)), 0
	for _, err := answers.Peek(1); err == nil; _, err = answers.Peek(1) {
		// Whether a body follows depends on the request's method, which the answer does not tell.
		head, body, ok := bytes.Cut(rest(answers), []byte("\r\n\r\n"))
		r, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(append(slices.Clone(head), "\r\n\r\n"...))), &http.Request{Method: http.MethodHead})
		if !ok || err != nil {
			t.Fatalf("%q is answered with %q: %v", said, all, err)
		}
		if n++; r.StatusCode == http.StatusContinue {
			n--
		}
		for name := range r.Header {
			if !slices.Contains(answerHeaders, name) {
				t.Errorf("%q is answered with the header %q", said, name)
			}
		}
		next := bytes.Index(body, []byte("HTTP/1."))
		if next < 0 {
			next = len(body)
		}
		judgeBody(t, said, r, body[:next])
		answers.Reset(bytes.NewReader(body[next:]))
	}
	if asked := bytes.Count(said, []byte("HTTP/")) + 1; n > asked { // one may be for what is no request at all
		t.Errorf("%q gets %d answers: %q", said, n, all)
	}
}

// answerHeaders are all that an answer to a reader may have.
var answerHeaders = []string{
	"Allow", "Cache-Control", "Connection", "Content-Length", "Content-Security-Policy", "Content-Type", "Date", "Elector-Token", "Etag",
	"Www-Authenticate", "Referrer-Policy", "X-Content-Type-Options", "Transfer-Encoding", "Retry-After",
}

func judgeBody(t *testing.T, said []byte, r *http.Response, body []byte) {
	t.Helper()
	if text := string(body); strings.Contains(text, `"leading":true`) || strings.Contains(text, `"is_leader":true`) {
		t.Errorf("%q is told a yes: %d %s", said, r.StatusCode, body)
	}
	ours := r.Header.Get("Cache-Control") == "no-store"
	if !ours && r.StatusCode < 400 && r.StatusCode != http.StatusContinue && len(body) > 0 {
		t.Errorf("%q is answered by somebody else: %d %v %q", said, r.StatusCode, r.Header, body)
	}
	if r.Header.Get("Content-Type") != "application/json" {
		return
	}
	if len(body) > 0 && !json.Valid(body) {
		t.Errorf("%q gets no JSON: %q", said, body)
	}
}

// rest is all that a reader has still.
func rest(r io.Reader) []byte {
	b, _ := io.ReadAll(r) // of memory
	return b
}

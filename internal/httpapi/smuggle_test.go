package httpapi

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// behind is a request that somebody hides behind another one: whatever lets only reads through to this server has not
// seen it.
const behind = "POST /resign HTTP/1.1\r\nHost: localhost\r\nElector-Request: 1\r\nConnection: close\r\n\r\n"

// A request whose end two readers can see in different places is refused or its connection's last; what is left is two
// requests to everybody.
func TestARequestBehindAnotherIsNotReached(t *testing.T) {
	const chunked = "Transfer-Encoding: chunked\r\n\r\n"
	read := func(header string) string { return "GET /follower HTTP/1.1\r\nHost: x\r\n" + header }
	for _, c := range []struct {
		name, request string
		want          []int // in order; then the connection ends
	}{
		{"two lengths", read("Content-Length: 0\r\nContent-Length: 5\r\n\r\n"), []int{400}},
		{"a list of lengths", read("Content-Length: 0, 0\r\n\r\n"), []int{400}},
		{"a signed length", read("Content-Length: +0\r\n\r\n"), []int{400}},
		{"a length in hexadecimal", read("Content-Length: 0x0\r\n\r\n"), []int{400}},
		{"a length and chunks", read("Content-Length: 5\r\n" + chunked + "0\r\n\r\n"), []int{503}},
		{"chunks and a length", read("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"), []int{503}},
		{"chunks", read(chunked + "0\r\n\r\n"), []int{503}},
		{"two encodings", read("Transfer-Encoding: identity\r\n" + chunked + "0\r\n\r\n"), []int{501}},
		{"another encoding", read("Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"), []int{501}},
		{"a list of encodings", read("Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), []int{501}},
		{"an encoding behind a tab", read("Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n"), []int{400}},
		{"an encoding before a space", read("Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"), []int{400}},
		{"an encoding on a line of its own", read("Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"), []int{503}},
		{"a chunk with an extension", read(chunked + "1;a=\"\r\n\r\"\r\nx\r\n0\r\n\r\n"), []int{503}},
		{"a chunk extension that a line feed ends", read(chunked + "2;\nxx\r\n10\r\n0\r\n\r\n"), []int{503}},
		{"chunks with line feeds", read(chunked + "0\n\n"), []int{503}},
		{"a chunk of a negative size", read(chunked + "-1\r\n\r\n"), []int{503}},
		{"a chunk larger than there is", read(chunked + "10000000000000000\r\n\r\n"), []int{503}},
		{"trailers", read("Trailer: X\r\n" + chunked + "0\r\nX: " + "y\r\n\r\n"), []int{503}},
		{"HTTP/1.0 with chunks", "GET /follower HTTP/1.0\r\nConnection: keep-alive\r\n" + chunked + "0\r\n\r\n", []int{503, 400}},
		{"absolute form with another host", "GET http://other/follower HTTP/1.1\r\nHost: x\r\n\r\n", []int{503}},
		{"absolute form of another scheme", "GET ftp://other/follower HTTP/1.1\r\nHost: x\r\n\r\n", []int{503}},
		{"a host in the path", "GET //other/follower HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", []int{404}},
		{"two hosts", read("Host: y\r\n\r\n"), []int{400}},
		{"no host", "GET /follower HTTP/1.1\r\n\r\n", []int{400}},
		{"a folded first header", "GET /follower HTTP/1.1\r\n Host: x\r\n\r\n", []int{400}},
		{"a carriage return in a header", read("X: a\rContent-Length: 5\r\n\r\n"), []int{400}},
		{"a zero in a header", read("X: a\x00\r\n\r\n"), []int{400}},
		{"a zero in a name", read("X\x00: a\r\n\r\n"), []int{400}},
		{"HTTP/0.9", "GET /follower\r\n\r\n", []int{400}},
		{"HTTP/2 without TLS", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", []int{404}},
		{"headers that are too long", read("X: " + strings.Repeat("a", 32<<10) + "\r\n\r\n"), []int{431}},
		{"a path that is too long", "GET /" + strings.Repeat("a", 32<<10) + " HTTP/1.1\r\nHost: x\r\n\r\n", []int{431}},
		{"too many headers", read(strings.Repeat("X:\r\n", 8<<10) + "\r\n"), []int{431}},
		{"an expectation", read("Expect: kitten\r\n\r\n"), []int{417}},

		{"its length is that of a read's body", read(fmt.Sprintf("Content-Length: %d\r\nConnection: close\r\n\r\n", len(behind))), []int{503}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, resigned := converse(t, c.request+behind); !slices.Equal(got, c.want) || resigned {
				t.Errorf("answers %v, want %v; the one behind was reached: %v", got, c.want, resigned)
			}
		})
	}
	for name, request := range map[string]string{
		"the length twice": read("Content-Length: 1\r\nContent-Length: 1\r\n\r\nx"),
		"a folded header":  read("X: a\r\n b\r\n\r\n"),
		"line feeds":       "GET /follower HTTP/1.1\nHost: x\n\n",
		"another protocol": read("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"),
	} {
		t.Run(name, func(t *testing.T) {
			if got, resigned := converse(t, request+behind); !slices.Equal(got, []int{503, 200}) || !resigned {
				t.Errorf("two requests are answered with %v", got)
			}
		})
	}
}

// converse says something on a connection, and returns the statuses that come until the server ends it.
func converse(t *testing.T, text string) (statuses []int, resigned bool) {
	t.Helper()
	e := leading()
	seen := make(chan string, 8)
	api := newAPI(e).Main()
	server := NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- r.URL.Path
		api.ServeHTTP(w, r)
	}))
	ended, follow := make(chan struct{}, 1), server.ConnState
	server.ConnState = func(conn net.Conn, state http.ConnState) {
		if follow(conn, state); state == http.StateClosed {
			ended <- struct{}{}
		}
	}
	conn := connect(t, tcp(t, server))
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.WriteString(conn, text) }() // it may be closed before all of it is read
	all, err := io.ReadAll(conn)
	if errors.As(err, new(net.Error)) && err.(net.Error).Timeout() {
		t.Fatalf("left open after %q", all)
	}
	conn.Close()
	<-ended // the server looks for half a second whether the peer of a refused request has understood
	answers := bufio.NewReader(bytes.NewReader(all))
	for {
		r, err := http.ReadResponse(answers, nil)
		if err != nil {
			break
		}
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			t.Errorf("an answer is cut: %q", all)
		}
		statuses = append(statuses, r.StatusCode)
	}
	for len(seen) > 0 {
		resigned = <-seen == "/resign" || resigned
	}
	return statuses, resigned
}

func TestAWriteInAbsoluteFormIsRefused(t *testing.T) {
	e := leading()
	rec := order{method: http.MethodPost, path: "http://localhost/resign", header: map[string]string{"Elector-Request": "1"}}.send(newAPI(e).Main())
	if rec.Code != http.StatusForbidden || !e.now.Leading || rec.Header().Get("Connection") != "close" {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
}

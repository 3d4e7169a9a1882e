package rig

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Line is a kept-alive connection to one HTTP server, which asks with as little work as possible, so that the
// machine is left to those who answer. It is for one goroutine.
type Line struct {
	addr string
	conn net.Conn
	r    *bufio.Reader
}

// NewLine returns a line that connects when it is first used.
func NewLine(addr string) *Line { return &Line{addr: addr} }

// Close ends the connection.
func (l *Line) Close() {
	if l.conn != nil {
		_ = l.conn.Close()
		l.conn = nil
	}
}

// Get asks for a path and returns status and body. After an error the next one connects anew. It blocks for
// at most five seconds.
func (l *Line) Get(path string) (status int, body []byte, err error) {
	return l.Do("GET " + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

// Do sends a request as it is and reads the answer.
func (l *Line) Do(request string) (status int, body []byte, err error) {
	defer func() {
		if err != nil {
			l.Close()
		}
	}()
	if l.conn == nil {
		if l.conn, err = net.DialTimeout("tcp", l.addr, time.Second); err != nil {
			l.conn = nil
			return 0, nil, err
		}
		l.r = bufio.NewReaderSize(l.conn, 8<<10)
	}
	if err = l.conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return 0, nil, err
	}
	if _, err = io.WriteString(l.conn, request); err != nil {
		return 0, nil, err
	}
	resp, err := http.ReadResponse(l.r, nil)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(resp.Body)
	return resp.StatusCode, body, err
}

// Skip asks with a prepared request and drops the answer, which must be of known length; it is for load.
func (l *Line) Skip(request []byte) (status int, err error) {
	if l.conn == nil {
		if l.conn, err = net.Dial("tcp", l.addr); err != nil {
			return 0, err
		}
		l.r = bufio.NewReaderSize(l.conn, 8<<10)
	}
	if _, err = l.conn.Write(request); err != nil {
		return 0, err
	}
	length := -1
	for first := true; ; first = false {
		line, err := l.r.ReadSlice('\n')
		switch {
		case err != nil:
			return 0, err
		case first && len(line) > 12:
			if status, err = strconv.Atoi(string(line[9:12])); err != nil {
				return 0, err
			}
		case len(line) <= 2:
			if length < 0 {
				return 0, errors.New("an answer without its length")
			}
			_, err = l.r.Discard(length)
			return status, err
		case len(line) > 16 && strings.EqualFold(string(line[:16]), "content-length: "):
			if length, err = strconv.Atoi(strings.TrimSpace(string(line[16:]))); err != nil {
				return 0, err
			}
		}
	}
}

// Await polls a path, with a pause in between, until the answer is what is wanted, and returns when that had
// been asked and when it had come. An error or a refused connection is an answer with status 0.
func (l *Line) Await(ctx context.Context, path string, pause time.Duration, want func(status int, body []byte) bool) (asked, came time.Time, err error) {
	for {
		asked = time.Now()
		status, body, err := l.Get(path)
		came = time.Now()
		if err != nil {
			status = 0
		}
		if want(status, body) {
			return asked, came, nil
		}
		select {
		case <-ctx.Done():
			return asked, came, fmt.Errorf("wait for %s of %s, last status %d: %w", path, l.addr, status, context.Cause(ctx))
		case <-time.After(pause):
		}
	}
}

// Yes is the answer of who leads, and No every other one.
func Yes(status int, _ []byte) bool { return status == http.StatusOK }

// No is every answer but a yes.
func No(status int, _ []byte) bool { return status != http.StatusOK }

// Stream sends a request and reads what comes until that ends, by an error or by the server's choice.
func (l *Line) Stream(request string) (status int, length int64, err error) {
	if l.conn, err = net.DialTimeout("tcp", l.addr, time.Second); err != nil {
		return 0, 0, err
	}
	defer l.Close()
	if _, err = io.WriteString(l.conn, request); err != nil {
		return 0, 0, err
	}
	resp, err := http.ReadResponse(bufio.NewReader(l.conn), nil)
	if err != nil {
		return 0, 0, err
	}
	defer resp.Body.Close()
	length, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, length, err
}

package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestEventsResumeWhereTheStreamEnded(t *testing.T) {
	asked := make(chan string, 16)
	n := 0
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Header.Get("Last-Event-ID")
		n++
		fmt.Fprintf(w, ": hello\r\nretry: 5\r\n\r\nid: x-%d\r\ndata: {\"seq\":%d,\r\ndata: \"incarnation\":\"x\"}\r\n\r\nevent: later\ndata: ?\n\nevent: end\ndata: {}\n\nid: y-1\ndata: cut", n, n)
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var seen []string
	failures := 0
	for s, err := range c.Events(ctx, true) {
		if err != nil {
			failures++
			continue
		}
		if seen = append(seen, s.Position()); len(seen) == 3 {
			break
		}
	}
	if fmt.Sprint(seen) != "[x-1 x-2 x-3]" || failures != 2 {
		t.Errorf("saw %v and %d failures", seen, failures)
	}
	for _, want := range []string{"", "x-1", "x-2"} {
		if got := <-asked; got != want {
			t.Errorf("asked from %q, want %q", got, want)
		}
	}
}

// FuzzEvents: the parser ends, bounds what it holds, and agrees with itself on the two forms of line ends.
func FuzzEvents(f *testing.F) {
	for _, s := range []string{"data: x\n\n", "id: 1\r\ndata\r\n\r\n", ": c\n\n\ndata:x\ndata: y\n\n", "id:\x00\ndata: z\n\nevent: end\n\n", "\r\r\n\n", "data: cut"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		parse := func(b []byte) (all []string) {
			e := newEvents(bytes.NewReader(b))
			for {
				ev, err := e.next()
				if err != nil {
					return all
				}
				if len(ev.data) > maxEvent {
					t.Fatalf("an event of %d bytes", len(ev.data))
				}
				all = append(all, fmt.Sprintf("%q %q %q", ev.kind, ev.id, ev.data))
			}
		}
		got := parse(stream)
		if bytes.ContainsRune(stream, '\r') || len(stream) > maxEvent/2 {
			return
		}
		if other := parse(bytes.ReplaceAll(stream, []byte("\n"), []byte("\r\n"))); fmt.Sprint(other) != fmt.Sprint(got) {
			t.Errorf("%q: %v with LF, %v with CRLF", stream, got, other)
		}
	})
}

// transport answers in place of an elector, inside of a bubble.
type transport func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// in returns a client that f answers.
func in(t *testing.T, f transport) *Client {
	t.Helper()
	c, err := New("127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	c.http.Transport = f
	return c
}

// stream is an answer with a body.
func stream(body io.Reader) *http.Response {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(body)}
}

// frozen is the body of an elector that is there and says nothing.
type frozen struct{ ctx context.Context }

// Read implements io.Reader.
func (f frozen) Read([]byte) (int, error) { <-f.ctx.Done(); return 0, f.ctx.Err() }

func TestAStreamThatFallsSilentIsTakenUpAgain(t *testing.T) {
	for what, answer := range map[string]transport{
		"before its head": func(r *http.Request) (*http.Response, error) { <-r.Context().Done(); return nil, r.Context().Err() },
		"after its head":  func(r *http.Request) (*http.Response, error) { return stream(frozen{r.Context()}), nil },
		"after a state": func(r *http.Request) (*http.Response, error) {
			return stream(io.MultiReader(strings.NewReader("data: {}\n\n"), frozen{r.Context()})), nil
		},
		"before its error": func(r *http.Request) (*http.Response, error) {
			s := stream(frozen{r.Context()})
			s.StatusCode = 503
			return s, nil
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			asked, began := 0, time.Now()
			c := in(t, func(r *http.Request) (*http.Response, error) { asked++; return answer(r) })
			for s, err := range c.Events(t.Context(), false) {
				if s == nil && !errors.Is(err, errSilent) {
					t.Errorf("%s: %v", what, err)
				}
				if asked == 2 {
					break
				}
			}
			if took := time.Since(began); took < silence || took > 5*silence {
				t.Errorf("%s: taken up again after %v", what, took)
			}
		})
	}
}

func TestAReaderThatIsBusyIsNotAStreamThatIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := in(t, func(r *http.Request) (*http.Response, error) {
			return stream(cutWith{strings.NewReader("data: {}\n\ndata: {}\n\n"), r.Context()}), nil
		})
		seen := 0
		for _, err := range c.Events(t.Context(), false) {
			if err != nil {
				t.Fatal(err)
			}
			if seen++; seen == 2 {
				break
			}
			time.Sleep(2 * silence)
		}
	})
}

// cutWith is a body that comes byte by byte, until its request's context ends.
type cutWith struct {
	io.Reader
	ctx context.Context
}

// Read implements io.Reader.
func (c cutWith) Read(b []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.Reader.Read(b[:1])
}

func TestHeartbeatsKeepAStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := in(t, func(*http.Request) (*http.Response, error) {
			beats := make([]io.Reader, 0, 2000)
			for range cap(beats) - 1 {
				beats = append(beats, later{}, strings.NewReader(":"+strings.Repeat(" heartbeat", 10)+"\n"))
			}
			return stream(io.MultiReader(append(beats, strings.NewReader("data: {\"seq\":9}\n\n"))...)), nil
		})
		for s, err := range c.Events(t.Context(), false) {
			if err != nil || s.Seq != 9 {
				t.Errorf("%+v, %v", s, err)
			}
			break
		}
	})
}

// later is a part of a body that takes its time and is empty.
type later struct{}

// Read implements io.Reader.
func (later) Read([]byte) (int, error) { time.Sleep(silence / 3); return 0, io.EOF }

func TestTheElectorSaysWhenItsStreamsAreTakenUpAgain(t *testing.T) {
	for retry, most := range map[string]time.Duration{"": firstPause, "retry: 2000\n": 2 * time.Second, "retry: 2000000\n": lastPause, "retry: soon\n": firstPause, "retry: 0\n": firstPause} {
		synctest.Test(t, func(t *testing.T) {
			var ended, longest time.Duration
			began := time.Now()
			asked := 0
			c := in(t, func(*http.Request) (*http.Response, error) {
				if longest = max(longest, time.Since(began)-ended); asked > 100 {
					return nil, io.ErrUnexpectedEOF
				}
				asked++
				return stream(strings.NewReader(retry + "\ndata: {}\n\n")), nil
			})
			for _, err := range c.Events(t.Context(), false) {
				if ended = time.Since(began); err != nil && asked > 100 {
					break
				}
			}
			if longest > most || longest < most/2 {
				t.Errorf("%q: the longest of 100 pauses is %v, want nearly %v", retry, longest, most)
			}
		})
	}
}

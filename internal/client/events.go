package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"math/rand/v2"
	"net/http"
	"time"
)

// maxEvent bounds an event: a state is far shorter.
const maxEvent = 64 << 10

// The bounds of the pause before a stream is taken up again.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second
)

// Events yields every state of the elector, the current one first, until ctx ends or the caller breaks. A stream
// that ends is taken up again where it was, for ever, after a pause with full jitter; each time that happens it yields
// the error in place of a state. With renewals, a leader's yes comes anew before half of it has passed.
func (c *Client) Events(ctx context.Context, renewals bool) iter.Seq2[*Status, error] {
	return func(yield func(*Status, error) bool) {
		last, pause := "", firstPause
		for ctx.Err() == nil {
			more, err := c.follow(ctx, renewals, &last, func(s *Status) bool {
				pause = firstPause
				return yield(s, nil)
			})
			if !more || ctx.Err() != nil || !yield(nil, err) {
				return
			}
			timer := time.NewTimer(rand.N(pause))
			select {
			case <-timer.C:
			case <-ctx.Done():
				timer.Stop()
			}
			pause = min(2*pause, lastPause)
		}
	}
}

// follow reads one stream to its end, of which err says why. more is false when the caller wants no more.
func (c *Client) follow(ctx context.Context, renewals bool, last *string, yield func(*Status) bool) (more bool, err error) {
	rq := request{method: http.MethodGet, path: "/events", header: http.Header{"Accept": {"text/event-stream"}}}
	if renewals {
		rq.query = query("renewals", "1")
	}
	if *last != "" {
		rq.header.Set("Last-Event-ID", *last)
	}
	resp, _, err := c.send(ctx, rq)
	if err != nil {
		return true, err
	}
	if resp.StatusCode != http.StatusOK {
		body, err := read(resp)
		if err != nil {
			return true, err
		}
		return true, failureOf(resp.StatusCode, body)
	}
	defer resp.Body.Close()
	stream := newEvents(resp.Body)
	for {
		ev, err := stream.next()
		switch {
		case errors.Is(err, io.EOF):
			return true, &NoAnswerError{errors.New("the stream has ended")}
		case err != nil:
			return true, &NoAnswerError{err}
		case ev.kind == "end":
			return true, &NoAnswerError{errors.New("the elector is shutting down")}
		case ev.kind != "":
			continue // of a later version
		}
		s := &Status{}
		if err := json.Unmarshal(ev.data, s); err != nil {
			return true, &NoAnswerError{err}
		}
		*last = ev.id
		s.settle(c.local, 0)
		if !yield(s) {
			return false, nil
		}
	}
}

// event is one server-sent event.
type event struct {
	kind, id string
	data     []byte
}

// events reads server-sent events (WHATWG HTML, section 9.2.6).
type events struct {
	bytes *bufio.Reader
	id    string
	cr    bool // the last line ended with CR, to which an LF may belong that has not come yet
}

func newEvents(r io.Reader) *events { return &events{bytes: bufio.NewReader(r)} }

// errLong is returned for an event that is longer than maxEvent.
var errLong = errors.New("an event is too long")

// next blocks until an event with data has come. The error is io.EOF at the end of the stream; what it cuts
// short is no event.
func (e *events) next() (event, error) {
	var ev event
	var data [][]byte
	size := 0
	for {
		line, err := e.line(maxEvent - size)
		if err != nil {
			return event{}, err
		}
		size += len(line)
		if len(line) == 0 {
			if data == nil {
				ev, size = event{}, 0
				continue
			}
			ev.id, ev.data = e.id, bytes.Join(data, []byte("\n"))
			return ev, nil
		}
		field, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(field) {
		case "data":
			data = append(data, bytes.Clone(value))
		case "event":
			ev.kind = string(value)
		case "id":
			if !bytes.ContainsRune(value, 0) {
				e.id = string(value)
			}
		}
	}
}

// line reads a line of at most limit bytes, without its end: CR, LF or both.
func (e *events) line(limit int) ([]byte, error) {
	var line []byte
	for {
		b, err := e.bytes.ReadByte()
		after := e.cr
		e.cr = b == '\r'
		switch {
		case err != nil:
			return nil, err
		case b == '\n' && after:
			continue
		case b == '\n' || b == '\r':
			return line, nil
		case len(line) >= limit:
			return nil, errLong
		}
		line = append(line, b)
	}
}

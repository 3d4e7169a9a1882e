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
	"strconv"
	"time"

	"github.com/elector-dev/elector/internal/boottime"
)

// maxEvent bounds an event: a state is far shorter.
const maxEvent = 64 << 10

// silence is how long a stream may say nothing, not even a comment, of which an elector sends one every 15 seconds.
// A frozen elector keeps its connections.
const silence = 45 * time.Second

// The bounds of the pause before a stream is taken up again; the elector may ask for a longer first one.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second
)

// errSilent ends a stream that has said nothing for too long.
var errSilent = errors.New("the stream has fallen silent")

// Events yields every state of the elector, the current one first, until ctx ends or the caller breaks. A stream
// that ends or falls silent is taken up again where it was, for ever, after a pause with full jitter; each time that
// happens it yields the error in place of a state. With renewals, a leader's yes comes anew before half of it has passed.
func (c *Client) Events(ctx context.Context, renewals bool) iter.Seq2[*Status, error] {
	return func(yield func(*Status, error) bool) {
		t := tail{client: c, renewals: renewals, first: firstPause}
		for pause := t.first; ctx.Err() == nil; pause = min(2*pause, lastPause) {
			more, err := t.follow(ctx, func(s *Status) bool {
				pause = t.first
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
		}
	}
}

// tail is what is kept from one stream to the next.
type tail struct {
	client   *Client
	renewals bool
	last     string        // id of the last state
	first    time.Duration // the pause after a stream that has told something
}

// follow reads one stream to its end, of which err says why. more is false when the caller wants no more.
func (t *tail) follow(ctx context.Context, yield func(*Status) bool) (more bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	quiet := time.AfterFunc(silence, func() { cancel(errSilent) })
	defer quiet.Stop()
	rq := request{method: http.MethodGet, path: "/events", header: http.Header{"Accept": {"text/event-stream"}}}
	if t.renewals {
		rq.query = query("renewals", "1")
	}
	if t.last != "" {
		rq.header.Set("Last-Event-ID", t.last)
	}
	resp, sent, err := t.client.send(ctx, rq)
	if err != nil {
		return true, reason(ctx, err)
	}
	if resp.StatusCode != http.StatusOK {
		body, err := read(resp)
		if err != nil {
			return true, reason(ctx, err)
		}
		return true, failureOf(resp.StatusCode, body)
	}
	defer resp.Body.Close()
	stream := newEvents(attentive{resp.Body, quiet})
	for {
		ev, err := stream.next()
		if stream.retry > 0 {
			t.first = min(stream.retry, lastPause)
		}
		switch {
		case errors.Is(err, io.EOF):
			return true, &NoAnswerError{errors.New("the stream has ended")}
		case err != nil:
			return true, reason(ctx, &NoAnswerError{err})
		case ev.kind == "end":
			return true, &NoAnswerError{errors.New("the elector is shutting down")}
		case ev.kind != "":
			continue // of a later version
		}
		s := &Status{}
		if err := json.Unmarshal(ev.data, s); err != nil {
			return true, &NoAnswerError{err}
		}
		t.last = ev.id
		s.settle(t.client.local, sent, boottime.Now())
		if !yield(s) {
			return false, nil
		}
	}
}

// reason is err, or silence where that is what has ended the stream.
func reason(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), errSilent) {
		return &NoAnswerError{errSilent}
	}
	return err
}

// attentive is a body whose timer runs while a read waits, and not while its reader is busy.
type attentive struct {
	io.Reader
	quiet *time.Timer
}

// Read implements io.Reader.
func (a attentive) Read(b []byte) (int, error) {
	a.quiet.Reset(silence)
	defer a.quiet.Stop()
	return a.Reader.Read(b)
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
	retry time.Duration // the pause that the stream asks for; 0 if it has not
	cr    bool          // the last line ended with CR, to which an LF may belong that has not come yet
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
		if bytes.HasPrefix(line, []byte(":")) {
			continue // a comment
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
		case "retry":
			if ms, err := strconv.ParseUint(string(value), 10, 31); err == nil {
				e.retry = time.Duration(ms) * time.Millisecond
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

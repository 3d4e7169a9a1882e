package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/elector-dev/elector/internal/election"
)

// The pace of streams.
const (
	// heartbeat is how long a stream is silent at most: its reader and what lies between can tell that
	// it lives, and the server that its reader does.
	heartbeat = 15 * time.Second
	// lookEvery is how late at most a stream tells what ends by the clock and is not published: contact
	// with etcd, and certainty while the elector's loop stands still.
	lookEvery = time.Second
)

// events streams the states. The id of each is its position, so that a reader sees by gaps what it was
// too slow for, and can resume.
func (a *API) events(w http.ResponseWriter, r *http.Request, q query) {
	s := a.states(r, q)
	_ = s.serve(w, r, q) // however it has ended, there is nobody to tell
}

// states is the stream of the elector's states.
func (a *API) states(r *http.Request, q query) stream {
	known, ok := parsePosition(r.Header.Get("Last-Event-ID"))
	if !ok {
		known = q.after // second, since a browser that reconnects repeats its first query
	}
	s := stream{
		elector: a.elector,
		answer:  a.elector.Answer,
		opening: "retry: 1000\n\n",
		closing: "event: end\ndata: {\"reason\":\"shutdown\"}\n\n",
		limit:   a.limit(q),
		mark: func(now election.Answer) mark {
			return mark{now.Seq, now.Connected, now.Leading, now.Leader.Identity, now.Leader.Token}
		},
		event: func(answer election.Answer) []byte {
			id := position{a.self.Incarnation, answer.Seq}.String()
			return append(append([]byte("id: "+id+"\ndata: "), a.Encode(answer)...), "\n\n"...)
		},
	}
	if q.renewals {
		s.renewal = s.limit * 2 / 5 // and not half of it, as timers are late
	}
	if now := a.elector.Look(); !now.Leading && known == (position{a.self.Incarnation, now.Seq}) {
		s.opening += ": nothing new\n\n"
		s.known = s.mark(now)
	}
	return s
}

// sse streams the body of "/" whenever it names another leader, in the form of nais/elector: nothing but
// data and comments.
func (a *API) sse(w http.ResponseWriter, r *http.Request, q query) {
	s := stream{
		elector: a.elector,
		answer:  a.elector.Answer,
		limit:   a.elector.AnswerMax(),
		mark: func(now election.Answer) mark {
			leader := a.named(now)
			return mark{1, true, now.Leading, leader.Identity, leader.Token}
		},
		event: func(answer election.Answer) []byte {
			return append(append([]byte("data: "), encode(a.oldBody(answer))...), "\n\n"...)
		},
	}
	_ = s.serve(w, r, q) // as above
}

// stream is what a reader is told and has been told. It belongs to the goroutine of its request.
type stream struct {
	elector Elector
	answer  func(limit time.Duration) election.Answer // where its promises are put down
	end     <-chan struct{}                           // ends the stream; nil: only the others do
	opening string                                    // said before all events
	closing string                                    // said after the last state, when the elector has ended
	limit   time.Duration                             // the longest promise in an event
	renewal time.Duration                             // the age at which a yes is told anew; 0: it is not
	mark    func(election.Answer) mark
	event   func(election.Answer) []byte

	known mark      // what the latest event was for
	told  time.Time // when it was told
	wrote time.Time // when anything was
}

// mark is what an event is for: one is due when the mark is another. No answer has the zero mark.
type mark struct {
	seq                uint64
	connected, leading bool
	leader             string
	token              int64
}

// serve tells the reader until the elector has ended, the reader has gone or does not take a write in
// time. While a write is held up states pass by; the next event is of the newest.
//
// The error is that of the write, or what ended the request; nil when the stream was brought to its end, or
// did not begin.
func (s *stream) serve(w http.ResponseWriter, r *http.Request, q query) error {
	if statusOnly(r) {
		w.WriteHeader(http.StatusOK)
		return nil
	}
	if !q.place.wait(w, r) {
		return nil
	}
	conn := http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/event-stream")
	timer := time.NewTimer(0)
	defer timer.Stop()
	text := []byte(s.opening)
	for {
		state, changed := s.elector.Watch()
		now := s.elector.Look()
		text = s.compose(text, now)
		if state.Ended {
			text = append(text, s.closing...)
		}
		if len(text) > 0 {
			// A writer that has no deadlines has none to set.
			_ = conn.SetWriteDeadline(time.Now().Add(writeTimeout))
			if _, err := w.Write(text); err != nil {
				return err
			}
			if err := conn.Flush(); err != nil {
				return err
			}
			s.wrote, text = time.Now(), text[:0]
		}
		if state.Ended {
			return nil
		}
		timer.Reset(s.rest(now))
		select {
		case <-changed:
		case <-timer.C:
		case <-s.end:
			return nil
		case <-r.Context().Done():
			return context.Cause(r.Context())
		}
	}
}

// compose appends the event that is due, or a heartbeat when that is.
func (s *stream) compose(text []byte, now election.Answer) []byte {
	switch {
	case s.mark(now) != s.known, s.renewIn(now) <= 0:
		s.told = time.Now()
		answer := s.answer(s.limit)
		s.known = s.mark(answer)
		return append(text, s.event(answer)...)
	case len(text) == 0 && time.Since(s.wrote) >= heartbeat:
		return append(text, ": heartbeat\n\n"...)
	}
	return text
}

// renewIn is how soon a yes is to be told anew.
func (s *stream) renewIn(now election.Answer) time.Duration {
	if !now.Leading || s.renewal == 0 {
		return heartbeat
	}
	return s.renewal - time.Since(s.told)
}

// rest is how long there is nothing to tell, unless a state is published.
func (s *stream) rest(now election.Answer) time.Duration {
	return min(lookEvery, heartbeat-time.Since(s.wrote), s.renewIn(now))
}

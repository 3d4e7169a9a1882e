package httpapi

import (
	"fmt"
	"net/http"
	"time"
)

// heartbeat is how often a stream without news shows that it lives. Proxies cut what is silent for a minute.
const heartbeat = 15 * time.Second

// comment is what a stream without news sends: readers of events skip it.
const comment = ": nothing new\n\n"

// telling says what a stream sends next: the current state of things. beat is true at the start and when the
// pause that it asked for is over; else something has been published, which may not be news to this
// stream. An empty event sends nothing and leaves the pause as it is. last ends the stream.
type telling func(beat bool) (event string, pause time.Duration, last bool)

// events streams every state, the current one at once. A reader that is slower than the states skips some,
// which it sees from the ids. With ?renewals=1 a leader's event is repeated with a new expiry before half of
// the one before has passed.
func (a *API) events(w http.ResponseWriter, r *http.Request, asked asked) {
	known := asked.after
	if known == "" {
		known = r.Header.Get("Last-Event-ID")
	}
	limit, first := a.limit(asked), true
	a.stream(w, r, "retry: 1000\n", func(beat bool) (string, time.Duration, bool) {
		now := a.elector.Look()
		unseen := a.at(now.Seq).String() != known || now.Ended
		repeats := now.Leading && (first || beat && asked.renewals)
		first = false
		switch {
		case !unseen && !repeats && beat:
			return comment, heartbeat, false
		case !unseen && !repeats:
			return "", 0, false
		}
		answer := a.elector.Answer(limit)
		known = a.at(answer.Seq).String()
		event := fmt.Sprintf("id: %s\ndata: %s\n\n", known, encode(a.body(answer)))
		switch {
		case answer.Ended:
			return event + "event: end\ndata: {\"reason\":\"shutdown\"}\n\n", 0, true
		case asked.renewals && answer.Leading:
			return event, min(heartbeat, limit/2), false
		}
		return event, heartbeat, false
	})
}

// sse streams the body of "/" in the form of nais/elector, at once and whenever who leads changes.
func (a *API) sse(w http.ResponseWriter, r *http.Request, _ asked) {
	told, first := oldStatus{}, true
	a.stream(w, r, "", func(beat bool) (string, time.Duration, bool) {
		now := a.elector.Look()
		same := !first && a.old(now).same(told)
		first = false
		switch {
		case same && !now.Ended && beat:
			return comment, heartbeat, false
		case same && !now.Ended:
			return "", 0, false
		}
		answer := a.elector.Answer(a.elector.AnswerMax())
		told = a.old(answer)
		return fmt.Sprintf("data: %s\n\n", encode(told)), heartbeat, answer.Ended
	})
}

// stream answers with server-sent events until tell has sent its last one, the reader is gone, or it has not
// read for writeTimeout. It costs the server's goroutine for the request and one place among those who wait.
func (a *API) stream(w http.ResponseWriter, r *http.Request, preamble string, tell telling) {
	if statusOnly(r) {
		w.WriteHeader(http.StatusOK)
		return
	}
	leave, ok := a.queueUp(w, r)
	if !ok {
		return
	}
	defer leave()
	lift(w)
	w.Header().Set("Content-Type", "text/event-stream")
	c := http.NewResponseController(w)
	timer := time.NewTimer(0)
	defer timer.Stop()
	<-timer.C
	for beat := true; ; {
		_, changed := a.elector.Watch()
		if event, pause, last := tell(beat); event != "" {
			allow(w)
			if _, err := w.Write([]byte(preamble + event)); err != nil || c.Flush() != nil || last {
				return
			}
			preamble = ""
			timer.Reset(pause)
		}
		select {
		case <-changed:
			beat = false
		case <-timer.C:
			beat = true
		case <-r.Context().Done():
			return
		}
	}
}

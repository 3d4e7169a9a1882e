package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/elector-dev/elector/internal/chaos/history"
	"github.com/elector-dev/elector/internal/httpapi"
)

// shownBy is what a browser records of a server that gives a page, one stream of those states, and for each path a status.
// The page is held until it has been told all that it asks for.
func shownBy(t *testing.T, document string, statuses map[string]int, states ...httpapi.Status) *history.History {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if status := statuses[r.URL.Path]; status != 0 {
			w.WriteHeader(status)
		}
		switch r.URL.Path {
		case "/ui":
			fmt.Fprint(w, document)
		case "/events":
			for _, state := range states {
				text, err := json.Marshal(state)
				if err != nil {
					t.Error(err)
				}
				fmt.Fprintf(w, "id: 1\ndata: %s\n\n", text)
			}
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}
	}))
	defer s.Close()
	r := newRecorder(history.Run{})
	b := newBrowser(&asker{elector: "w1", url: s.URL, recorder: r})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var open sync.WaitGroup
	open.Go(func() { b.open(ctx); cancel() })
	for pause(ctx, time.Millisecond) {
		if h := r.snapshot(); len(h.Pages) > 0 && h.Pages[0].Asked >= 3 && len(h.Shown) == len(states) {
			cancel()
		}
	}
	open.Wait()
	b.client.CloseIdleConnections()
	return r.snapshot()
}

const document = "<script>const stream = new EventSource('/events?renewals=1');</script>"

func TestABrowserRecordsWhatItIsShownAndAsksForWhatThePageAsksFor(t *testing.T) {
	ms := func(at history.Instant) int64 { return int64(at) / int64(time.Millisecond) }
	began := now()
	yes := httpapi.Status{Election: "default/chaos", Incarnation: "i1", Leading: true, Token: 7, State: "leader", Seq: 1, Registered: true, ExpiresInMs: 2000, ExpiresBoottimeMs: ms(began) + 2000}
	late := yes
	late.Seq, late.ExpiresBoottimeMs = 2, ms(began)-100
	no := httpapi.Status{Election: "default/chaos", Incarnation: "i1", State: "follower", Seq: 3}
	h := shownBy(t, document, map[string]int{"/candidates": http.StatusServiceUnavailable}, yes, late, no)
	if len(h.Pages) != 1 || len(h.Shown) != 3 {
		t.Fatalf("%d pages, %+v", len(h.Pages), h.Shown)
	}
	p := h.Pages[0]
	if p.Events != 3 || p.Late != 1 || p.Asked != 3 || p.Wrong != "" || p.Incarnation != "i1" || p.From < began || p.To < p.From {
		t.Errorf("the page: %+v", p)
	}
	told := map[string]int{}
	for _, a := range h.Shown {
		told[fmt.Sprintf("%v %d %s %v", a.Yes, a.Token, a.State, a.Registered)]++
		if a.Elector != "w1" || a.Incarnation != "i1" || a.Received < began || a.Sent > a.Received || a.Yes && a.Until.Sub(a.At) != 2*time.Second {
			t.Errorf("shown: %+v", a)
		}
	}
	if told["true 7 leader true"] != 2 || told["false 0 follower false"] != 1 {
		t.Errorf("shown: %v", told)
	}
}

func TestWhatAPageMustNotGetIsRecorded(t *testing.T) {
	state := httpapi.Status{Election: "default/chaos", Incarnation: "i1", State: "follower", Seq: 3}
	for _, row := range []struct {
		path   string
		status int
		want   string
	}{
		{"/history", http.StatusInternalServerError, "/history answered 500"},
		{"/metrics", http.StatusForbidden, "/metrics answered 403"},
		{"/candidates", http.StatusForbidden, "/candidates answered 403"},
	} {
		h := shownBy(t, document, map[string]int{row.path: row.status}, state)
		if got := h.Pages[0].Wrong; got != row.want {
			t.Errorf("%s with %d: %q", row.path, row.status, got)
		}
	}
	if h := shownBy(t, "another page", nil, state); h.Pages[0].Wrong != "/ui answered 200" || len(h.Shown) != 0 {
		t.Errorf("another page: %+v", h.Pages[0])
	}
}

package httpapi

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/elector-dev/elector/internal/election"
	"github.com/elector-dev/elector/internal/electiontest"
)

func TestStreamsAreAsDocumented(t *testing.T) {
	ended := func(e *scripted) *scripted { e.now.Ended = true; return e } // or they would not end
	for _, c := range []struct {
		file, target string
		elector      *scripted
	}{
		{"events_yes", "/events", ended(leading())},
		{"events_no", "/events", ended(following())},
		{"events_known", "/events?after=3f1c9a70-3", ended(following())},
		{"sse_yes", "/sse", ended(leading())},
		{"sse_no", "/sse", ended(following())},
	} {
		rec := ask(c.elector, http.MethodGet, c.target)
		if got := rec.Header().Get("Content-Type"); rec.Code != http.StatusOK || got != "text/event-stream" {
			t.Errorf("%s: %d, content type %q", c.target, rec.Code, got)
		}
		golden(t, "testdata/"+c.file+".txt", rec.Body.Bytes())
		wantNoElectorHeaders(t, rec)
		if yes := c.elector.now.Leading; yes && c.elector.limit != 2*time.Second {
			t.Errorf("%s: promised %v", c.target, c.elector.limit)
		}
	}
}

func TestStreamTellsEachStateUpToTheLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		a, b := f.pair()
		r := b.open("/events")
		if e := r.next(); e.retry != "1000" || e.data != "" {
			t.Errorf("it begins with %+v", e)
		}
		first := r.next()
		if e := stateOf(t, first.data); first.after != 0 || e.Leading || e.Leader.Identity != "a" || first.id != (position{"b-1", e.Seq}).String() || first.name != "" {
			t.Errorf("first %+v", first)
		}
		a.resign()
		seq := stateOf(t, first.data).Seq
		var told Status
		for !told.Leading {
			e := r.next()
			told = stateOf(t, e.data)
			if told.Seq <= seq || e.id != (position{"b-1", told.Seq}).String() {
				t.Errorf("after %d came %+v", seq, e)
			}
			seq = told.Seq
		}
		b.stop()
		var last event
		for e := r.next(); e.name == ""; e = r.next() {
			if e.data != "" {
				last = e
			}
			told = stateOf(t, last.data)
		}
		if now := b.Look(); told.Seq != now.Seq || !now.Ended || told.Leading {
			t.Errorf("last state told: %+v, there is %+v", told, now.State)
		}
		if e, err := r.read(); err != io.EOF {
			t.Errorf("after the end came %+v, %v", e, err)
		}
	})
}

func TestStreamEndsWithTheElectorAndHoldsNoShutdownUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, b := newFleet(t).pair()
		streams := []*reader{b.open("/events"), b.open("/sse")}
		b.stop()
		<-b.ended
		ended := make(chan []event, len(streams))
		for _, r := range streams {
			go func() {
				var all []event
				for e, err := r.read(); err == nil; e, err = r.read() {
					all = append(all, e)
				}
				ended <- all
			}()
		}
		synctest.Wait()
		before := time.Now()
		if err := b.server.Shutdown(t.Context()); err != nil || time.Since(before) > 0 {
			t.Errorf("shut down after %v, %v", time.Since(before), err)
		}
		for range streams {
			all := <-ended
			last := all[len(all)-1]
			events := all[0].retry != "" // or else it is /sse, which has no events with names
			if end := last.name == "end" && last.data == `{"reason":"shutdown"}`; end != events {
				t.Errorf("last %+v", last)
			}
		}
	})
}

func TestStreamWithNothingToTellHasAHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, b := newFleet(t).pair()
		for _, target := range []string{"/events", "/sse"} {
			r := b.open(target)
			if target == "/events" {
				r.next()
			}
			r.next()
			for range 5 {
				if e := r.next(); e != (event{comment: "heartbeat", after: heartbeat}) {
					t.Errorf("%s: %+v", target, e)
				}
			}
		}
	})
}

func TestRenewalsKeepAYesFreshAndEachIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		a, b := f.pair()
		for query, half := range map[string]time.Duration{"": time.Second, "&max=1h": time.Second, "&max=400ms": 200 * time.Millisecond} {
			r := a.open("/events?renewals=1" + query)
			r.next()
			first := r.next()
			until := stateOf(t, first.data).ExpiresBoottimeMs
			for range 300 {
				e := r.next()
				now := stateOf(t, e.data)
				if e.after > half || e.after < half/2 || e.id != first.id || !now.Leading || now.ExpiresInMs != 2*half.Milliseconds() || now.ExpiresBoottimeMs <= until {
					t.Fatalf("%q: %+v after one until %d", query, e, until)
				}
				until = now.ExpiresBoottimeMs
			}
			r.conn.Close()
			a.idle()
			if query != "" {
				continue
			}
			a.stop()
			next := b.await("leading", leads)
			if at := time.Duration(next.At).Milliseconds(); at < until {
				t.Errorf("another leads at %d, promised until %d", at, until)
			}
			a, b = b, f.join("c")
			b.await("following", follows)
		}
	})
}

func TestNoIsNotRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, b := newFleet(t).pair()
		r := b.open("/events?renewals=1&max=100ms")
		r.next()
		r.next()
		if e := r.next(); e != (event{comment: "heartbeat", after: heartbeat}) {
			t.Errorf("%+v", e)
		}
	})
}

func TestReaderThatKnowsTheStateIsNotToldIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newFleet(t).pair()
		old, now := position{"b-1", 1}.String(), position{"b-1", b.Look().Seq}.String()
		for _, c := range []struct {
			m             *member
			query, header string
			known         bool
		}{
			{b, "?after=" + now, "", true},
			{b, "?after=" + old, now, true}, // as browsers reconnect
			{b, "", now, true},
			{b, "", old, false},
			{b, "?after=" + now, old, false},
			{b, "?after=other-1", "", false},
			{b, "", "no such thing", false},
			{b, "", "", false},
			{a, "", position{"a-1", a.Look().Seq}.String(), false}, // its expiry is news
		} {
			r := c.m.open("/events"+c.query, "Last-Event-ID: "+c.header)
			r.next()
			e := r.next()
			if e.after != 0 || (e.data == "") != c.known || (e.comment != "") != c.known {
				t.Errorf("%+v: %+v", c, e)
			}
			r.conn.Close()
		}
	})
}

func TestResumedStreamTellsWhatIsNew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newFleet(t).pair()
		r := b.open("/events?after=" + position{"b-1", b.Look().Seq}.String())
		r.next()
		if e := r.next(); e.comment == "" {
			t.Errorf("%+v", e)
		}
		a.resign()
		if e := r.next(); stateOf(t, e.data).Seq == 0 {
			t.Errorf("%+v", e)
		}
	})
}

func TestSlowReaderSkipsStates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newFleet(t).pair()
		r := b.open("/events")
		r.next()
		before := stateOf(t, r.next().data)
		if _, err := a.PutValue(t.Context(), election.ValuePut{Bytes: []byte("x"), Token: a.Look().Token}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // the write of the new state is held up
		a.resign()
		b.await("leading", leads)
		synctest.Wait()
		held, newest := stateOf(t, r.next().data), stateOf(t, r.next().data)
		if now := b.Look(); held.Seq <= before.Seq || held.ValueRevision == 0 || newest.Seq <= held.Seq+1 || newest.Seq != now.Seq || !newest.Leading {
			t.Errorf("%d, %d, %d, and there is %d", before.Seq, held.Seq, newest.Seq, now.Seq)
		}
	})
}

func TestReaderThatDoesNotReadIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, b := newFleet(t).pair()
		conn := b.dial()
		defer conn.Close()
		io.WriteString(conn, "GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
		synctest.Wait()
		time.Sleep(writeTimeout - 1)
		synctest.Wait()
		if b.asked.Load() != 1 {
			t.Error("cut too early")
		}
		time.Sleep(time.Nanosecond)
		b.idle()
		if got, err := io.ReadAll(conn); len(got) > 0 || err != nil {
			t.Errorf("read %q, %v", got, err)
		}
	})
}

func TestStreamEndsWithItsReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, b := newFleet(t).pair()
		for _, target := range []string{"/events", "/sse"} {
			r := b.open(target)
			r.next()
			r.next()
			r.conn.Close()
			b.idle()
		}
	})
}

// Contact ends by the clock; nothing is published then, until the session is given up.
func TestStreamTellsWithinASecondThatContactIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		a, b := f.pair()
		leader, follower, sse := a.open("/events"), b.open("/events"), b.open("/sse")
		ids := map[string]bool{}
		for _, r := range []*reader{leader, follower} {
			r.next()
			ids[r.next().id] = true
		}
		sse.next()
		f.cluster.Inject(func(string, string) electiontest.Fault { return electiontest.NeverReplies })
		told := make(chan event, 2)
		named := make(chan event, 1)
		go func() { told <- leader.next() }()
		go func() { told <- follower.next() }()
		go func() { named <- sse.next() }()
		limit := election.ContactWindow(10*time.Second) + lookEvery
		for range 2 {
			e := <-told
			if got := stateOf(t, e.data); !ids[e.id] || got.Connected || got.Leading != (got.Identity == "a") || e.after > limit {
				t.Errorf("told after %v, of at most %v: %+v", e.after, limit, e)
			}
		}
		if e := <-named; !strings.HasPrefix(e.data, `{"name":"","last_update"`) || e.after > limit {
			t.Errorf("/sse: %+v", e)
		}
	})
}

func TestStreamsLeaveRoomForOthers(t *testing.T) {
	e := following()
	e.now.Ended = true // so that each ends at once
	h := newAPI(e).Main()
	for range maxHeld + 1 {
		if rec := askOf(h, http.MethodGet, "/sse"); rec.Code != http.StatusOK {
			t.Fatalf("%d %s", rec.Code, rec.Body)
		}
	}
}

func TestOldStreamTellsWhoLeadsAndNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		a, b := f.pair()
		r := b.open("/sse")
		if e := r.next(); !strings.HasPrefix(e.data, `{"name":"a",`) || !strings.Contains(e.data, `"is_leader":false`) || e.id+e.name+e.retry != "" || e.after != 0 {
			t.Errorf("first %+v", e)
		}
		seq, told := b.Look().Seq, make(chan event, 1)
		go func() { told <- r.next() }()
		time.Sleep(lookEvery / 2)
		if _, err := a.PutValue(t.Context(), election.ValuePut{Bytes: []byte("x"), Token: a.Look().Token}); err != nil {
			t.Fatal(err)
		}
		b.await("seeing the value", func(now election.Answer) bool { return now.Seq > seq })
		if e := <-told; e != (event{comment: "heartbeat", after: heartbeat}) {
			t.Errorf("for a value it tells %+v", e)
		}
		a.resign()
		var e event
		for e = r.next(); strings.HasPrefix(e.data, `{"name":""`); e = r.next() {
		}
		if !strings.HasPrefix(e.data, `{"name":"b",`) || !strings.Contains(e.data, `"is_leader":true,"expires_in_ms":2000`) {
			t.Errorf("then %+v", e)
		}
	})
}

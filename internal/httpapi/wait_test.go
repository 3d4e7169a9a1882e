package httpapi

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// stateOf decodes a body of Status.
func stateOf(t *testing.T, body string) (s Status) {
	t.Helper()
	if err := json.Unmarshal([]byte(body), &s); err != nil {
		t.Fatalf("%q: %v", body, err)
	}
	return s
}

func TestWaitingForTheLeadIsAnsweredWhenItComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		a, b := f.pair()
		answer := b.inBackground("/leader?wait=5m&max=1s")
		time.Sleep(time.Minute) // longer than the server lets any other request take
		synctest.Wait()
		if len(answer) > 0 {
			t.Fatalf("answered while it follows: %+v", <-answer)
		}
		a.resign()
		got := <-answer
		if got.status != http.StatusOK || got.after > time.Minute+time.Second {
			t.Errorf("%+v", got)
		}
		yes := stateOf(t, got.body)
		if end := f.clock.Now().Add(time.Second).Sub(0).Milliseconds(); !yes.Leading || yes.ExpiresInMs != 1000 || yes.ExpiresBoottimeMs != end {
			t.Errorf("it is %d ms by the boot clock: %s", end-1000, got.body)
		}
		b.stop()
		<-b.ended
		if now := time.Duration(f.clock.Now()).Milliseconds(); now < yes.ExpiresBoottimeMs {
			t.Errorf("gave the key up at %d, promised until %d", now, yes.ExpiresBoottimeMs)
		}
	})
}

func TestWaitingForTheLeadEndsWithItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, b := newFleet(t).pair()
		for _, wait := range []time.Duration{0, time.Millisecond, 30 * time.Second, maxWait} {
			got := <-b.inBackground("/leader?wait=" + wait.String())
			if got.status != http.StatusServiceUnavailable || got.after != wait || stateOf(t, got.body).Leading {
				t.Errorf("wait=%v: %+v", wait, got)
			}
		}
		b.idle()
	})
}

func TestLeaderDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newFleet(t).pair()
		if got := <-a.inBackground("/leader?wait=10m"); got.status != http.StatusOK || got.after != 0 {
			t.Errorf("GET: %+v", got)
		}
		for _, method := range []string{http.MethodHead, http.MethodOptions} {
			if rec := ask(b, method, "/leader?wait=10m"); rec.Code != http.StatusServiceUnavailable {
				t.Errorf("%s: %d", method, rec.Code)
			}
		}
	})
}

func TestStatusWaitsForANewerState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newFleet(t).pair()
		now := position{"b-1", b.Look().Seq}
		before := position{"b-1", now.seq - 1}
		after := position{"b-1", now.seq + 1}
		for target, want := range map[string]time.Duration{
			"/status?wait=1m&after=" + before.String(): 0,
			"/status?wait=1m&after=other-99":           0,
			"/status?wait=0s&after=" + now.String():    0,
			"/status?wait=0s":                          0,
			"/status?wait=1m&after=" + now.String():    time.Minute,
			"/status?wait=1m&after=" + after.String():  time.Minute,
			"/status?wait=1m":                          time.Minute,
		} {
			if got := <-b.inBackground(target); got.status != http.StatusOK || got.after != want || stateOf(t, got.body).Seq != now.seq {
				t.Errorf("%s: %+v", target, got)
			}
		}
		next := b.inBackground("/status?wait=1m")
		newer := b.inBackground("/status?wait=1m&after=" + now.String())
		newest := b.inBackground("/status?wait=1m&after=" + after.String())
		a.resign()
		for _, c := range []struct {
			got   answered
			known uint64
		}{{<-next, now.seq}, {<-newer, now.seq}, {<-newest, after.seq}} {
			if c.got.status != http.StatusOK || c.got.after >= time.Minute || stateOf(t, c.got.body).Seq <= c.known {
				t.Errorf("newer than %d: %+v", c.known, c.got)
			}
		}
	})
}

func TestWaitingEndsWithTheElector(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, b := newFleet(t).pair()
		leader, status := b.inBackground("/leader?wait=10m"), b.inBackground("/status?wait=10m&after=b-1-99")
		b.stop()
		<-b.ended
		if got := <-leader; got.status != http.StatusServiceUnavailable || got.after > time.Second {
			t.Errorf("/leader: %+v", got)
		}
		if got := <-status; got.status != http.StatusOK || got.after > time.Second {
			t.Errorf("/status: %+v", got)
		}
		if got := <-b.inBackground("/leader?wait=10m"); got.status != http.StatusServiceUnavailable || got.after != 0 {
			t.Errorf("asked after the end: %+v", got)
		}
	})
}

func TestWaitingEndsWithItsReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, b := newFleet(t).pair()
		conn := b.dial()
		io.WriteString(conn, "GET /leader?wait=10m HTTP/1.1\r\nHost: x\r\n\r\n")
		synctest.Wait()
		if b.asked.Load() != 1 {
			t.Fatal("it does not wait")
		}
		conn.Close()
		b.idle()
	})
}

// A reader that has just closed its own direction still reads. Whatever it got without a no would be a yes.
func TestWaitingReaderThatSendsNoMoreGetsNoAnswer(t *testing.T) {
	srv := httptest.NewUnstartedServer(nil)
	srv.Config = NewServer(newAPI(following()).Main())
	srv.Start()
	defer srv.Close()
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "GET /leader?wait=10m HTTP/1.1\r\nHost: x\r\n\r\n")
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(conn); len(got) > 0 {
		t.Errorf("answered %q, %v", got, err)
	}
}

func TestAnswerAfterAWaitIsWrittenInTimeOrNotAtAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, b := newFleet(t).pair()
		conn := b.dial()
		defer conn.Close()
		io.WriteString(conn, "GET /leader?wait=1m HTTP/1.1\r\nHost: x\r\n\r\n")
		time.Sleep(time.Minute + writeTimeout + time.Second) // and nothing was read
		if got, err := io.ReadAll(conn); len(got) > 0 || err != nil {
			t.Errorf("read %q, %v", got, err)
		}
	})
}

func TestBodyThatNeverComesHoldsNoConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, b := newFleet(t).pair()
		for target, limit := range map[string]time.Duration{
			"/leader?wait=1m": time.Minute + writeTimeout, "/events": b.server.ReadTimeout, "/sse": b.server.ReadTimeout,
		} {
			conn, asked := b.dial(), time.Now()
			io.WriteString(conn, "GET "+target+" HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")
			if _, err := io.ReadAll(conn); err != nil || time.Since(asked) > limit {
				t.Errorf("%s: cut after %v, %v", target, time.Since(asked), err)
			}
			b.idle()
			conn.Close()
		}
	})
}

func TestAsManyWaitAsMay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newFleet(t).pair()
		api := newAPI(b)
		main, probe := api.Main(), api.Probe()
		var wg sync.WaitGroup
		codes := make(chan int, maxHeld)
		for range maxHeld {
			wg.Go(func() { codes <- askOf(main, http.MethodGet, "/leader?wait=1m").Code })
		}
		synctest.Wait()
		for _, target := range []string{"/leader?wait=1m", "/status?wait=1m", "/events", "/sse"} {
			rec := askOf(main, http.MethodGet, target)
			var f failure
			if err := json.Unmarshal(rec.Body.Bytes(), &f); err != nil || rec.Code != http.StatusServiceUnavailable ||
				!strings.Contains(f.Error, "too many") || !strings.Contains(f.Hint, "1024") {
				t.Errorf("%s: %d %s", target, rec.Code, rec.Body)
			}
			if rec := askOf(main, http.MethodHead, target); rec.Code != http.StatusOK && target != "/leader?wait=1m" {
				t.Errorf("HEAD %s: %d", target, rec.Code)
			}
		}
		for target, want := range map[string]int{
			"/leader": 503, "/status": 200, "/": 200, "/leader?wait=0s": 503, "/status?wait=1m&after=other-1": 200, "/read-only": 200,
		} {
			if rec := askOf(main, http.MethodGet, target); rec.Code != want || strings.Contains(rec.Body.String(), "too many") {
				t.Errorf("%s: %d %s", target, rec.Code, rec.Body)
			}
		}
		elsewhere := make(chan int, maxProbeHeld)
		for range maxProbeHeld {
			wg.Go(func() { elsewhere <- askOf(probe, http.MethodGet, "/leader?wait=1m").Code })
		}
		synctest.Wait()
		if len(elsewhere) > 0 {
			t.Errorf("the other listener is full too: %d", <-elsewhere)
		}
		if rec := askOf(probe, http.MethodGet, "/leader?wait=1m"); rec.Code != http.StatusServiceUnavailable || !strings.Contains(rec.Body.String(), "at most 256") {
			t.Errorf("one more waits on the probe listener: %d %s", rec.Code, rec.Body)
		}
		a.resign()
		wg.Wait()
		for range maxHeld {
			if code := <-codes; code != http.StatusOK {
				t.Errorf("waited for %d", code)
			}
		}
		again := time.Now()
		if rec := askOf(main, http.MethodGet, "/status?wait=1s"); time.Since(again) != time.Second {
			t.Errorf("no seat after all have left: %d %s", rec.Code, rec.Body)
		}
	})
}

func TestOldIdsAndOtherIncarnationsAreToldApart(t *testing.T) {
	for text, want := range map[string]position{"a-1": {"a", 1}, "a-b-02": {"a-b", 2}, "": {}, "-1": {}, "a": {}, "a-": {}, "a--1": {"a-", 1}, "a-x": {}} {
		if got, ok := parsePosition(text); got != want || ok != (want != position{}) {
			t.Errorf("%q: %v, %v", text, got, ok)
		}
	}
	if got := fmt.Sprint(position{"a-b", 7}); got != "a-b-7" {
		t.Errorf("position is %q", got)
	}
}

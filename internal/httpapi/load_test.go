package httpapi

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"testing"

	"github.com/elector-dev/elector/internal/election"
)

// tcp has a server serve real connections too, until the test ends.
func tcp(t *testing.T, server *http.Server) (address string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	t.Cleanup(func() { server.Close(); <-ended })
	return l.Addr().String()
}

func connect(t *testing.T, address string) net.Conn {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// inUse is what lives on the heap.
func inUse() int {
	var m runtime.MemStats
	for range 3 {
		runtime.GC() // what is pooled goes with the second
	}
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc + m.StackInuse)
}

func TestAThousandStreamsSeeTheLastOfTwentyLeadersAndLeaveNothing(t *testing.T) {
	goroutines, memory := runtime.NumGoroutine(), inUse()
	t.Run("streams", func(t *testing.T) { handDown(t, 1000, 20) })
	for runtime.NumGoroutine() > goroutines {
		runtime.Gosched() // the last steps of a goroutine are no event
	}
	if left := inUse() - memory; left > 4<<20 {
		t.Errorf("%d KiB more than before are in use", left>>10)
	}
}

// handDown has readers follow an elector that sees the lead pass from one to the next, and comes last.
func handDown(t *testing.T, streams, changes int) {
	f := newFleet(t)
	var leaders []*member
	for i := range changes {
		leaders = append(leaders, f.join(fmt.Sprint("leader-", i)))
		leaders[i].await("standing", stands)
	}
	last := f.join("last")
	last.await("standing", stands)
	address := tcp(t, last.server)

	goroutines, memory := runtime.NumGoroutine(), inUse()
	caughtUp := make(chan struct{}, streams) // by each reader, when last leads
	var readers sync.WaitGroup
	for range streams {
		r := openOn(t, connect(t, address), "/events")
		readers.Go(func() { follow(r, last, func() { caughtUp <- struct{}{} }) })
	}
	t.Logf("%d streams: %d goroutines and %d KiB each, both ends together", streams,
		(runtime.NumGoroutine()-goroutines)/streams, (inUse()-memory)/streams>>10)
	for i, leader := range leaders {
		leader.await("leading", leads)
		leader.stop()
		<-leader.ended
		last.await("seeing the next", func(now election.Answer) bool {
			return i+1 == changes && now.Leading || i+1 < changes && now.Leader.Identity == leaders[i+1].Identity()
		})
	}
	for range streams {
		<-caughtUp
	}
	last.stop()
	readers.Wait()
	if err := last.server.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

// follow reads a stream to its end, which must come after the last state of all. It tells when m leads.
func follow(r *reader, m *member, leading func()) {
	defer r.conn.Close()
	var told Status
	for {
		e, err := r.read()
		switch {
		case err != nil:
			r.t.Errorf("cut after state %d: %v", told.Seq, err)
			return
		case e.name == "end":
			if now := m.Look(); told.Seq != now.Seq || !now.Ended {
				r.t.Errorf("told were states up to %d, the last is %+v", told.Seq, now)
			}
			return
		case e.data != "":
			before := told
			told = stateOf(r.t, e.data)
			if told.Leading && !before.Leading {
				leading()
			}
		}
	}
}

// late is a request whose body is to come.
const late = "PUT /value HTTP/1.1\r\nHost: localhost\r\nElector-Request: 1\r\nElector-Token: %d\r\nContent-Length: 1\r\n\r\n"

func TestFullHouseAnswersShortQuestions(t *testing.T) {
	m := newFleet(t).join("a")
	late := fmt.Sprintf(late, m.await("leading", leads).Token)
	address := tcp(t, m.server)
	for i := range maxHeld {
		openOn(t, connect(t, address), []string{"/events", "/sse"}[i%2])
	}
	slowly := connect(t, address)
	io.WriteString(slowly, late)
	for m.asked.Load() < maxHeld+1 {
		runtime.Gosched() // until it is in its handler
	}
	for range maxConns {
		io.WriteString(connect(t, address), late) // the first of them take all places there are
	}
	for i := range 2 * (maxConns - maxHeld) {
		io.WriteString(connect(t, address), []string{"", "GET /lea", "GET /leader HTTP/1.1\r\nHost: x\r\n\r\n"}[i%3])
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for target, want := range map[string]int{"/leader": 200, "/leader?wait=1m": 200, "/status?wait=1m": 503, "/events": 503, "/history": 503, "/metrics": 503, "/follower": 503, "/livez": 200} {
		resp, err := client.Get("http://" + address + target)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != want {
			t.Errorf("%s: %d %s, %v", target, resp.StatusCode, body, err)
		}
	}
	for m.asked.Load() > maxHeld+maxSlow {
		runtime.Gosched() // a handler returns after its answer has arrived
	}
	if n := m.asked.Load(); n != maxHeld+maxSlow {
		t.Errorf("%d of %d streams and slow requests live", n, maxHeld+maxSlow)
	}
	// None of the slow ones was pushed out.
	if _, err := io.WriteString(slowly, "x"); err != nil {
		t.Fatal(err)
	}
	if r, err := http.ReadResponse(bufio.NewReader(slowly), nil); err != nil || r.StatusCode != http.StatusOK {
		t.Errorf("a body that came late: %+v, %v", r, err)
	}
}

func TestStreamOverARealConnection(t *testing.T) {
	srv := httptest.NewUnstartedServer(nil)
	srv.Config = NewServer(newAPI(leading()).Main())
	srv.Start()
	defer srv.Close()
	resp, err := srv.Client().Get(srv.URL + "/events?renewals=1&max=100ms")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text := bufio.NewReader(resp.Body)
	for n := 0; n < 3; {
		line, err := text.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if line == "id: 3f1c9a70-7\n" {
			n++
		}
	}
}

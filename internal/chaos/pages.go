package chaos

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/elector-dev/elector/internal/chaos/history"
	"github.com/elector-dev/elector/internal/httpapi"
)

const (
	// reopenAfter is after how long a browser opens a stream again that has ended: what the stream asks for at its start.
	reopenAfter = time.Second
	// lookAfter and lookEvery are the pace at which the page asks for the queue, the terms and the metrics: on news, a
	// moment later, and now and then.
	lookAfter = 100 * time.Millisecond
	lookEvery = 5 * time.Second
)

// browser keeps an elector's page open as a browser does: it loads the document, which brings its style and its script
// along, listens to the stream, and asks for what the page's script asks for.
type browser struct {
	elector  string
	url      string
	recorder *recorder
	client   *http.Client
}

func newBrowser(a *asker) *browser {
	return &browser{elector: a.elector, url: a.url, recorder: a.recorder, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 6}}}
}

// run keeps the page open until the context ends.
func (b *browser) run(ctx context.Context) {
	defer b.client.CloseIdleConnections()
	for ctx.Err() == nil {
		b.open(ctx)
		pause(ctx, reopenAfter)
	}
}

// open loads the page once and holds it for as long as its stream lasts. A process that has gone, which ends the stream,
// has people load the page again; so the document of every process is loaded.
func (b *browser) open(ctx context.Context) {
	ctx, end := context.WithCancel(ctx)
	defer end()
	from := now()
	status, document, err := b.get(ctx, "/ui")
	if err != nil {
		return // nobody answers
	}
	place := b.recorder.opened(history.Page{Elector: b.elector, From: from})
	defer func() {
		at := now()
		b.recorder.pageChanged(place, func(p *history.Page) { p.To = at })
	}()
	if status != http.StatusOK || !bytes.Contains(document, []byte("EventSource('/events?renewals=1')")) {
		b.wrong(place, "/ui", status)
		return
	}
	news := make(chan httpapi.Status, 1)
	var asking sync.WaitGroup
	defer asking.Wait()
	defer end()
	asking.Go(func() { b.ask(ctx, place, news) })
	b.listen(ctx, place, news)
}

// listen reads the stream to its end.
func (b *browser) listen(ctx context.Context, place int, news chan httpapi.Status) {
	ctx, end := context.WithCancel(ctx)
	defer end()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.url+"/events?renewals=1", nil)
	if err != nil {
		return
	}
	req.Header.Set("Accept", "text/event-stream")
	asked := now()
	resp, err := b.client.Do(req)
	if err != nil {
		return
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusServiceUnavailable {
		return // there are as many streams as an elector has places for
	}
	if resp.StatusCode != http.StatusOK {
		b.wrong(place, "/events", resp.StatusCode)
		return
	}
	told := make(chan httpapi.Status)
	var reader sync.WaitGroup
	defer reader.Wait()
	defer end()
	reader.Go(func() { readStates(ctx, resp.Body, told) })
	for s := range told {
		asked = b.show(place, s, asked)
		select { // the newest counts
		case <-news:
		default:
		}
		news <- s
	}
}

// show records an event, which was evaluated after an instant, and returns the instant that the next one was evaluated
// after: a stream tells in order.
func (b *browser) show(place int, s httpapi.Status, since history.Instant) history.Instant {
	a := history.Answer{
		Elector: b.elector, Incarnation: s.Incarnation, Sent: since, Received: now(), Yes: s.Leading, State: s.State, Registered: s.Registered,
	}
	if s.Leading {
		ms := func(n int64) history.Instant { return history.Instant(n * int64(time.Millisecond)) }
		a.Token, a.At, a.Until = s.Token, ms(s.ExpiresBoottimeMs-s.ExpiresInMs), ms(s.ExpiresBoottimeMs)
		since = max(since, a.At)
	}
	b.recorder.shown(a)
	b.recorder.pageChanged(place, func(p *history.Page) {
		p.Events++
		if p.Incarnation == "" {
			p.Incarnation = s.Incarnation
		}
		if a.Yes && a.Until < a.Received {
			p.Late++
		}
	})
	return since
}

// ask asks for what the page shows beside the state, until the context ends.
func (b *browser) ask(ctx context.Context, place int, news <-chan httpapi.Status) {
	var last httpapi.Status
	every := time.NewTicker(lookEvery)
	defer every.Stop()
	for {
		value := false
		select {
		case s := <-news:
			if s.Seq == last.Seq && s.Incarnation == last.Incarnation && s.Leader.Token == last.Leader.Token {
				last = s
				continue
			}
			value = s.ValueRevision != last.ValueRevision
			last = s
			pause(ctx, lookAfter)
		case <-every.C:
		case <-ctx.Done():
			return
		}
		paths := []string{"/candidates", "/history", "/metrics"}
		if value && last.ValueRevision != 0 {
			paths = append(paths, "/value")
		}
		var all sync.WaitGroup
		for _, path := range paths {
			all.Go(func() { b.look(ctx, place, path) })
		}
		all.Wait()
	}
}

// look asks once. Without etcd the queue cannot be told, and nobody's value; all else always can.
func (b *browser) look(ctx context.Context, place int, path string) {
	ctx, cancel := context.WithTimeout(ctx, queuedTimeout)
	defer cancel()
	status, _, err := b.get(ctx, path)
	if err != nil {
		return
	}
	b.recorder.pageChanged(place, func(p *history.Page) { p.Asked++ })
	withoutEtcd := path == "/candidates" || path == "/value"
	switch {
	case status == http.StatusOK:
	case withoutEtcd && (status == http.StatusServiceUnavailable || status == http.StatusGatewayTimeout || status == http.StatusNotFound):
	default:
		b.wrong(place, path, status)
	}
}

func (b *browser) wrong(place int, path string, status int) {
	b.recorder.pageChanged(place, func(p *history.Page) {
		if p.Wrong == "" {
			p.Wrong = fmt.Sprintf("%s answered %d", path, status)
		}
	})
}

func (b *browser) get(ctx context.Context, path string) (status int, body []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.url+path, nil)
	if err != nil {
		return 0, nil, err
	}
	resp, err := b.client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(resp.Body)
	return resp.StatusCode, body, err
}

// churned is how many connections a churn opens at a time.
const churned = 32

// churn opens connections to an elector by the hundred: some are broken off in the middle of a request, some of a
// stream, some say nothing at all, and some take no answer.
func (n *nemesis) churn(ctx context.Context, s step) error {
	l := n.aim(s, nil)
	free, err := n.claims.claim(ctx, history.Churn+" "+l.elector)
	if err != nil {
		return err
	}
	defer free()
	f := n.recorder.begin(history.Churn, s.lasts.Round(time.Millisecond).String(), l.elector)
	within, cancel := context.WithTimeout(ctx, s.lasts)
	defer cancel()
	opened := 0
	for within.Err() == nil {
		opened += l.crowdIn(within)
		pause(within, 100*time.Millisecond)
	}
	f.end(opened > churned)
	return nil
}

// crowdIn is one crowd. It returns how many got in.
func (a *asker) crowdIn(ctx context.Context) int {
	at := strings.TrimPrefix(a.url, "http://")
	host, _, _ := strings.Cut(at, ":")
	var opened sync.WaitGroup
	in := make(chan struct{}, churned)
	dialer := net.Dialer{Timeout: time.Second}
	for i := range churned {
		opened.Go(func() {
			conn, err := dialer.DialContext(ctx, "tcp", at)
			if err != nil {
				return
			}
			defer conn.Close()
			in <- struct{}{}
			_ = conn.SetDeadline(time.Now().Add(300 * time.Millisecond))
			switch i % 4 {
			case 0: // half a request
				fmt.Fprintf(conn, "GET /status HTTP/1.1\r\nHost: %s\r\nX-", host)
			case 1: // a stream, of which a little is read
				fmt.Fprintf(conn, "GET /events?renewals=1 HTTP/1.1\r\nHost: %s\r\n\r\n", host)
				_, _ = bufio.NewReader(conn).ReadString('\n')
			case 2: // a wait that nobody waits for
				fmt.Fprintf(conn, "GET /leader?wait=10s HTTP/1.1\r\nHost: %s\r\n\r\n", host)
				pause(ctx, 20*time.Millisecond)
			}
		})
	}
	opened.Wait()
	return len(in)
}

package chaos

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/elector-dev/elector/internal/chaos/history"
	"github.com/elector-dev/elector/internal/httpapi"
)

// How long the harness waits for a reply. A poll that is given up is followed by another; queued polls
// wait in the socket of a frozen process for as long as any pause lasts, since what they are told at the
// thaw is what matters.
const (
	pollTimeout   = 2 * time.Second
	queuedTimeout = time.Minute
)

// asker asks one elector and records what it says. It may be used concurrently.
type asker struct {
	elector  string // lane
	url      string
	promises bool // its yes says until when it holds
	recorder *recorder
	polls    *http.Client // keeps its connection
	queued   *http.Client // one connection for each request
	waiting  sync.WaitGroup
	last     atomic.Pointer[history.Answer] // the newest
}

func newAsker(elector, address string, promises bool, r *recorder) *asker {
	return &asker{
		elector: elector, url: "http://" + address, promises: promises, recorder: r,
		polls:  &http.Client{Timeout: pollTimeout, Transport: &http.Transport{MaxIdleConnsPerHost: 4}},
		queued: &http.Client{Timeout: queuedTimeout, Transport: &http.Transport{DisableKeepAlives: true}},
	}
}

// close waits for queued requests, so the elector must have ended, and drops all connections.
func (a *asker) close() {
	a.waiting.Wait()
	a.polls.CloseIdleConnections()
	a.queued.CloseIdleConnections()
}

// ask asks once by GET /leader and records the reply; ok is false when none came.
func (a *asker) ask(ctx context.Context, client *http.Client) (answer history.Answer, left time.Duration, ok bool) {
	sent := now()
	body, err := get(ctx, client, a.url+"/leader")
	received := now()
	var s httpapi.Status
	if err != nil || json.Unmarshal(body, &s) != nil || s.Incarnation == "" && !s.Leading {
		return answer, 0, false // a yes counts, whoever it is from
	}
	answer = history.Answer{
		Elector: a.elector, Incarnation: s.Incarnation, Sent: sent, Received: received,
		Yes: s.Leading, State: s.State, Registered: s.Registered,
	}
	left = time.Duration(s.ExpiresInMs) * time.Millisecond
	if s.Leading {
		answer.Token = s.Token
		answer.At, answer.Until = a.evaluated(s)
	}
	a.recorder.answer(answer)
	a.last.Store(&answer)
	return answer, left, true
}

// evaluated finds when a yes was evaluated and until when it holds.
func (a *asker) evaluated(s httpapi.Status) (at, until history.Instant) {
	ms := func(n int64) history.Instant { return history.Instant(n * int64(time.Millisecond)) }
	at, until = ms(s.ExpiresBoottimeMs-s.ExpiresInMs), ms(s.ExpiresBoottimeMs)
	if !a.promises {
		until = 0
	}
	return at, until
}

// get returns the body of any reply.
func get(ctx context.Context, client *http.Client, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	r, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer r.Body.Close()
	return io.ReadAll(r.Body)
}

// queue leaves n requests in the elector's socket, which are answered when it wakes, or end with the
// process. It does not wait.
func (a *asker) queue(n int) {
	for range n {
		a.waiting.Go(func() { a.ask(context.Background(), a.queued) })
	}
}

// flood asks without a rest from n goroutines until the returned function is called, which joins them once
// what they had asked is answered: after a thaw these are the answers that matter. A process that is frozen
// meanwhile stands still in the middle of answering, between any two instructions.
func (a *asker) flood(ctx context.Context, n int) (stop func()) {
	more, cancel := context.WithCancel(ctx)
	client := &http.Client{Timeout: queuedTimeout, Transport: &http.Transport{MaxIdleConnsPerHost: n}}
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			for more.Err() == nil {
				if _, _, ok := a.ask(ctx, client); !ok {
					pause(more, 10*time.Millisecond)
				}
			}
		})
	}
	return func() {
		cancel()
		all.Wait()
		client.CloseIdleConnections()
	}
}

// poll asks at every tick, and without a rest where replies take longer than that.
func (a *asker) poll(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for ctx.Err() == nil {
		a.ask(ctx, a.polls)
		rest(ctx, tick)
	}
}

// watchGauges reads the metrics four times a second.
func (a *asker) watchGauges(ctx context.Context) {
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		incarnation := a.incarnation()
		sent := now()
		body, err := get(ctx, a.polls, a.url+"/metrics")
		received := now()
		// A scrape does not say which process answered it: only where the answers before and after come
		// from one is it known.
		if s, ok := readMetrics(body); err == nil && ok && incarnation != "" && a.answers(ctx, incarnation) {
			s.Elector, s.Incarnation, s.Sent, s.Received = a.elector, incarnation, sent, received
			a.recorder.sample(s)
		}
		rest(ctx, tick)
	}
}

// incarnation is that of the newest answer of this elector.
func (a *asker) incarnation() string {
	if n := a.last.Load(); n != nil {
		return n.Incarnation
	}
	return ""
}

// leads reports whether the newest answer was a yes that still holds, and with which token. A daemon that
// promises nothing is believed for a second.
func (a *asker) leads() (token int64, ok bool) {
	n := a.last.Load()
	if n == nil || !n.Yes {
		return 0, false
	}
	until := n.Until
	if until == 0 {
		until = n.At.Add(time.Second)
	}
	return n.Token, now() < until
}

// answers asks whether an incarnation still answers.
func (a *asker) answers(ctx context.Context, incarnation string) bool {
	n, _, ok := a.ask(ctx, a.polls)
	return ok && n.Incarnation == incarnation
}

// awaitAnswer waits until the elector answers, and reports whether it came to that in time.
func (a *asker) awaitAnswer(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, upPatience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		if _, _, ok := a.ask(ctx, a.polls); ok {
			return true
		}
		rest(ctx, tick)
	}
	return false
}

// rest waits for a tick or the context's end.
func rest(ctx context.Context, tick *time.Ticker) {
	select {
	case <-tick.C:
	case <-ctx.Done():
	}
}

// pause waits that long; it reports whether the context let it.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(max(0, d))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// readMetrics finds what is recorded of a scrape; ok is false when the gauge of leading is missing.
func readMetrics(body []byte) (s history.Sample, ok bool) {
	s.Renewals = map[string]int64{}
	for lines := bufio.NewScanner(strings.NewReader(string(body))); lines.Scan(); {
		line := lines.Text()
		end := strings.LastIndexByte(line, ' ')
		if end < 0 || strings.HasPrefix(line, "#") {
			continue
		}
		v, err := strconv.ParseFloat(line[end+1:], 64)
		if err != nil {
			continue
		}
		name, labels, _ := strings.Cut(line[:end], "{")
		switch name {
		case "elector_leading":
			s.Leading, ok = v == 1, true
		case "elector_fencing_token":
			s.Token = int64(v)
		case "go_goroutines":
			s.Goroutines = int(v)
		case "process_open_fds":
			s.Descriptors = int(v)
		case "process_resident_memory_bytes":
			s.Resident = int64(v)
		case "elector_renewals_total":
			_, result, _ := strings.Cut(labels, `result="`)
			result, _, _ = strings.Cut(result, `"`)
			s.Renewals[result] = int64(v)
		}
	}
	return s, ok
}

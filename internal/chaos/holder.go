package chaos

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/elector-dev/elector/internal/chaos/history"
	"github.com/elector-dev/elector/internal/httpapi"
)

const (
	// holdTimeout is after how long an elector cuts the hold of a worker that gives no sign of life.
	holdTimeout = time.Second
	// holdBeat is how often a worker gives one.
	holdBeat = 200 * time.Millisecond
	// lettingGo is the longest that a worker goes on after a no, if it was promised that long, before it lets go.
	lettingGo = 300 * time.Millisecond
)

// holder is a worker that keeps a hold open at an elector, and acts while the newest yes that came on it lasts. After
// a no it goes on for a while, as it may, and then lets go; where the hold has ended from the other side it goes on to
// the end of what it was promised.
type holder struct {
	elector  string
	url      string
	recorder *recorder
	register *register
	rand     *rand.Rand // used by run alone
	client   *http.Client

	mu     sync.Mutex // guards the fields below
	frozen history.Instant
	broken chan struct{} // closed to have the hold broken off; nil: none is open
}

func newHolder(a *asker, r *register, seed *rand.Rand) *holder {
	return &holder{
		elector: a.elector, url: a.url, recorder: a.recorder, register: r, rand: seed,
		client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
	}
}

// run holds until the context ends.
func (h *holder) run(ctx context.Context) {
	for ctx.Err() == nil {
		h.hold(ctx)
		pause(ctx, time.Duration(h.rand.Float64()*float64(2*holdBeat)))
	}
}

// freeze has the worker stand still.
func (h *holder) freeze(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.frozen = now().Add(d)
}

func (h *holder) isFrozen() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return now() < h.frozen
}

// breakOff ends the hold that is open as the kernel of a dead worker does. It reports whether one was.
func (h *holder) breakOff() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.broken == nil {
		return false
	}
	close(h.broken)
	h.broken = nil
	return true
}

// hold is one hold, from its beginning to when its worker acts no more.
func (h *holder) hold(ctx context.Context) {
	ctx, end := context.WithCancel(ctx)
	defer end() // closes the connection, after the last act
	signs, sign := io.Pipe()
	defer sign.Close()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url+"/hold", signs)
	if err != nil {
		return
	}
	req.Header.Set("Elector-Request", "1")
	req.Header.Set("Authorization", "Bearer "+bearer)
	resp, err := h.client.Do(req)
	if err != nil {
		return
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return
	}
	broken := make(chan struct{})
	h.mu.Lock()
	h.broken = broken
	h.mu.Unlock()
	defer h.breakOff()
	told := make(chan httpapi.Status)
	var reader sync.WaitGroup
	defer reader.Wait()
	defer end()
	reader.Go(func() { readStates(ctx, resp.Body, told) })
	var beats sync.WaitGroup
	defer beats.Wait()
	defer sign.Close()
	beats.Go(func() { h.beat(ctx, sign) })
	if h.act(ctx, told, broken) == errBroken {
		end() // before the body's end, which would be its word
	}
}

// beat gives signs of life until the pipe is closed.
func (h *holder) beat(ctx context.Context, sign io.Writer) {
	tick := time.NewTicker(holdBeat)
	defer tick.Stop()
	for ctx.Err() == nil {
		if !h.isFrozen() {
			if _, err := sign.Write([]byte(".")); err != nil {
				return
			}
		}
		rest(ctx, tick)
	}
}

// readStates passes the states on that come on a stream, and closes told at its end.
func readStates(ctx context.Context, body io.Reader, told chan<- httpapi.Status) {
	defer close(told)
	for lines := bufio.NewScanner(body); lines.Scan(); {
		data, ok := strings.CutPrefix(lines.Text(), "data:")
		var s httpapi.Status
		if !ok || json.Unmarshal([]byte(data), &s) != nil || s.Election == "" {
			continue
		}
		select {
		case told <- s:
		case <-ctx.Done():
			return
		}
	}
}

// errBroken ends a hold that is broken off.
var errBroken = errors.New("the hold is broken off")

// act acts while it may. It returns when the worker has stopped, and errBroken if that was not by its own will.
func (h *holder) act(ctx context.Context, told <-chan httpapi.Status, broken <-chan struct{}) error {
	tick := time.NewTicker(actEvery)
	defer tick.Stop()
	place, token, until := -1, int64(0), history.Instant(0)
	for n := 1; ; n++ {
		select {
		case s, ok := <-told:
			switch {
			case !ok && now() >= until:
				return nil
			case !ok:
				told = nil // the promise goes on
			case s.Leading:
				if s.Token != token {
					place = -1
				}
				token, until = s.Token, history.Instant(s.ExpiresBoottimeMs*int64(time.Millisecond))
			case until > 0: // no more: it lets go within a moment
				until = min(until, now().Add(time.Duration(h.rand.Float64()*float64(lettingGo))))
				told = nil
			}
		case <-broken:
			return errBroken
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if h.isFrozen() {
			continue
		}
		at := now()
		if at < until {
			place = h.recorder.acted(place, history.Work{Elector: h.elector, Kind: history.Hold, Token: token}, at)
			if n%writeEvery == 0 {
				h.register.write(h.elector, token)
			}
		} else if told == nil {
			return nil
		}
	}
}

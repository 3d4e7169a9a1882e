package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/elector-dev/elector/internal/boottime"
	"github.com/elector-dev/elector/internal/client"
)

// workerArg is the first argument of a process that is a worker; the others are its name, the counter's URL and, for one
// that holds, its elector's.
const workerArg = "demo-worker"

const (
	// pieceEvery is how often a worker begins a piece of work.
	pieceEvery = 100 * time.Millisecond
	// pieceTakes is how long one takes, after which its effect is written. A worker that is frozen in between writes late.
	pieceTakes = 40 * time.Millisecond
)

// maybeWork returns at once in the demo. In a process that is to be a worker it works until SIGTERM, and exits.
func maybeWork() {
	if len(os.Args) < 4 || os.Args[1] != workerArg {
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	w := worker{counter: os.Args[3] + "?who=" + os.Args[2], client: &http.Client{Timeout: time.Second}}
	if len(os.Args) > 4 {
		w.elector = os.Args[4]
		w.hold(ctx)
	} else {
		w.supervised(ctx)
	}
	stop()
	os.Exit(0)
}

// holdingWorker is a worker that holds at its elector.
func holdingWorker(exe, name, counter, elector string) *exec.Cmd {
	return exec.Command(exe, workerArg, name, counter, elector)
}

// supervisedWorker is the command line of one that its elector starts and stops.
func supervisedWorker(exe, name, counter string) []string {
	return []string{exe, workerArg, name, counter}
}

// worker does pieces of work while it may.
type worker struct {
	counter string
	elector string
	client  *http.Client
}

// supervised works until it is told to stop: its elector runs it for exactly one term.
func (w *worker) supervised(ctx context.Context) {
	token, err := strconv.ParseInt(os.Getenv("ELECTOR_TERM_TOKEN"), 10, 64)
	if err != nil {
		return
	}
	for ctx.Err() == nil {
		w.piece(ctx, token)
	}
}

// hold works while its elector says yes. When told no, it ends the hold, which says that it has stopped, and opens another.
func (w *worker) hold(ctx context.Context) {
	for ctx.Err() == nil {
		w.holdOnce(ctx)
		_ = pause(ctx, pieceEvery)
	}
}

func (w *worker) holdOnce(ctx context.Context) {
	ctx, end := context.WithCancel(ctx)
	defer end()
	body, keepOpen := io.Pipe()
	defer keepOpen.Close()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.elector+"/hold", body)
	if err != nil {
		return
	}
	req.Header.Set("Elector-Request", "1")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return
	}
	defer resp.Body.Close()
	told := make(chan client.Status)
	go func() {
		defer close(told)
		for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
			var s client.Status
			data, ok := strings.CutPrefix(lines.Text(), "data: ")
			if !ok || json.Unmarshal([]byte(data), &s) != nil || s.State == "" {
				continue
			}
			select {
			case told <- s:
			case <-ctx.Done():
				return
			}
		}
	}()
	w.obey(ctx, told)
	end()
	for range told { // until the reader has ended
	}
}

// obey works until a no, or, when the stream breaks, until the end of the last yes.
func (w *worker) obey(ctx context.Context, told <-chan client.Status) {
	var last client.Status
	led := false // a yes came: the elector waits, after a no, for the hold to end
	until := func() time.Duration { return time.Duration(last.ExpiresBoottimeMs) * time.Millisecond }
	for ctx.Err() == nil {
		wait := time.Hour
		if last.Leading {
			wait = 0
		}
		timer := time.NewTimer(wait)
		select {
		case s, ok := <-told:
			switch {
			case !ok && boottime.Now() >= until():
				timer.Stop()
				return
			case !ok:
				told = nil
			case led && !s.Leading:
				timer.Stop()
				return
			default:
				last, led = s, led || s.Leading
			}
		case <-timer.C:
			if boottime.Now() >= until() {
				if told == nil {
					return
				}
				last.Leading = false // the next yes may come yet
				continue
			}
			w.piece(ctx, last.Token)
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// piece does a piece of work and writes its effect, with the token.
func (w *worker) piece(ctx context.Context, token int64) {
	if pause(ctx, pieceTakes) != nil {
		return
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.counter, nil)
	if err != nil {
		return
	}
	req.Header.Set("Elector-Token", fmt.Sprint(token))
	if resp, err := w.client.Do(req); err == nil {
		resp.Body.Close()
	}
	_ = pause(ctx, pieceEvery-pieceTakes)
}

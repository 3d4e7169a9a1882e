package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// moment is one thing that happened, as the page shows it and a file keeps it.
type moment struct {
	At     int64  `json:"at"`               // milliseconds since the beginning
	Kind   string `json:"kind"`             // one of the kinds below
	Who    string `json:"who,omitempty"`    // the elector or member that it is about
	Text   string `json:"text,omitempty"`   // what the kind says
	Token  int64  `json:"token,omitempty"`  // of a yes, or of a write
	Until  int64  `json:"until,omitempty"`  // of a yes: its end, in milliseconds since the beginning
	Count  int64  `json:"count,omitempty"`  // of a write: what the counter stands at; of a verdict: answers that were checked
	Strong bool   `json:"strong,omitempty"` // of a line: a change of leader
	Setup  *setup `json:"setup,omitempty"`  // of the first
}

// The kinds of moments.
const (
	kindSetup   = "setup"   // the first of all
	kindState   = "state"   // an elector's event: Text is its state, Token and Until are of a yes
	kindLost    = "lost"    // an elector's stream of events has broken
	kindProcess = "process" // Text is what a process is: running, stopping, frozen or ended
	kindCut     = "cut"     // Text is "cut" or "healed": an elector's way to etcd
	kindLeads   = "leads"   // a member leads etcd; with no Who none does
	kindWrite   = "write"   // the counter took a write of an elector's worker
	kindRefused = "refused" // the counter refused one
	kindLine    = "line"    // Text is for people
	kindVerdict = "verdict" // Text is how the promise was broken; empty while it holds
)

// setup is what a run consists of.
type setup struct {
	Electors []string `json:"electors"`
	Members  []string `json:"members"`
	TTLMs    int64    `json:"ttl_ms"`
	Replay   bool     `json:"replay,omitempty"` // nothing can be done to it
}

// tapeLength is how many moments are kept: some minutes of a lively run.
const tapeLength = 40_000

// tape is what happened, in its order. Its methods are safe for concurrent use and do not block.
type tape struct {
	mu      sync.Mutex // guards the fields below, for a few steps
	setup   moment
	moments []moment // the latest of them
	dropped int      // how many were before these
	changed chan struct{}
}

func newTape(s setup) *tape {
	return &tape{setup: moment{Kind: kindSetup, Setup: &s}, changed: make(chan struct{})}
}

func (t *tape) add(m moment) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.moments = append(t.moments, m)
	if len(t.moments) > tapeLength {
		half := tapeLength / 2
		t.moments = append([]moment(nil), t.moments[half:]...)
		t.dropped += half
	}
	close(t.changed)
	t.changed = make(chan struct{})
}

// from returns the moments from number n on, or the oldest that are left, the number of the next one, and a channel that
// is closed when there is one. What it returns must not be changed.
func (t *tape) from(n int) ([]moment, int, <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	next := t.dropped + len(t.moments)
	return t.moments[min(max(0, n-t.dropped), len(t.moments)):len(t.moments):len(t.moments)], next, t.changed
}

// record writes the tape to a file, a moment to a line, until the context ends.
func record(ctx context.Context, path string, t *tape) (err error) {
	file, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("record the run: %w", err)
	}
	w := bufio.NewWriter(file)
	defer func() {
		if closing := file.Close(); err == nil || isEnd(err) {
			if closing != nil {
				err = closing
			}
		}
	}()
	out := json.NewEncoder(w)
	if err := out.Encode(t.setup); err != nil {
		return err
	}
	for n := 0; ; {
		moments, next, changed := t.from(n)
		n = next
		for _, m := range moments {
			if err := out.Encode(m); err != nil {
				return err
			}
		}
		if err := w.Flush(); err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// load reads a recorded run.
func load(path string) (setup, []moment, error) {
	file, err := os.Open(path)
	if err != nil {
		return setup{}, nil, err
	}
	defer file.Close()
	in := json.NewDecoder(bufio.NewReader(file))
	var first moment
	if err := in.Decode(&first); err != nil || first.Setup == nil {
		return setup{}, nil, fmt.Errorf("--replay %s holds no recorded run: make one with --record", path)
	}
	var moments []moment
	for {
		var m moment
		switch err := in.Decode(&m); {
		case err == io.EOF:
			return *first.Setup, moments, nil
		case err != nil:
			return setup{}, nil, fmt.Errorf("--replay %s cannot be read behind moment %d: %w", path, len(moments), err)
		}
		moments = append(moments, m)
	}
}

// rewind plays recorded moments onto a tape, each at its time, and returns errOver behind the last one.
func rewind(ctx context.Context, moments []moment, t *tape) error {
	begun := time.Now()
	for _, m := range moments {
		if err := pause(ctx, time.Until(begun.Add(time.Duration(m.At)*time.Millisecond))); err != nil {
			return err
		}
		t.add(m)
	}
	return errOver
}

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/elector-dev/elector/internal/boottime"
	"github.com/elector-dev/elector/internal/client"
	"github.com/elector-dev/elector/internal/httpapi"
)

const (
	pollEvery   = 200 * time.Millisecond
	pollTimeout = 400 * time.Millisecond // a frozen elector does not answer
)

// sample is one question to one elector, with its answer if there was one. The instants are on the boot
// clock: a yes is certain for so long from when the question was sent.
type sample struct {
	elector        int
	pid            int // whom the question was meant for
	sent, received time.Duration
	status         httpapi.Status
	err            error
}

// until is when the yes of a sample ends.
func (s sample) until() time.Duration {
	return s.sent + time.Duration(s.status.ExpiresInMs)*time.Millisecond
}

// pollElector asks an elector for its status until the context ends.
func pollElector(ctx context.Context, e *elector, j *journal) error {
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	asker := &http.Client{Transport: transport}
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		if pid := j.pid(e.index); pid != 0 {
			s := ask(ctx, asker, e.url+"/status")
			s.elector, s.pid = e.index, pid
			if ctx.Err() == nil {
				j.observe(s)
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// followElector puts the elector's own events on the tape until the context ends.
func followElector(ctx context.Context, e *elector, j *journal) error {
	c, err := client.New(e.url)
	if err != nil {
		return err
	}
	defer c.Close()
	for s, err := range c.Events(ctx, true) {
		switch {
		case err == nil:
			j.told(e.name, s)
		case ctx.Err() == nil:
			j.lost(e.name)
		}
	}
	return context.Cause(ctx)
}

// ask puts one question, for pollTimeout at most.
func ask(ctx context.Context, asker *http.Client, url string) (s sample) {
	ctx, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return sample{err: err}
	}
	s.sent = boottime.Now()
	defer func() { s.received = boottime.Now() }()
	resp, err := asker.Do(req)
	if err != nil {
		s.err = err
		return s
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		s.err = fmt.Errorf("GET %s: %s", url, resp.Status)
		return s
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<16)).Decode(&s.status); err != nil {
		s.err = fmt.Errorf("read %s: %w", url, err)
	}
	return s
}

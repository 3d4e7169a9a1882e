package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"unicode"
)

// printLines writes a line for everything that happens until the context ends.
func printLines(ctx context.Context, w io.Writer, j *journal) error {
	if _, err := io.WriteString(w, j.heading()); err != nil {
		return err
	}
	for n := 0; ; {
		events, changed := j.eventsFrom(n)
		n += len(events)
		for _, e := range events {
			if _, err := fmt.Fprintf(w, "%6.1fs  %s\n", e.at.Seconds(), e.text); err != nil {
				return err
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// heading says what runs and where to ask.
func (j *journal) heading() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "One election, three electors, lease time %v; etcd at %s\n", j.ttl, j.etcd)
	for _, r := range j.rows {
		fmt.Fprintf(&b, "  %-6s curl -i %s/leader\n", r.name, r.url)
	}
	b.WriteByte('\n')
	return b.String()
}

// plain takes out what could steer a terminal: some of the texts come from etcd, where anybody writes.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}

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

// printTape writes a line for everything on a tape that is meant for people, until the context ends.
func printTape(ctx context.Context, w io.Writer, t *tape) error {
	for n := 0; ; {
		moments, next, changed := t.from(n)
		n = next
		for _, m := range moments {
			if m.Kind != kindLine {
				continue
			}
			if _, err := fmt.Fprintf(w, "%6.1fs  %s\n", float64(m.At)/1000, m.Text); err != nil {
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
		fmt.Fprintf(&b, "  %-6s curl -i %s/leader   page %s/ui\n", r.name, r.url, r.url)
	}
	if j.page != "" {
		fmt.Fprintf(&b, "  all    page %s\n", j.page)
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

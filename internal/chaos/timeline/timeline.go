// Package timeline draws a chaos run as one HTML file that needs nothing else: a lane for each elector and
// each member of etcd, who said yes when and with which token, what was broken, and in red what should not
// have been.
package timeline

import (
	"fmt"
	"html/template"
	"io"

	"github.com/elector-dev/elector/internal/chaos/check"
	"github.com/elector-dev/elector/internal/chaos/history"
)

// Section is one run of a picture.
type Section struct {
	Title   string // a heading above it; empty: none
	History *history.History
	Report  check.Report
}

// Write draws one run.
func Write(w io.Writer, h *history.History, r check.Report) error {
	return WriteCompare(w, Section{History: h, Report: r})
}

// WriteCompare draws runs one under the other, on one scale of time.
func WriteCompare(w io.Writer, sections ...Section) error {
	p := page{Title: "chaos run"}
	longest := 1.0
	for _, s := range sections {
		longest = max(longest, newClock(s.History).length)
	}
	for i, s := range sections {
		p.Sections = append(p.Sections, newView(s, i, scale(longest)))
		if i == 0 {
			p.Title = fmt.Sprintf("%s · %s · seed %d", s.History.Run.Program, s.History.Run.Scenario, s.History.Run.Seed)
		}
	}
	t, err := template.New("page").Parse(pageHTML)
	if err == nil {
		err = t.Execute(w, p)
	}
	if err != nil {
		return fmt.Errorf("draw timeline: %w", err)
	}
	return nil
}

// scale is how many pixels a second has to begin with: a short run fills a screen, a long one is scrolled.
func scale(seconds float64) float64 { return min(60, max(14, 1180/seconds)) }

// clock turns instants into seconds since the run began.
type clock struct {
	began  history.Instant
	length float64 // seconds
}

func newClock(h *history.History) clock {
	c := clock{began: h.Run.Began}
	last := h.Run.Ended
	for i := range h.Answers {
		last = max(last, h.Answers[i].Received)
	}
	for _, k := range h.Keys {
		last = max(last, k.Seen)
	}
	for _, f := range h.Faults {
		last = max(last, f.From, f.To)
	}
	c.length = max(1, c.sec(last))
	return c
}

// sec is an instant as drawn: never before the beginning.
func (c clock) sec(t history.Instant) float64 { return max(0, t.Sub(c.began).Seconds()) }

// end is the end of something that may last still.
func (c clock) end(t history.Instant) float64 {
	if t == 0 {
		return c.length
	}
	return min(c.length, c.sec(t))
}

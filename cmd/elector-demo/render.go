package main

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// The styles, as SGR parameters.
const (
	bold  = "1"
	dim   = "2"
	alarm = "1;31"
)

// hues are the electors' own.
var hues = map[string]string{"red": "31", "green": "32", "blue": "94"}

// barWidth is that of the bar for the longest promise that an elector gives.
const barWidth = 10

// frame is lines with a width; what does not fit is cut off.
type frame struct {
	width, height int
	colour        bool
	lines         []string
}

// render draws a view as at most height lines of at most width columns. It is pure.
func render(v view, width, height int, colour bool) []string {
	f := &frame{width: width, height: height, colour: colour}
	f.head(v)
	f.table(v)
	if height >= 20 {
		f.hints(v)
	}
	foot := &frame{width: width, colour: colour}
	foot.foot(v)
	f.history(v, height-len(f.lines)-len(foot.lines))
	f.lines = append(f.lines, foot.lines...)
	return f.lines[:min(len(f.lines), height)]
}

// span is a piece of text in one style.
type span struct{ style, text string }

func text(format string, args ...any) span { return span{text: fmt.Sprintf(format, args...)} }

func styled(style, format string, args ...any) span {
	return span{style: style, text: fmt.Sprintf(format, args...)}
}

// add appends a line.
func (f *frame) add(spans ...span) {
	var b strings.Builder
	left := f.width
	for _, s := range spans {
		t := s.text
		if n := utf8.RuneCountInString(t); n > left {
			t = string([]rune(t)[:left])
		}
		left -= utf8.RuneCountInString(t)
		if f.colour && s.style != "" && t != "" {
			t = "\x1b[" + s.style + "m" + t + "\x1b[0m"
		}
		b.WriteString(t)
	}
	f.lines = append(f.lines, strings.TrimRight(b.String(), " "))
}

func (f *frame) head(v view) {
	f.add(styled(bold, " One election, three electors"),
		text("%*s", max(1, f.width-30), fmt.Sprintf("lease time %v   %s ", v.ttl, clock(v.elapsed))))
	f.add()
	switch said, leads := newestYes(v.rows); {
	case v.broken != "":
		f.add(styled(alarm, " BROKEN: %s", v.broken))
	case said == nil:
		f.add(styled(bold, " Nobody leads"))
	case leads:
		f.add(text(" "), styled(hues[said.name]+";1", "%s", said.name), styled(bold, " leads with token %d", said.token),
			text(", and that is certain for %s", seconds(said.certain)))
	default:
		f.add(styled(bold, " Nobody leads yet"), text(": a yes of %s is certain for another %s", said.name, seconds(said.certain)))
	}
	f.add()
}

// newestYes returns the elector whose yes is still certain, if there is one, and whether it leads still.
func newestYes(rows []rowView) (said *rowView, leads bool) {
	for i := range rows {
		if r := &rows[i]; r.certain > 0 && !leads {
			said, leads = r, r.leads
		}
	}
	return said, leads
}

func (f *frame) table(v view) {
	f.add(styled(dim, "     %-7s %-14s %-17s %6s  %-5s  %s", "elector", "state", "certain for", "token", "queue", "why"))
	for i, r := range v.rows {
		mark := " "
		if i == v.chosen {
			mark = "›"
		}
		state := ""
		switch {
		case r.trouble:
			state = dim
		case r.certain > 0:
			state = bold
		}
		f.add(styled(bold, " %s ", mark), styled(dim, "%d ", i+1), styled(hues[r.name], "%-7s ", r.name),
			styled(state, "%-14s ", r.state), styled(hues[r.name], "%s", bar(r.certain, answerMax(v.ttl))), text(" %-7s ", seconds(r.certain)),
			text("%5s  %-5s  ", number(r.token), ordinal(r.place)), styled(dim, "%s", r.cause))
	}
	queue := make([]string, len(v.queue))
	for i, name := range v.queue {
		queue[i] = plain(name)
	}
	f.add(styled(dim, "     the queue in etcd: %s", orNone(strings.Join(queue, ", "))))
	f.add(members(v)...)
	f.add(styled(dim, "     the counter: %d writes taken, %d late ones refused by their token", v.taken, v.refused))
	f.add()
}

// members tells how the members of etcd are, on one line.
func members(v view) []span {
	spans := []span{styled(dim, "     ")}
	for i, m := range v.members {
		mark, state, style := " ", string(m.process), dim
		if i+len(v.rows) == v.chosen {
			mark = "›"
		}
		switch {
		case m.process != running:
			style = bold
		case m.leads:
			state = "leads"
		}
		spans = append(spans, styled(bold, "%s", mark), styled(dim, "%d ", i+len(v.rows)+1), styled(style, "%s %-9s", m.name, state))
	}
	return spans
}

// hints says where to see the same in a browser and, if there is room, from another terminal.
func (f *frame) hints(v view) {
	if v.page != "" {
		f.add(text(" Look: %s", v.page), styled(dim, "  # all of it, in a browser"))
	}
	for i, r := range v.rows {
		label := "       "
		if i == 0 {
			label = " Ask:  "
		}
		if f.height >= 30 {
			f.add(styled(dim, "%s", label), text("curl -i %s/leader", r.url), styled(dim, "  # %s, process %s", r.name, number(int64(r.pid))))
		}
	}
	f.add()
}

// history shows the newest events that fit into n lines.
func (f *frame) history(v view, n int) {
	shown := v.events[max(0, len(v.events)-max(0, n)):]
	for _, e := range shown {
		style := ""
		if e.strong {
			style = bold
		}
		f.add(styled(dim, "%8.1fs  ", e.at.Seconds()), styled(style, "%s", e.text))
	}
	for range max(0, n-len(shown)) {
		f.add()
	}
}

func (f *frame) foot(v view) {
	f.add()
	style := ""
	if v.broken != "" {
		style = alarm
	}
	f.add(text(" Two yes at once: "), styled(style, "%s", verdict(v.broken)),
		styled(dim, "   checked on %d answers; newest token %s", v.answers, number(v.token)))
	spans := []span{text(" ")}
	for _, k := range [][2]string{{"1-6", "choose"}, {"s", "stop"}, {"k", "kill -9"}, {"f", "(un)freeze"}, {"c", "cut/heal"}, {"r", "start"}, {"q", "quit"}} {
		spans = append(spans, styled(bold, "%s", k[0]), styled(dim, " %s   ", k[1]))
	}
	f.add(spans...)
}

// bar is as long as what is left of a yes.
func bar(certain, full time.Duration) string {
	if certain <= 0 {
		return strings.Repeat(" ", barWidth)
	}
	n := int((certain*barWidth + full - 1) / full)
	n = min(n, barWidth)
	return strings.Repeat("█", n) + strings.Repeat("·", barWidth-n)
}

func seconds(d time.Duration) string {
	if d <= 0 {
		return "–"
	}
	return fmt.Sprintf("%.1fs", d.Seconds())
}

func number(n int64) string {
	if n == 0 {
		return "–"
	}
	return fmt.Sprint(n)
}

func ordinal(n int) string {
	switch n {
	case 0:
		return "–"
	case 1:
		return "1st"
	case 2:
		return "2nd"
	case 3:
		return "3rd"
	}
	return fmt.Sprintf("%dth", n)
}

func clock(d time.Duration) string {
	s := int(d.Seconds())
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}

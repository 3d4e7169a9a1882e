package main

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// The looks of the picture. The ground is painted, so that it reads the same on light and dark pages.
const (
	wide, high    = 1080, 118 // of the picture, and of a row
	panel, margin = 440, 44   // width of a panel, and what is beside it
	plot, head    = 76, 100   // height of a plot, and of what stands above the first
	ink, faint    = "#1c1c1c", "#666"
	asking        = "#3d5a98"
	leaderless    = "#b00020"
	working       = "#c46210"
)

// draw has a column for each shape and a row for each fault: requests, the share of elections without a leader, and
// etcd's processor time.
func draw(runs []*run) string {
	var b strings.Builder
	rows := 0
	for _, r := range runs {
		rows = max(rows, len(r.trials))
	}
	height := head + rows*high + 20
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="system-ui,sans-serif" font-size="13" role="img" aria-label="What a herd of electors asks of etcd">`, wide, height)
	fmt.Fprintf(&b, "\n<rect width=\"%d\" height=\"%d\" rx=\"8\" fill=\"#fbfbf8\"/>", wide, height)
	text(&b, 20, 30, ink, `font-size="17" font-weight="600"`, "What a herd of electors asks of etcd, second by second")
	text(&b, 20, 54, asking, "", "■ requests/s at etcd, per 0.1 s")
	text(&b, 250, 54, working, "", "— etcd’s processor time, full height 2 cores")
	text(&b, 550, 54, leaderless, "", "■ share of elections without a leader")
	text(&b, 810, 54, faint, "", "▒ while the fault is on")
	for column, r := range runs {
		x := float64(60 + column*(panel+2*margin))
		text(&b, x, 82, ink, `font-weight="600"`, r.shape.String())
		for row, t := range r.trials {
			r.panel(&b, t, x, float64(head+row*high+14), span(runs, row))
		}
	}
	b.WriteString("\n</svg>\n")
	return b.String()
}

// span is the longest of a row, which both columns have for their scale.
func span(runs []*run, row int) time.Duration {
	var d time.Duration
	for _, r := range runs {
		if row < len(r.trials) {
			d = max(d, r.trials[row].ended-r.trials[row].began)
		}
	}
	return max(d, time.Second)
}

func text(b *strings.Builder, x, y float64, colour, more, what string) {
	fmt.Fprintf(b, "\n<text x=\"%.1f\" y=\"%.1f\" fill=\"%s\" %s>%s</text>", x, y, colour, more, what)
}

// panel is one fault.
func (r *run) panel(b *strings.Builder, t trial, x, y float64, span time.Duration) {
	f := r.figuresOf(t.began, t.mended, t.ended)
	at := func(d time.Duration) float64 { return x + panel*float64(d)/float64(span) }
	text(b, x, y-3, ink, `font-size="12"`, t.name)
	if t.mended > t.began && t.name != peaceful {
		fmt.Fprintf(b, "\n<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\" fill=\"#e9e9e2\"/>", x, y, max(1, at(t.mended-t.began)-x), plot)
	}
	r.leaderless(b, t, at, y)
	most := max(f.requests.peak(1), 1)
	top := nice(most)
	area(b, f.requests, at, y, top/10, asking)
	line(b, f.cpu, at, y)
	fmt.Fprintf(b, "\n<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"#9a9a92\"/>", x, y+plot, at(t.ended-t.began), y+plot)
	text(b, x-6, y+9, faint, `font-size="10" text-anchor="end"`, fmt.Sprintf("%.0f/s", top))
	step := 5 * time.Second
	if span > 40*time.Second {
		step = 10 * time.Second
	}
	for d := time.Duration(0); d <= t.ended-t.began; d += step {
		text(b, at(d), y+plot+12, faint, `font-size="10" text-anchor="middle"`, fmt.Sprintf("%.0f s", d.Seconds()))
	}
}

// nice is the next number of the form 1, 2 or 5 times a power of ten.
func nice(v float64) float64 {
	p := math.Pow(10, math.Floor(math.Log10(v)))
	for _, n := range []float64{1, 2, 5} {
		if v <= n*p {
			return n * p
		}
	}
	return 10 * p
}

func area(b *strings.Builder, s *bins, at func(time.Duration) float64, y, top float64, colour string) {
	fmt.Fprintf(b, "\n<path fill=\"%s\" fill-opacity=\"0.75\" d=\"M%.1f %.1f", colour, at(0), y+plot)
	for i, v := range s.sums {
		d := time.Duration(i) * sampleEvery
		h := y + plot - plot*min(v/top, 1)
		fmt.Fprintf(b, "L%.1f %.1fL%.1f %.1f", at(d), h, at(d+sampleEvery), h)
	}
	fmt.Fprintf(b, "L%.1f %.1fZ\"/>", at(time.Duration(len(s.sums))*sampleEvery), y+plot)
}

// line shows processor time, smoothed over half a second: the kernel counts it in hundredths.
func line(b *strings.Builder, s *bins, at func(time.Duration) float64, y float64) {
	fmt.Fprintf(b, "\n<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"1.3\" points=\"", working)
	const smooth, cores = 5, 2
	for i := 0; i < len(s.sums); i += 2 {
		sum, n := 0.0, 0
		for j := max(0, i-smooth/2); j <= min(len(s.sums)-1, i+smooth/2); j++ {
			sum, n = sum+s.sums[j], n+1
		}
		used := sum / float64(n) / sampleEvery.Seconds()
		fmt.Fprintf(b, "%.1f,%.1f ", at(time.Duration(i)*sampleEvery), y+plot-plot*min(used/cores, 1))
	}
	b.WriteString("\"/>")
}

// leaderless hangs the share of elections without a leader from the top.
func (r *run) leaderless(b *strings.Builder, t trial, at func(time.Duration) float64, y float64) {
	fmt.Fprintf(b, "\n<path fill=\"%s\" fill-opacity=\"0.22\" d=\"M%.1f %.1f", leaderless, at(0), y)
	end, h := time.Duration(0), y
	for _, w := range r.words {
		if w.At < t.began || w.At > t.ended {
			continue
		}
		end = w.At - t.began
		fmt.Fprintf(b, "L%.1f %.1f", at(end), h)
		h = y + plot*float64(r.elections()-w.Leaders)/float64(r.elections())
		fmt.Fprintf(b, "L%.1f %.1f", at(end), h)
	}
	fmt.Fprintf(b, "L%.1f %.1fL%.1f %.1fZ\"/>", at(end), h, at(end), y)
}

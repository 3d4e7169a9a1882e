package timeline

import (
	"fmt"
	"html"
	"io"
	"math"
	"strings"
	"time"

	"github.com/elector-dev/elector/internal/chaos/history"
)

// Life is what one process took, reduced to a point for every few seconds.
type Life struct {
	Lane   string
	Points []Point
}

// Point is an average.
type Point struct {
	At          float64 // seconds since the run began
	Resident    float64 // MiB
	Goroutines  float64
	Descriptors float64
}

// Curves is what the processes of one run took.
type Curves struct {
	Seed   uint64
	Length float64 // seconds
	Lanes  []string
	Lives  []Life
}

// pointEvery is how far apart points are.
const pointEvery = 2 * time.Second

// NewCurves reads them from a record. Where a process was not heard of for long, its life is drawn as another one.
func NewCurves(h *history.History) Curves {
	c := Curves{Seed: h.Run.Seed, Length: newClock(h).length, Lanes: h.Run.Electors}
	type sum struct {
		Point
		n   float64
		end history.Instant
	}
	open := map[[2]string]int{} // by lane and incarnation, index in Lives
	sums := map[int]*sum{}
	finish := func(i int) {
		s := sums[i]
		c.Lives[i].Points = append(c.Lives[i].Points, Point{s.At / s.n, s.Resident / s.n, s.Goroutines / s.n, s.Descriptors / s.n})
		delete(sums, i)
	}
	last := map[[2]string]history.Instant{}
	for _, s := range h.Samples {
		id := [2]string{s.Elector, s.Incarnation}
		i, found := open[id]
		if !found || s.Sent.Sub(last[id]) > 4*pointEvery {
			if found && sums[i] != nil {
				finish(i)
			}
			i = len(c.Lives)
			open[id] = i
			c.Lives = append(c.Lives, Life{Lane: s.Elector})
		}
		last[id] = s.Sent
		if sums[i] != nil && s.Sent >= sums[i].end {
			finish(i)
		}
		if sums[i] == nil {
			sums[i] = &sum{end: s.Sent.Add(pointEvery)}
		}
		t := sums[i]
		t.At += s.Sent.Sub(h.Run.Began).Seconds()
		t.Resident += float64(s.Resident) / (1 << 20)
		t.Goroutines += float64(s.Goroutines)
		t.Descriptors += float64(s.Descriptors)
		t.n++
	}
	for i := range c.Lives {
		if sums[i] != nil {
			finish(i)
		}
	}
	return c
}

// The measures of the picture of curves, in pixels.
const (
	curvesWidth  = 1180.0
	curvesLeft   = 64.0
	curvesPlot   = 150.0 // height
	curvesGap    = 34.0
	curvesTop    = 46.0
	curvesBottom = 34.0
)

// colours are those of the lanes: the page's own.
var colours = [palette]string{"#2563a8", "#0f766e", "#7c3aed", "#a21caf", "#7c4a21", "#4d7c0f"}

// WriteCurves draws the curves of runs one after the other as one SVG: memory, goroutines and descriptors.
func WriteCurves(w io.Writer, runs []Curves) error {
	total := 1.0
	lanes := []string{}
	for _, r := range runs {
		total += r.Length
		if len(r.Lanes) > len(lanes) {
			lanes = r.Lanes
		}
	}
	plots := []struct {
		name string
		of   func(Point) float64
	}{
		{"resident memory, MiB", func(p Point) float64 { return p.Resident }},
		{"goroutines", func(p Point) float64 { return p.Goroutines }},
		{"open descriptors", func(p Point) float64 { return p.Descriptors }},
	}
	height := curvesTop + float64(len(plots))*(curvesPlot+curvesGap) + curvesBottom - curvesGap
	x := func(s float64) float64 { return curvesLeft + s/total*(curvesWidth-curvesLeft-10) }
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%g" height="%g" viewBox="0 0 %g %g" role="img" aria-label="what each elector took">`+"\n", curvesWidth, height, curvesWidth, height)
	b.WriteString(`<style>text{font:11px system-ui,"DejaVu Sans",sans-serif;fill:#1d2430}.soft{fill:#667085}line{stroke:#d7dce4}.run{stroke:#8a93a3;stroke-dasharray:3 3}polyline{fill:none;stroke-width:1.2}</style>` + "\n")
	fmt.Fprintf(&b, `<rect width="%g" height="%g" fill="#ffffff"/>`+"\n", curvesWidth, height)
	for i, lane := range lanes {
		fmt.Fprintf(&b, `<rect x="%g" y="10" width="14" height="4" fill="%s"/><text x="%g" y="17">%s</text>`+"\n",
			curvesLeft+float64(i)*70, colours[i%palette], curvesLeft+18+float64(i)*70, html.EscapeString(lane))
	}
	for k, plot := range plots {
		top := curvesTop + float64(k)*(curvesPlot+curvesGap)
		most := 0.0
		for _, r := range runs {
			for _, l := range r.Lives {
				for _, p := range l.Points {
					most = max(most, plot.of(p))
				}
			}
		}
		step := nice(most / 4)
		most = max(step, math.Ceil(most/step)*step)
		y := func(v float64) float64 { return top + curvesPlot*(1-v/most) }
		fmt.Fprintf(&b, `<text x="%g" y="%g">%s</text>`+"\n", curvesLeft, top-6, plot.name)
		for v := 0.0; v <= most+step/2; v += step {
			fmt.Fprintf(&b, `<line x1="%g" x2="%g" y1="%.1f" y2="%.1f"/><text class="soft" x="%g" y="%.1f" text-anchor="end">%g</text>`+"\n",
				curvesLeft, curvesWidth-10, y(v), y(v), curvesLeft-6, y(v)+4, v)
		}
		began := 0.0
		for _, r := range runs {
			for _, l := range r.Lives {
				drawLife(&b, r, l, func(p Point) (float64, float64) { return x(began + p.At), y(plot.of(p)) })
			}
			began += r.Length
			if began < total-1.5 {
				fmt.Fprintf(&b, `<line class="run" x1="%.1f" x2="%.1f" y1="%g" y2="%g"/>`+"\n", x(began), x(began), top, top+curvesPlot)
			}
		}
	}
	began := 0.0
	for _, r := range runs {
		fmt.Fprintf(&b, `<text class="soft" x="%.1f" y="%g">seed %d, %v</text>`+"\n",
			x(began)+3, height-14, r.Seed, time.Duration(r.Length*float64(time.Second)).Round(time.Second))
		began += r.Length
	}
	b.WriteString("</svg>\n")
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("draw curves: %w", err)
	}
	return nil
}

func drawLife(b *strings.Builder, r Curves, l Life, place func(Point) (x, y float64)) {
	colour := colours[0]
	for i, lane := range r.Lanes {
		if lane == l.Lane {
			colour = colours[i%palette]
		}
	}
	fmt.Fprintf(b, `<polyline stroke="%s" points="`, colour)
	for _, p := range l.Points {
		x, y := place(p)
		fmt.Fprintf(b, "%.1f,%.1f ", x, y)
	}
	b.WriteString("\"/>\n")
}

// nice is a round number that is not less.
func nice(v float64) float64 {
	if v <= 1 {
		return 1
	}
	unit := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 5} {
		if m*unit >= v {
			return m * unit
		}
	}
	return 10 * unit
}

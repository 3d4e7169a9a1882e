package main

import (
	"image/color"
	"math"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/elector-dev/elector/test/monitoring/lab"
)

var (
	mark    = color.RGBA{0xb4, 0x53, 0x09, 0xff} // of events
	palette = []color.Color{
		color.RGBA{0x25, 0x63, 0xa8, 0xff}, color.RGBA{0xd9, 0x77, 0x06, 0xff}, color.RGBA{0x0f, 0x8a, 0x5f, 0xff}, color.RGBA{0x7c, 0x3a, 0xed, 0xff},
		color.RGBA{0xc4, 0x31, 0x4b, 0xff}, color.RGBA{0x66, 0x70, 0x85, 0xff}, color.RGBA{0x0e, 0x91, 0xb2, 0xff}, color.RGBA{0xa2, 0x1c, 0xaf, 0xff},
		color.RGBA{0x4d, 0x7c, 0x0f, 0xff}, color.RGBA{0x7c, 0x4a, 0x21, 0xff}, color.RGBA{0xea, 0x58, 0x9b, 0xff},
	}
)

// frame is an empty plot over the time of the run.
func (p *page) frame() *plot.Plot {
	pl := plot.New()
	pl.BackgroundColor = color.Transparent
	for _, a := range []*plot.Axis{&pl.X, &pl.Y} {
		a.Tick.Label.Font.Variant, a.Tick.Label.Font.Size, a.Tick.Label.Color = "Sans", 8, soft
		a.Color, a.Tick.Color, a.Tick.Length, a.Padding = faint, faint, 3, 0
	}
	return pl
}

// show draws a plot whose series have been added, between two values, and over it the events.
func (p *page) show(c draw.Canvas, pl *plot.Plot, bottom, top float64) {
	step := 30.0
	if c.Max.X-c.Min.X < width/2 {
		step = 60
	}
	var ticks plot.ConstantTicks
	for s := 0.0; s <= p.ended.Sub(p.began).Seconds(); s += step {
		ticks = append(ticks, plot.Tick{Value: seconds(p.began) + s, Label: clock(s)})
	}
	pl.X.Tick.Marker = ticks
	pl.X.Min, pl.X.Max, pl.Y.Min, pl.Y.Max = seconds(p.began), seconds(p.ended), bottom, top
	pl.Draw(c)
	inside := pl.DataCanvas(c)
	x, _ := pl.Transforms(&inside)
	for i, e := range p.events {
		at, n, s := x(seconds(e.at)), strconv.Itoa(i+1), style(7.5, mark, true)
		inside.StrokeLine2(draw.LineStyle{Color: mark, Width: 0.5, Dashes: []vg.Length{2, 2}}, at, inside.Min.Y, at, inside.Max.Y)
		inside.FillText(s, vg.Point{X: at - s.Width(n)/2, Y: inside.Max.Y + 1}, n)
	}
}

// timeline is a lane with bars for each series.
func (p *page) timeline(c draw.Canvas, d drawn) {
	pl := p.frame()
	all := d.series()
	var lanes plot.ConstantTicks
	for i, s := range all {
		lanes = append(lanes, plot.Tick{Value: float64(-i), Label: s.name})
		pl.Add(lane{s, d, float64(-i)})
	}
	pl.Y.Tick.Marker, pl.Y.Tick.Length, pl.Y.Tick.Label.Color = lanes, 0, ink
	p.show(c, pl, 0.5-float64(max(1, len(all))), 0.5)
}

// lane is the bars of one series.
type lane struct {
	named
	drawn
	y float64
}

// Plot implements plot.Plotter.
func (l lane) Plot(c draw.Canvas, pl *plot.Plot) {
	x, y := pl.Transforms(&c)
	bottom, top := y(l.y-0.38), y(l.y+0.38)
	for _, run := range l.runs() {
		for i := 0; i < len(run); {
			first := run[i]
			for i++; i < len(run) && run[i].Y == first.Y; i++ {
			}
			end := x(run[i-1].X + lab.ScrapeInterval.Seconds())
			l.bar(sub(c, x(first.X), bottom, min(end, c.Max.X), top), first.Y)
		}
	}
}

// bar is a time with one value, with its text if there is room.
func (l lane) bar(c draw.Canvas, value float64) {
	text, colour := l.Field.Defaults.Shown(value)
	fill(c, rgb(colour))
	s := style(8, color.White, true)
	if w := s.Width(text); w+4 < c.Max.X-c.Min.X {
		c.FillText(s, vg.Point{X: (c.Min.X + c.Max.X - w) / 2, Y: (c.Min.Y+c.Max.Y)/2 - 3}, text)
	}
}

// chart is lines, points or bars on one scale, with their names below.
func (p *page) chart(c draw.Canvas, d drawn) error {
	pl := p.frame()
	all := d.series()
	low, high := math.Inf(1), math.Inf(-1)
	stack := map[float64]float64{} // the top of the bars so far
	for i, s := range all {
		colour := palette[i%len(palette)]
		for _, run := range s.runs() {
			plotted, err := d.plotter(s.name, run, colour, stack)
			if err != nil {
				return err
			}
			pl.Add(plotted)
			for _, xy := range run {
				low, high = min(low, xy.Y), max(high, xy.Y, stack[xy.X])
			}
		}
	}
	if least := d.Field.Defaults.Min; least != nil {
		low = *least
	}
	if len(all) == 0 || high-low < 1e-9 {
		low, high = min(low, 0), 1
	}
	pl.Y.Tick.Marker = scale(d.Field.Defaults.Unit)
	p.show(sub(c, c.Min.X, c.Min.Y+names(c, d, all), c.Max.X, c.Max.Y), pl, low, high+(high-low)/20)
	return nil
}

// plotter draws a run of points as the panel has it.
func (d drawn) plotter(name string, run plotter.XYs, colour color.Color, stack map[float64]float64) (plot.Plotter, error) {
	switch d.Field.Defaults.Custom.DrawStyle {
	case "bars":
		return stacked(run, stack, colour), nil
	case "points":
		dots, err := plotter.NewScatter(run)
		if err == nil {
			dots.GlyphStyle = draw.GlyphStyle{Color: colour, Radius: 1.8, Shape: draw.CircleGlyph{}}
		}
		return dots, err
	}
	l, err := plotter.NewLine(run)
	if err != nil {
		return nil, err
	}
	l.Color, l.Width = colour, 1.2
	if d.Dashed(name) {
		l.Color, l.Width, l.Dashes = soft, 0.8, []vg.Length{4, 3}
	}
	if d.Field.Defaults.Custom.LineInterpolation == "stepAfter" {
		l.StepStyle = plotter.PostStep
	}
	return l, nil
}

// columns are bars that stand on others.
type columns struct {
	run    plotter.XYs
	bases  []float64
	colour color.Color
}

// stacked puts bars on what stands already.
func stacked(run plotter.XYs, stack map[float64]float64, colour color.Color) columns {
	b := columns{run: run, colour: colour}
	for _, xy := range run {
		b.bases = append(b.bases, stack[xy.X])
		stack[xy.X] += xy.Y
	}
	return b
}

// Plot implements plot.Plotter.
func (b columns) Plot(c draw.Canvas, pl *plot.Plot) {
	x, y := pl.Transforms(&c)
	for i, xy := range b.run {
		if xy.Y > 0 {
			fill(sub(c, x(xy.X), y(b.bases[i]), min(c.Max.X, x(xy.X+lab.ScrapeInterval.Seconds())), y(b.bases[i]+xy.Y)), b.colour)
		}
	}
}

// names writes what the colours mean at the bottom, and returns the height that this takes.
func names(c draw.Canvas, d drawn, all []named) vg.Length {
	const row = 11 * vg.Length(1)
	s := style(8, ink, false)
	x, y := c.Min.X, vg.Length(0)
	var draws []func(bottom vg.Length)
	for i, n := range all {
		colour, wide := palette[i%len(palette)], s.Width(n.name)+22
		if d.Dashed(n.name) {
			colour = soft
		}
		if x > c.Min.X && x+wide > c.Max.X {
			x, y = c.Min.X, y+row
		}
		at, down := x, y
		draws = append(draws, func(bottom vg.Length) {
			line := bottom - down
			fill(sub(c, at, line+2, at+9, line+4.5), colour)
			c.FillText(s, vg.Point{X: at + 12, Y: line}, n.name)
		})
		x += wide
	}
	for _, draw := range draws {
		draw(c.Min.Y + y)
	}
	return y + row + 4
}

// scale marks a handful of round values, in a unit.
type scale string

// Ticks implements plot.Ticker.
func (unit scale) Ticks(low, high float64) (ticks []plot.Tick) {
	step := math.Pow(10, math.Floor(math.Log10((high-low)/4)))
	for _, times := range []float64{1, 2, 5, 10} {
		if (high-low)/(step*times) <= 5 {
			step *= times
			break
		}
	}
	for v := math.Ceil(low/step) * step; v <= high; v += step {
		rounded := math.Round(v/step) * step
		ticks = append(ticks, plot.Tick{Value: v, Label: shown(string(unit), math.Round(rounded*1e6)/1e6)})
	}
	return ticks
}

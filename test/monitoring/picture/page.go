package main

import (
	"bufio"
	"fmt"
	"image/color"
	"os"
	"strings"
	"time"

	xfont "golang.org/x/image/font"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"

	"github.com/elector-dev/elector/test/monitoring/board"
)

// Sizes, in points.
const (
	width   = 1080 * vg.Length(1)
	cell    = 24 * vg.Length(1) // height of the grid's unit
	gap     = 4 * vg.Length(1)
	margin  = 12 * vg.Length(1)
	line    = 12 * vg.Length(1)
	dpi     = 100
	credits = "Drawn from the dashboard's queries by test/monitoring/picture, not a Grafana screenshot. Three electors, TTL 6 s, a scrape each second; " +
		"the lab's certificates live for a day."
)

// eventColumns is how many events stand side by side in the head.
const eventColumns = 4

// drawn is a panel with what there is to draw.
type drawn struct {
	board.Panel
	answers
}

// page is the picture.
type page struct {
	began, ended time.Time
	events       []event
	panels       []drawn
}

var (
	ink    = color.RGBA{0x1d, 0x24, 0x30, 0xff}
	soft   = color.RGBA{0x66, 0x70, 0x85, 0xff}
	faint  = color.RGBA{0xd7, 0xdc, 0xe4, 0xff}
	ground = color.RGBA{0xf3, 0xf5, 0xf8, 0xff}
)

// write draws all panels in their places below a head, and the file.
func (p *page) write(path string) error {
	rows := 0
	for _, d := range p.panels {
		rows = max(rows, d.Grid.Y+d.Grid.H)
	}
	head := margin + line*vg.Length(4+(len(p.events)-1)/eventColumns)
	height := head + cell*vg.Length(rows) + margin
	img := vgimg.NewWith(vgimg.UseWH(width, height), vgimg.UseDPI(dpi))
	all := draw.New(img)
	fill(all, ground)
	p.head(all)
	column := (width - 2*margin) / board.Columns
	for _, d := range p.panels {
		left, top := margin+column*vg.Length(d.Grid.X), height-head-cell*vg.Length(d.Grid.Y)
		place := sub(all, left+gap/2, top-cell*vg.Length(d.Grid.H)+gap/2, left+column*vg.Length(d.Grid.W)-gap/2, top-gap/2)
		if err := p.panel(place, d); err != nil {
			return fmt.Errorf("draw %q: %w", d.Title, err)
		}
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriter(f)
	if _, err := (vgimg.PngCanvas{Canvas: img}).WriteTo(w); err != nil {
		return err
	}
	return w.Flush()
}

// head is the title, who drew this, and what the numbers of the events mean.
func (p *page) head(c draw.Canvas) {
	y := c.Max.Y - margin - line
	say(c, "elector", margin, y, 14, ink, true)
	say(c, credits, margin+70, y, 9, soft, false)
	column := (c.Max.X - 2*margin) / eventColumns
	for i, e := range p.events {
		x := margin + column*vg.Length(i%eventColumns)
		y := y - line*vg.Length(1.6+float64(i/eventColumns))
		say(c, fmt.Sprintf("%d   %s  %s", i+1, clock(e.at.Sub(p.began).Seconds()), e.what), x, y, 9, ink, false)
	}
}

// panel is a frame with a title and what is shown in it.
func (p *page) panel(c draw.Canvas, d drawn) error {
	if d.Type == "row" {
		say(c, d.Title, c.Min.X, c.Min.Y+5, 11, ink, true)
		return nil
	}
	fill(c, color.White)
	c.StrokeLines(draw.LineStyle{Color: faint, Width: 0.7}, append(corners(c), corners(c)[0]))
	say(c, d.Title, c.Min.X+8, c.Max.Y-14, 9.5, ink, true)
	inner := sub(c, c.Min.X+8, c.Min.Y+5, c.Max.X-10, c.Max.Y-27)
	switch d.Type {
	case "stat":
		p.stat(inner, d)
		return nil
	case "state-timeline":
		p.timeline(inner, d)
		return nil
	case "timeseries":
		return p.chart(inner, d)
	case "heatmap":
		return p.heatmap(inner, d)
	}
	return fmt.Errorf("nothing draws a panel of type %q", d.Type)
}

// stat shows the newest value of each series.
func (p *page) stat(c draw.Canvas, d drawn) {
	for _, s := range d.series() {
		if n := len(s.points); n > 0 {
			value := s.points[n-1].Y
			_, colour := d.Field.Defaults.Shown(value)
			say(c, shown(d.Field.Defaults.Unit, value), c.Min.X+2, (c.Min.Y+c.Max.Y)/2-9, 24, rgb(colour), true)
		}
	}
}

func sub(c draw.Canvas, x0, y0, x1, y1 vg.Length) draw.Canvas {
	return draw.Canvas{Canvas: c.Canvas, Rectangle: vg.Rectangle{Min: vg.Point{X: x0, Y: y0}, Max: vg.Point{X: x1, Y: y1}}}
}

func corners(c draw.Canvas) []vg.Point {
	return []vg.Point{c.Min, {X: c.Max.X, Y: c.Min.Y}, c.Max, {X: c.Min.X, Y: c.Max.Y}}
}

func fill(c draw.Canvas, with color.Color) { c.FillPolygon(with, corners(c)) }

// style is text of some size.
func style(size vg.Length, ink color.Color, bold bool) draw.TextStyle {
	f := font.From(plot.DefaultFont, size)
	f.Variant = "Sans"
	if bold {
		f.Weight = xfont.WeightBold
	}
	return draw.TextStyle{Color: ink, Font: f, Handler: text.Plain{Fonts: font.DefaultCache}}
}

// say writes a line of text from a point on.
func say(c draw.Canvas, what string, x, y, size vg.Length, ink color.Color, bold bool) {
	c.FillText(style(size, ink, bold), vg.Point{X: x, Y: y}, what)
}

// rgb is a colour of the dashboard.
func rgb(hex string) color.Color {
	c := color.RGBA{A: 0xff}
	if _, err := fmt.Sscanf(strings.TrimPrefix(hex, "#"), "%02x%02x%02x", &c.R, &c.G, &c.B); err != nil {
		return color.Transparent
	}
	return c
}

// clock is a time since the beginning.
func clock(seconds float64) string { return fmt.Sprintf("%d:%02d", int(seconds)/60, int(seconds)%60) }

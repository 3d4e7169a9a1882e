package timeline

import (
	"fmt"
	"html"
	"html/template"
	"strings"
)

// canvas collects SVG. What lies along time is given in per cent of the width, so that zooming is a change
// of the width and neither text nor lines are stretched.
type canvas struct {
	b      strings.Builder
	length float64 // seconds across
	scale  float64 // pixels a second to begin with
}

// x is a place in time.
func (c *canvas) x(sec float64) string { return percent(100 * sec / c.length) }

// least is the shortest time that can be seen at the first scale.
func (c *canvas) least(pixels float64) float64 { return pixels / c.scale }

func percent(p float64) string {
	return strings.TrimRight(strings.TrimRight(fmt.Sprintf("%.4f", p), "0"), ".") + "%"
}

// bar is a rectangle in time, with a title that shows when it is pointed at. It is at least as wide as can
// be seen.
func (c *canvas) bar(class string, from, to, y, height float64, title string) {
	to = max(to, from+c.least(1))
	fmt.Fprintf(&c.b, `<rect class="%s" x="%s" width="%s" y="%g" height="%g">%s</rect>`+"\n",
		html.EscapeString(class), c.x(from), c.x(to-from), y, height, titled(title))
}

// label is text that is cut off at the end of what it labels.
func (c *canvas) label(class string, from, to, y, height float64, text string) {
	if to-from < c.least(9) {
		return
	}
	fmt.Fprintf(&c.b, `<svg x="%s" width="%s" y="%g" height="%g" class="clip"><text class="%s" x="4" y="%g">%s</text></svg>`+"\n",
		c.x(from), c.x(to-from), y, height, html.EscapeString(class), height/2+4, html.EscapeString(text))
}

// text is not cut off.
func (c *canvas) text(class string, at, y float64, text string) {
	fmt.Fprintf(&c.b, `<text class="%s" x="%s" y="%g">%s</text>`+"\n", html.EscapeString(class), c.x(at), y, html.EscapeString(text))
}

// line is an instant across heights.
func (c *canvas) line(class string, at, y0, y1 float64, title string) {
	fmt.Fprintf(&c.b, `<line class="%s" x1="%s" x2="%s" y1="%g" y2="%g">%s</line>`+"\n",
		html.EscapeString(class), c.x(at), c.x(at), y0, y1, titled(title))
}

// mark is a small shape around a place in time, whose path is drawn around 0,0.
func (c *canvas) mark(class string, at, y float64, path, title string) {
	fmt.Fprintf(&c.b, `<svg x="%s" y="%g" class="free"><path class="%s" d="%s">%s</path></svg>`+"\n",
		c.x(at), y, html.EscapeString(class), path, titled(title))
}

func titled(text string) string {
	if text == "" {
		return ""
	}
	return "<title>" + html.EscapeString(text) + "</title>"
}

// done is what was drawn. Everything that came from outside has been escaped on its way in.
func (c *canvas) done() template.HTML { return template.HTML(c.b.String()) }

// rows puts labelled things that overlap in time one under the other.
type rows struct {
	ends []float64 // of the last thing in each row
}

// place gives the first row that is free from one second to another.
func (r *rows) place(from, to float64) int {
	for i, end := range r.ends {
		if end <= from {
			r.ends[i] = to
			return i
		}
	}
	r.ends = append(r.ends, to)
	return len(r.ends) - 1
}

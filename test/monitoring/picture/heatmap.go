package main

import (
	"cmp"
	"image/color"
	"slices"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg/draw"

	"github.com/elector-dev/elector/test/monitoring/lab"
)

// bucket is a row of a heatmap: what took at most so long, and how many by time, those of smaller buckets included.
type bucket struct {
	limit float64
	total map[float64]float64
}

// heatmap shows how many observations fell between two buckets' limits.
func (p *page) heatmap(c draw.Canvas, d drawn) error {
	var rows []bucket
	for _, s := range d.series() {
		limit, err := strconv.ParseFloat(string(s.labels["le"]), 64)
		if err != nil {
			return err
		}
		b := bucket{limit, map[float64]float64{}}
		for _, xy := range s.points {
			b.total[xy.X] = xy.Y
		}
		rows = append(rows, b)
	}
	slices.SortFunc(rows, func(a, b bucket) int { return cmp.Compare(a.limit, b.limit) })
	pl := p.frame()
	var limits plot.ConstantTicks
	for i, b := range rows {
		label := "more"
		if i < len(rows)-1 {
			label = shown("s", b.limit)
		}
		limits = append(limits, plot.Tick{Value: float64(i), Label: label})
	}
	pl.Y.Tick.Marker, pl.Y.Tick.Length = limits, 0
	pl.Add(cells(rows))
	p.show(c, pl, -0.5, float64(len(rows))-0.5)
	return nil
}

// cells are the rows as tiles, the darker the more.
type cells []bucket

// Plot implements plot.Plotter.
func (rows cells) Plot(c draw.Canvas, pl *plot.Plot) {
	x, y := pl.Transforms(&c)
	count := func(i int, at float64) float64 {
		if i == 0 {
			return rows[i].total[at]
		}
		return rows[i].total[at] - rows[i-1].total[at]
	}
	most := 1e-9
	for i := range rows {
		for at := range rows[i].total {
			most = max(most, count(i, at))
		}
	}
	for i := range rows {
		for at := range rows[i].total {
			if n := count(i, at); n > 1e-9 {
				tile := sub(c, x(at), y(float64(i)-0.46), min(c.Max.X, x(at+lab.ScrapeInterval.Seconds())), y(float64(i)+0.46))
				fill(tile, color.NRGBA{0x25, 0x63, 0xa8, uint8(40 + 215*n/most)})
			}
		}
	}
}

package main

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"gonum.org/v1/plot/plotter"

	"github.com/elector-dev/elector/test/monitoring/lab"
)

// named is a series as it is drawn: seconds since the epoch, and values that are numbers.
type named struct {
	name   string
	target int
	labels model.Metric
	points plotter.XYs
}

// series are all answers to a panel, in the order of their targets and names.
func (d drawn) series() (all []named) {
	for i, m := range d.answers {
		for _, s := range m {
			label := func(name string) string { return string(s.Metric[model.LabelName(name)]) }
			n := named{name: d.Targets[i].Name(label), target: i, labels: s.Metric}
			for _, v := range s.Values {
				if y := float64(v.Value); !math.IsNaN(y) && !math.IsInf(y, 0) {
					n.points = append(n.points, plotter.XY{X: float64(v.Timestamp) / 1000, Y: y})
				}
			}
			all = append(all, n)
		}
	}
	slices.SortStableFunc(all, func(a, b named) int {
		return cmp.Or(cmp.Compare(a.target, b.target), cmp.Compare(a.name, b.name))
	})
	return all
}

// runs are the points between two gaps.
func (n named) runs() (all []plotter.XYs) {
	for i, p := range n.points {
		if i == 0 || p.X-n.points[i-1].X > 1.5*lab.ScrapeInterval.Seconds() {
			all = append(all, nil)
		}
		all[len(all)-1] = append(all[len(all)-1], p)
	}
	return all
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

// shown is a value with its unit.
func shown(unit string, v float64) string {
	short := func(v float64) string { return strconv.FormatFloat(v, 'g', 3, 64) }
	switch {
	case unit == "ops":
		return short(v) + "/s"
	case unit != "s":
		return strings.TrimSuffix(strconv.FormatFloat(v, 'f', -1, 64), ".0")
	case v == 0:
		return "0"
	case v < 1:
		return short(v*1000) + " ms"
	case v < 100:
		return short(v) + " s"
	case v < 7200:
		return short(v/60) + " min"
	}
	return short(v/3600) + " h"
}

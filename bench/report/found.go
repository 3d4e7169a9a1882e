// Package report writes what a run has found: a table against the figures to meet, all figures, and pictures.
package report

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/elector-dev/elector/bench/rig"
)

// Found is samples by measure and peer.
type Found map[string]map[string]rig.Samples

// Put adds a sample.
func (f Found) Put(measure, peer string, value float64) {
	if f[measure] == nil {
		f[measure] = map[string]rig.Samples{}
	}
	f[measure][peer] = append(f[measure][peer], value)
}

// Median is that of a measure and a peer; NaN without samples.
func (f Found) Median(measure, peer string) float64 { return f[measure][peer].Median() }

// Most is the greatest sample.
func (f Found) Most(measure, peer string) float64 { return f[measure][peer].Quantile(1) }

// Dump is everything, a line each.
func (f Found) Dump() string {
	var b strings.Builder
	for _, m := range slices.Sorted(maps.Keys(f)) {
		for _, p := range slices.Sorted(maps.Keys(f[m])) {
			s := f[m][p]
			fmt.Fprintf(&b, "%-50s %-20s n=%-4d median %s least %s most %s\n", m, p, len(s), number(s.Median()), number(s.Quantile(0)), number(s.Quantile(1)))
		}
	}
	return b.String()
}

// number shows three digits, and no more after the point than they need.
func number(v float64) string {
	switch a := math.Abs(v); {
	case math.IsNaN(v):
		return ""
	case a == 0:
		return "0"
	case a < 0.01:
		return fmt.Sprintf("%.3f", v)
	case a < 10:
		return fmt.Sprintf("%.2f", v)
	case a < 100:
		return fmt.Sprintf("%.1f", v)
	case a < 10000:
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.1f k", v/1000)
}

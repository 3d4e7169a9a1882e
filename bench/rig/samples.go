package rig

import (
	"math"
	"slices"
	"time"
)

// Samples are measurements of one kind, in any order.
type Samples []float64

// Add appends a duration in milliseconds.
func (s *Samples) Add(d time.Duration) { *s = append(*s, Millis(d)) }

// Millis is a duration in milliseconds.
func Millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// Quantile is the value below which a share q of the samples lies; NaN without samples.
func (s Samples) Quantile(q float64) float64 {
	if len(s) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(s))
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// Median is the value in the middle; the mean of the two when there are two.
func (s Samples) Median() float64 {
	if len(s) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(s))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

package check

import (
	"time"

	"github.com/elector-dev/elector/internal/chaos/history"
)

// longLife is how long a process has to live under faults for its curves to be judged: a quarter of it is many faults.
const longLife = 8 * time.Minute

// Curve is what one process took of one thing, on average, in the second and in the last quarter of its life under
// faults. The first quarter is left out: what is made once and kept is made then.
type Curve struct {
	Elector      string
	What         string
	Second, Last float64
}

// resource is a thing that a process takes, and how much more of it than before is no growth: a part, and something
// beside, since faults make a process open and close connections all the time.
type resource struct {
	what   string
	part   float64
	beside float64
	of     func(*history.Sample) float64
}

const memory = "MiB of memory"

var resources = []resource{
	{"goroutines", 0.10, 8, func(s *history.Sample) float64 { return float64(s.Goroutines) }},
	{"descriptors", 0.10, 8, func(s *history.Sample) float64 { return float64(s.Descriptors) }},
	{memory, 0.15, 6, func(s *history.Sample) float64 { return float64(s.Resident) / (1 << 20) }},
}

// flat is I14: a process that lives long takes no more and more.
func (j *judge) flat() {
	if j.Run.Ended == 0 {
		return
	}
	end := j.undisturbedSince()
	if j.Run.Calm != 0 {
		end = j.Run.Calm
	}
	samples := map[processID][]*history.Sample{}
	for i := range j.Samples {
		if s := &j.Samples[i]; s.Received <= end {
			id := processID{s.Elector, s.Incarnation}
			samples[id] = append(samples[id], s)
		}
	}
	for _, p := range j.order {
		all := samples[p.processID]
		if len(all) == 0 || all[len(all)-1].Sent.Sub(all[0].Sent) < longLife {
			continue
		}
		from, quarter := all[0].Sent, all[len(all)-1].Sent.Sub(all[0].Sent)/4
		for _, r := range resources {
			c := Curve{Elector: p.elector, What: r.what}
			c.Second = mean(all, from.Add(quarter), from.Add(2*quarter), r.of)
			c.Last = mean(all, from.Add(3*quarter), end, r.of)
			j.report.Figures.Curves = append(j.report.Figures.Curves, c)
			if r.what == memory && j.Run.Race {
				continue // the detector keeps what it has seen of each word
			}
			if c.Last > c.Second*(1+r.part)+r.beside {
				j.violated("I14", from.Add(3*quarter), end, []*term{{elector: p.elector}},
					"%s (%s) took %.1f %s on average in the last quarter of its life under faults, and %.1f in the second: more than %.0f %% and %.0f more.",
					p.elector, p.incarnation, c.Last, r.what, c.Second, 100*r.part, r.beside)
			}
		}
	}
}

// mean is that of the samples from one instant to another; 0 if there is none.
func mean(all []*history.Sample, from, to history.Instant, of func(*history.Sample) float64) float64 {
	sum, n := 0.0, 0
	for _, s := range all {
		if from <= s.Sent && s.Sent <= to {
			sum, n = sum+of(s), n+1
		}
	}
	if n == 0 {
		return 0
	}
	return sum / float64(n)
}

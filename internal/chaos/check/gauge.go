package check

import (
	"sort"
	"time"

	"github.com/elector-dev/elector/internal/chaos/history"
)

// gaugeGap is how far apart two no may be for a scrape between them to be judged: in a longer time a whole
// term may have gone by between the polls.
const gaugeGap = time.Second

// gauge is I7: a scrape that lies between two answers which agree says the same.
func (j *judge) gauge() {
	for i := range j.Samples {
		s := &j.Samples[i]
		p := j.processes[processID{s.Elector, s.Incarnation}]
		if p == nil {
			continue
		}
		n := sort.Search(len(p.received), func(i int) bool { return p.received[i].Received > s.Sent })
		m := sort.Search(len(p.answers), func(i int) bool { return p.answers[i].Sent >= s.Received })
		if n == 0 || m == len(p.answers) {
			continue
		}
		before, next := p.received[n-1], p.answers[m]
		if before.Yes != next.Yes || before.Token != next.Token {
			continue
		}
		if !before.Yes {
			from, to := before.Sent, next.Received
			if to.Sub(from) > gaugeGap || after(p.yes, to) > after(p.yes, from) {
				continue
			}
		}
		j.report.Figures.SamplesJudged++
		if s.Leading == before.Yes && (!s.Leading || s.Token == 0 || s.Token == before.Token) {
			continue
		}
		t := &term{elector: s.Elector, token: max(before.Token, s.Token)}
		j.violated("I7", s.Sent, s.Received, []*term{t}, "%s's metrics said %s at %s, and its answers said %s before and after.",
			s.Elector, verdict(s.Leading, s.Token), j.at(s.Sent), verdict(before.Yes, before.Token))
	}
}

func verdict(yes bool, token int64) string {
	if !yes {
		return "no"
	}
	return "yes with token " + itoa(token)
}

// renewals adds up what the processes counted of their renewals, each process's last word.
func (x *index) renewals() map[string]int64 {
	last := map[processID]*history.Sample{}
	for i := range x.Samples {
		s := &x.Samples[i]
		if s.Renewals != nil {
			last[processID{s.Elector, s.Incarnation}] = s
		}
	}
	sum := map[string]int64{}
	for _, s := range last {
		for result, n := range s.Renewals {
			sum[result] += n
		}
	}
	return sum
}

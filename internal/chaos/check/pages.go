package check

import (
	"github.com/elector-dev/elector/internal/chaos/history"
)

// readShown takes what came on the streams of pages for what it is: a yes is a promise like that of any answer. A no is
// kept apart, since it tells less of when it was evaluated than a poll's.
func (x *index) readShown() {
	for i := range x.Shown {
		a := &x.Shown[i]
		x.now = max(x.now, a.Received)
		p := x.process(a.Elector, a.Incarnation)
		if !a.Yes {
			p.shownNos = append(p.shownNos, a)
			continue
		}
		t := x.term(p, a.Token)
		t.said(evaluated(a))
		if a.At != 0 && (a.At < a.Sent.Add(-2*slack) || a.At > a.Received.Add(2*slack)) && t.odd == nil {
			t.odd = a
		}
		if t.promised == nil || a.Until > t.until {
			t.until, t.promised = a.Until, a
		}
	}
}

// pages is I11: whoever has a page open gets it, is refused nothing that it asks for, and is in contact when all has been
// calm for as long as an elector may take to recover.
func (j *judge) pages() {
	f := &j.report.Figures
	var open []string
	calm := j.Run.Calm.Add(j.recovery())
	to := j.undisturbedUntil()
	last := map[string]*history.Page{}
	for i := range j.Pages {
		p := &j.Pages[i]
		f.PagesOpened++
		f.PageEvents += p.Events
		f.PageRequests += p.Asked
		f.PageLate += p.Late
		if p.Wrong != "" {
			j.violated("I11", p.From, p.To, []*term{{elector: p.Elector}}, "The page of %s that was opened at %s was not served: %s.", p.Elector, j.at(p.From), p.Wrong)
		}
		if last[p.Elector] == nil {
			open = append(open, p.Elector)
		}
		if p.From <= to {
			last[p.Elector] = p
		}
	}
	f.Shown = len(j.Shown)
	if j.Run.Calm == 0 || to < calm.Add(pollGap) || j.stalls.touches(to.Add(-2*pollGap), to) {
		return
	}
	for _, lane := range open {
		switch p := last[lane]; {
		case p == nil:
			j.violated("I11", calm, to, []*term{{elector: lane}}, "The page of %s was never opened before %s, though all was calm since %s.", lane, j.at(to), j.at(j.Run.Calm))
		case p.To != 0 && p.To < to.Add(-2*pollGap) || p.Events == 0:
			j.violated("I11", calm, to, []*term{{elector: lane}}, "The page of %s had no stream at %s, though all was calm since %s.", lane, j.at(to), j.at(j.Run.Calm))
		}
	}
}

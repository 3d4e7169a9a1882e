package check

import (
	"time"

	"github.com/elector-dev/elector/internal/chaos/history"
)

const (
	clearFloor  = 0.99 // of the time without faults, somebody leads
	faultyFloor = 0.60 // and of the rest
	unknownMost = 0.20 // of a run, or it says nothing
	// shortest is the least time of which a share is judged: one handover is much of less.
	shortest = 5 * time.Second
)

// available is the floor under how much of the time somebody leads, and the ceiling over how much of it
// the harness may have slept. Both are judged when the run has ended: shares of a short time say little.
func (j *judge) available() {
	f := &j.report.Figures
	whole := span{j.Run.Began, j.undisturbedSince()}
	f.Span = whole.long()
	f.Unknown = j.stalls.cut(whole).total()

	led := j.led()
	// Until the first yes the fleet starts, which is judged by the bound for coming back alone.
	begin := j.Run.Began
	if len(j.Processes) > 0 {
		begin = max(begin, j.Processes[0].From) // etcd had to start first
	}
	if len(led) > 0 {
		begin = min(led[0].from, begin.Add(j.recovery()))
	}
	known := union(j.stalls.without(span{begin, whole.to})...)
	// An elector that saw etcd go back waits for a person, which is promised and no lack.
	fenced := j.fenced().cut(span{begin, whole.to}).minus(led)
	f.Fenced = fenced.total()
	known = known.minus(fenced)
	fine := known.minus(j.faulty())
	faulty := known.minus(fine)
	f.Clear, f.ClearLed = fine.total(), fine.total()-fine.minus(led).total()
	f.Faulty, f.FaultyLed = faulty.total(), faulty.total()-faulty.minus(led).total()
	for _, gap := range spans(led.without(span{begin, whole.to})).minus(fenced) {
		if gap.long() > f.Longest {
			f.Longest, f.LongestAt = gap.long(), gap.from
		}
	}
	if j.Run.Ended == 0 {
		return
	}
	if f.Unknown > time.Duration(unknownMost*float64(f.Span)) {
		j.violated("starved", whole.from, whole.to, nil, "The harness stood still for %s of %s: the run shows nothing.", ms(f.Unknown), ms(f.Span))
	}
	j.floor("without faults", f.ClearLed, f.Clear, clearFloor, whole)
	j.floor("with faults", f.FaultyLed, f.Faulty, faultyFloor, whole)
}

func (j *judge) floor(when string, led, of time.Duration, least float64, whole span) {
	if of >= shortest && float64(led) < least*float64(of) {
		j.violated("availability", whole.from, whole.to, nil, "Somebody led for %s of the %s %s: %.1f %%, and at least %.0f %% is asked.",
			ms(led), ms(of), when, 100*float64(led)/float64(of), 100*least)
	}
}

// led is when somebody said that it led: each term's yes, but for times in which its elector gave no answer,
// frozen or hung, for longer than polls are apart.
func (x *index) led() spans {
	var all []span
	for _, t := range x.terms {
		for i := 1; i < len(t.yes); i++ {
			if s := (span{t.yes[i-1], t.yes[i]}); s.long() <= pollGap {
				all = append(all, s)
			}
		}
	}
	return union(all...)
}

// fenced is when some elector refused to lead, for a person to look.
func (x *index) fenced() spans {
	var all []span
	for _, p := range x.order {
		all = append(all, p.fenced)
	}
	return union(all...)
}

// longStall is from when on a stall counts as a fault: holds and checks of workers, which are of the same machine, are not
// given much longer.
const longStall = time.Second

// faulty is when something was wrong: from each fault to the bound for coming back after it. A machine that stood still is
// something wrong.
func (x *index) faulty() spans {
	var all []span
	for _, s := range x.Stalls {
		if s.To.Sub(s.From) >= longStall {
			all = append(all, span{s.From, s.To.Add(x.recovery())})
		}
	}
	for i := range x.Faults {
		f := &x.Faults[i]
		all = append(all, span{f.From, x.end(f).Add(x.recovery())})
	}
	return union(all...)
}

// undisturbedSince is when the polls ended, or the fleet was stopped for good.
func (x *index) undisturbedSince() history.Instant {
	if x.Run.Calm != 0 {
		return max(x.Run.Calm, x.undisturbedUntil())
	}
	return x.polled
}

package check

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/elector-dev/elector/internal/chaos/history"
	"github.com/elector-dev/elector/internal/election"
)

const (
	// electionTimeout is etcd's election timeout, by default: a new etcd leader extends leases by it.
	electionTimeout = time.Second
	// backOff is the longest pause between two attempts to open a session.
	backOff = 5 * time.Second
	// alittle is for what takes no time worth a name: raft rounds, watch events, confirmations, polls,
	// and etcd's choosing a leader, all on a busy machine.
	alittle = 2 * time.Second
	// attempt is the longest that one attempt to open a session takes.
	attempt = 10 * time.Second
	// stopped is by when an elector has ended that was asked to; soon after, it is killed.
	stopped = 25 * time.Second
	// pollGap is how far apart the answers of one elector may be when nothing is wrong.
	pollGap = time.Second
)

// recovery is how long it may take after the last fault until somebody leads: docs/safety.md section 11.
// When the last fault is undone, the elector that will lead may just have begun its longest pause (5 s).
// The oldest key may be that of a session which is lost and was renewed at the last moment, so its lease
// runs a TTL; and when etcd's leader changed as the fault ended, the new one gives every lease its whole
// TTL and the election timeout once more (TTL + 1 s). Nothing else takes a share of the TTL.
func (x *index) recovery() time.Duration { return 2*x.Run.TTL + electionTimeout + backOff + alittle }

// calm is I5: from the recovery bound after the last fault until the fleet is stopped, one term covers
// everything.
func (j *judge) calm() {
	if j.Run.Calm == 0 {
		return
	}
	from := j.Run.Calm.Add(j.recovery())
	from = from.Add(j.stalls.cut(span{j.Run.Calm, from}).total())
	to := j.undisturbedUntil()
	if to <= from.Add(pollGap) {
		if j.Run.Ended != 0 {
			j.unknown("I5: the calm ended at %s, and somebody has to lead again only by %s.", j.at(to), j.at(from))
		}
		return
	}
	var leaders []*term
	for _, t := range j.terms {
		if t.lastLo >= from && t.firstLo <= to {
			leaders = append(leaders, t)
		}
	}
	if len(leaders) == 0 {
		j.violated("I5", j.Run.Calm, to, nil, "Nobody led from %s to %s, though the last fault had been undone at %s.",
			j.at(from), j.at(to), j.at(j.Run.Calm))
		return
	}
	j.report.Figures.CalmJudged = to.Sub(from)
	j.allStand(to)
	first, last := leaders[0], leaders[len(leaders)-1]
	if late := first.firstHi > from; late && j.lostInAStall(from, first) {
		j.unknown("I5: %s led only from %s, since the term before was lost when the harness, and so perhaps the machine, stood still.", first.elector, j.at(first.firstHi))
	} else if late {
		j.violated("I5", j.Run.Calm, first.firstHi, leaders[:1], "%s led only from %s; the last fault had been undone at %s, so somebody had to by %s.",
			first.elector, j.at(first.firstHi), j.at(j.Run.Calm), j.at(from))
	}
	if len(leaders) > 1 && !j.stalls.touches(first.lastLo.Add(-j.Run.TTL), leaders[1].firstHi) {
		j.violated("I5", first.lastLo, leaders[1].firstHi, leaders, "Leadership went from %s (token %d) to %s (token %d) at %s, after everything had been calm since %s.",
			first.elector, first.token, leaders[1].elector, leaders[1].token, j.at(first.lastLo), j.at(j.Run.Calm))
	}
	if last.lastLo < to.Add(-pollGap) && !j.stalls.touches(last.lastLo.Add(-j.Run.TTL), to) {
		j.violated("I5", last.lastLo, to, []*term{last}, "%s led until %s and nobody after it until %s, though all was calm since %s.",
			last.elector, j.at(last.lastLo), j.at(to), j.at(j.Run.Calm))
	}
}

// lostInAStall reports whether somebody had led in the calm before it was due, and a stall can have ended that.
func (j *judge) lostInAStall(due history.Instant, next *term) bool {
	return slices.ContainsFunc(j.terms, func(t *term) bool {
		return t.lastLo >= j.Run.Calm && t.lastLo < due && j.stalls.touches(t.lastLo.Add(-j.Run.TTL), t.lastLo.Add(j.Run.TTL)) &&
			next.firstHi <= t.lastLo.Add(j.recovery())
	})
}

// allStand checks that nobody has dropped out of the election unnoticed while others led: each elector answers
// until the calm ends, and by then stands in the queue, leads, or is fenced. The longest way back is an attempt
// that hangs and the longest pause after it.
func (j *judge) allStand(to history.Instant) {
	if to < j.Run.Calm.Add(attempt+backOff+alittle) || j.Run.Program != "elector" || j.stalls.touches(to.Add(-2*pollGap), to) {
		return
	}
	last := map[string]*history.Answer{}
	for i := range j.Answers {
		if a := &j.Answers[i]; a.Received <= to && (last[a.Elector] == nil || a.Received > last[a.Elector].Received) {
			last[a.Elector] = a
		}
	}
	for _, lane := range j.Run.Electors {
		who := []*term{{elector: lane}}
		switch a := last[lane]; {
		case a == nil || a.Received < to.Add(-2*pollGap):
			j.violated("I5", j.Run.Calm, to, who, "%s answered nothing before %s, though all was calm since %s.", lane, j.at(to), j.at(j.Run.Calm))
		case !a.Yes && !a.Registered && a.State != string(election.Fenced):
			j.violated("I5", j.Run.Calm, to, who, "%s was %s at %s and did not stand in the queue, though all was calm since %s.",
				lane, a.State, j.at(a.Received), j.at(j.Run.Calm))
		}
	}
}

// endedFor checks that electors end when they are killed, or asked to stop, and then without an error. One
// that is asked before it can hear ends by the signal.
func (j *judge) endedFor() {
	if j.Run.Program != "elector" {
		return
	}
	for i := range j.Processes {
		p := &j.Processes[i]
		deaf := p.Asked != 0 && p.To.Sub(p.Asked) > stopped
		signalled := strings.Contains(p.Exit, "killed") && !deaf || p.Asked != 0 && strings.Contains(p.Exit, "terminated")
		clean := p.Asked != 0 && strings.TrimPrefix(p.Exit, "exit status ") == "0"
		if p.To == 0 || signalled || clean || j.endedWithItsCommand(p) {
			continue
		}
		why := "by itself"
		if p.Asked != 0 {
			why = "after it was asked to stop"
		}
		j.violated("I5", p.To, p.To, []*term{{elector: p.Elector}}, "%s (%s) ended %s at %s: %s.", p.Elector, p.Incarnation, why, j.at(p.To), p.Exit)
	}
}

// withItsCommand is how an elector ends whose command was killed.
const withItsCommand = "exit status 137"

// endedWithItsCommand reports whether an elector ended with the status of its command, which was killed.
func (j *judge) endedWithItsCommand(p *history.Process) bool {
	return p.Exit == withItsCommand && slices.ContainsFunc(j.Faults, func(f history.Fault) bool {
		return f.Kind == history.WorkerKill && slices.Contains(f.Targets, p.Elector) && p.From <= f.From && f.From <= p.To
	})
}

// undisturbedUntil is when the calm ended: when the first process was asked to stop or ended, or now.
func (x *index) undisturbedUntil() history.Instant {
	to := x.polled // the watchers may go on for longer than the polls
	for _, p := range x.Processes {
		for _, t := range []history.Instant{p.Asked, p.To} {
			if t > x.Run.Calm {
				to = min(to, t)
			}
		}
	}
	return to
}

// allowance is how much a process's goroutines and descriptors may differ between two calm times: polls
// and scrapes under way, a connection that is being replaced.
const allowance = 12

// leftover is I6: all have been asked to stop, and a TTL and a little has passed.
func (j *judge) leftover() {
	l := j.Leftover
	if l == nil {
		return
	}
	if len(l.Keys) > 0 {
		j.violated("I6", j.now, j.now, nil, "%d keys were left after everybody had stopped, the first of them %s.", len(l.Keys), l.Keys[0])
	}
	if l.Leases > 0 {
		j.violated("I6", j.now, j.now, nil, "%d leases were left after everybody had stopped.", l.Leases)
	}
	for what, growth := range map[string]map[string]int{"goroutines": l.Goroutines, "descriptors": l.Descriptors} {
		for _, lane := range slices.Sorted(maps.Keys(growth)) {
			if n := growth[lane]; n > allowance {
				j.violated("I6", j.now, j.now, []*term{{elector: lane}}, "%s had %d more %s at the end than at the beginning.", lane, n, what)
			}
		}
	}
}

package check

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/elector-dev/elector/internal/chaos/history"
	"github.com/elector-dev/elector/internal/election"
)

// Figures is what was seen, and how often the rules had something to judge.
type Figures struct {
	Answers, Yes, No int
	Terms            int
	Handovers        int // from one process to another
	Keys             int
	Samples          int
	SamplesJudged    int // by I7

	Accesses      int
	Writes        int
	RefusedWrites int

	Works        int // lives of bound work whose end was compared with that of the term
	Acts         int // of all of them
	WorksExcused int // that acted on, since their keys had been taken away behind their backs
	WorksFrozen  int // or since they had been frozen with all that could have ended them

	Faults   []FaultFigure    // by kind, each kind that was tried
	Renewals map[string]int64 // by result, over all processes

	Taken       int // terms whose keys were taken away behind their backs
	NoticedLate int // of them, those that took over a second to notice, while something else was wrong
	Excused     int // overlaps of such a term with the next one
	Promises    int // terms whose furthest promise was compared with the end of their key
	Declared    int // and those cut short by a stop with --shutdown-release=now, which were not
	Stops       int // graceful stops of the leader that I8 judged
	StopsOpen   int // and those that it did not, since something else was wrong
	CalmJudged  time.Duration

	PagesOpened   int
	PageEvents    int // that came on the streams of pages
	PageRequests  int // of pages, beside
	PageLate      int // events whose yes had ended when they came
	Shown         int // events that were judged as answers
	Rotations     int // of all secrets, that were to cost no term
	RotationsOpen int // and those that were not judged, since something else was wrong
	Curves        []Curve

	Span      time.Duration // of the run
	Unknown   time.Duration // of that, the time in which the harness itself stood still
	Fenced    time.Duration // and in which nobody led since electors were fenced
	Clear     time.Duration // without a fault, nor the recovery from one
	ClearLed  time.Duration // of that, the time in which somebody led
	Faulty    time.Duration // the rest of the known time
	FaultyLed time.Duration
	Longest   time.Duration // time without a leader, the start of the fleet not counted
	LongestAt history.Instant
}

// FaultFigure says how often a kind of fault was tried, and how often it was seen to do something.
type FaultFigure struct {
	Kind      string
	Tried     int
	Effective int
}

// Available is the share of time in which somebody led, without faults and with them; 1 where there was no
// such time.
func (f Figures) Available() (clear, faulty float64) {
	share := func(led, of time.Duration) float64 {
		if of == 0 {
			return 1
		}
		return float64(led) / float64(of)
	}
	return share(f.ClearLed, f.Clear), share(f.FaultyLed, f.Faulty)
}

// coverage counts, and notes what is missing.
func (j *judge) coverage() {
	f := &j.report.Figures
	f.Answers, f.Samples, f.Keys, f.Accesses = len(j.Answers), len(j.Samples), len(j.keys), len(j.Register)
	for _, p := range j.order {
		f.Yes += len(p.yes)
		f.No += len(p.nos)
	}
	f.Terms = len(j.terms)
	for i, t := range j.terms {
		if i > 0 && (t.elector != j.terms[i-1].elector || t.incarnation != j.terms[i-1].incarnation) {
			f.Handovers++
		}
	}
	for _, a := range j.Register {
		if a.Write {
			f.Writes++
		}
		if a.Refused {
			f.RefusedWrites++
		}
	}
	f.Renewals = j.renewals()
	f.Faults = j.faultFigures()
	j.vacuous()
}

func (j *judge) faultFigures() []FaultFigure {
	byKind := map[string]*FaultFigure{}
	for i := range j.Faults {
		kind := j.Faults[i].Kind
		if byKind[kind] == nil {
			byKind[kind] = &FaultFigure{Kind: kind}
		}
		byKind[kind].Tried++
		if j.Faults[i].Effective {
			byKind[kind].Effective++
		}
	}
	var out []FaultFigure
	for _, kind := range slices.Sorted(maps.Keys(byKind)) {
		out = append(out, *byKind[kind])
	}
	return out
}

// vacuous lists what a run that shows something has seen.
func (j *judge) vacuous() {
	f := &j.report.Figures
	missing := func(none bool, format string, args ...any) {
		if none {
			j.report.Vacuous = append(j.report.Vacuous, fmt.Sprintf(format, args...))
		}
	}
	missing(f.Yes == 0, "no elector ever said yes")
	missing(f.No == 0, "no elector ever said no")
	missing(f.Handovers == 0, "leadership never went from one process to another")
	missing(f.Keys == 0, "no key was seen: nobody watched etcd")
	missing(f.SamplesJudged == 0, "no scrape was compared with the answers (I7)")
	missing(len(f.Faults) == 0, "nothing was broken")
	effective := map[string]bool{}
	for _, kind := range f.Faults {
		effective[kind.Kind] = kind.Effective > 0
		missing(kind.Effective == 0, "%s never took effect in %d times", kind.Kind, kind.Tried)
	}
	missing(j.Run.Ended != 0 && f.CalmJudged == 0, "nothing was seen of the calm after the faults (I5)")
	missing(j.Run.Ended != 0 && j.Leftover == nil, "nobody looked for what was left behind (I6)")
	if j.Run.Program == "elector" {
		missing(f.Writes == 0, "nothing was written to the register (I9)")
		missing(f.RefusedWrites == 0, "the register refused nothing (I9)")
	}
	if j.Run.Scenario != "storm" {
		return
	}
	for _, kind := range history.Kinds() {
		_, tried := effective[kind]
		missing(!tried, "%s was never tried", kind)
	}
	missing(f.Promises == 0 && j.Run.Program == "elector", "no promise was compared with the end of its key (I2)")
	missing(f.Taken == 0, "no leader's key was taken away behind its back")
	missing(f.Stops == 0, "no leader was stopped gracefully while all else was well (I8)")
	if j.Run.Program == "elector" {
		for _, result := range election.RenewalResults {
			missing(f.Renewals[string(result)] == 0, "no renewal was %s", result)
		}
	}
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

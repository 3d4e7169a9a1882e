package check_test

import (
	"cmp"
	"strings"
	"testing"
	"time"

	"github.com/elector-dev/elector/internal/chaos/check"
	"github.com/elector-dev/elector/internal/chaos/history"
)

// paged has b's page open, in which every fifth of b's answers is shown. The first process's stream ends with it.
func paged(h *history.History) {
	h.Pages = []history.Page{
		{Elector: "b", Incarnation: "b1", From: at(100), To: at(20_000), Events: 1, Asked: 3},
		{Elector: "b", Incarnation: "b2", From: at(21_200), Events: 1, Asked: 3},
	}
	last := map[string]history.Instant{}
	for i, a := range h.Answers {
		if a.Elector != "b" || i%5 > 0 {
			continue
		}
		a.Sent = max(last[a.Incarnation], at(100)) // what is known of a stream's event
		if a.Yes {
			last[a.Incarnation] = a.At
		}
		h.Shown = append(h.Shown, a)
	}
}

// shownLast is the last yes that was shown with a token.
func shownLast(h *history.History, token int64) *history.Answer {
	for i := len(h.Shown) - 1; i >= 0; i-- {
		if h.Shown[i].Token == token {
			return &h.Shown[i]
		}
	}
	return nil
}

// rotated has all secrets rotated from 31 to 33 s, while c leads and all is well.
func rotated(f *fleet) {
	f.calm, f.length, f.terms[2].to = 36_000, 70_000, 70_000
	f.faults = append(f.faults, history.Fault{Kind: history.Rotation, Targets: []string{"m1", "m2", "m3"}, From: at(36_000), To: at(38_000), Effective: true})
	f.calm = 38_500
}

var breachesOfTheNew = func() []planted {
	commandDied := func(f *fleet) {
		f.lives[0].Asked, f.lives[0].Exit, f.lives[0].Kind = 0, "exit status 137", history.Child
		f.faults[0].Kind = history.WorkerKill
	}
	return []planted{
		{
			name: "a promise cut short since the command had ended, as the operator had declared", want: "", plan: commandDied,
			edit: func(h *history.History) { last(h, 11).Until = at(11_900) },
			see:  func(r check.Report) bool { return r.Figures.Declared == 1 },
		},
		{
			name: "a promise cut short since the command had ended, which nobody had declared", want: "I2",
			plan: func(f *fleet) { commandDied(f); f.lives[0].ReleaseNow = false },
			edit: func(h *history.History) { last(h, 11).Until = at(11_900) },
			says: []string{"a promised until 11.900 s with token 11"},
		},
		{
			name: "a promise cut short by an elector that had lost no command", want: "I2 I5",
			plan: func(f *fleet) { commandDied(f); f.faults[0].Kind = history.WorkerPause },
			edit: func(h *history.History) { last(h, 11).Until = at(11_900) },
		},
		{
			name: "a term that is lost in the calm when the machine stands still", want: "",
			plan: func(f *fleet) {
				f.stalls = []history.Stall{{From: at(33_500), To: at(35_000)}}
				f.terms[2].to, f.terms[2].gone = 33_600, 37_000
				f.terms = append(f.terms, leads{"b2", 14, 37_100, 90_000, 0})
				f.length = 90_000
			},
			says: []string{"unknown: I5: b led only from 37.1"},
		},
		{
			name: "a term that is lost in the calm for nothing", want: "I5 availability",
			plan: func(f *fleet) {
				f.terms[2].to, f.terms[2].gone = 33_600, 37_000
				f.terms = append(f.terms, leads{"b2", 14, 37_100, 90_000, 0})
				f.length = 90_000
			},
			says: []string{"b led only from 37.1"},
		},
		{
			name: "a page that shows what the polls are told", want: "", edit: paged,
			see: func(r check.Report) bool {
				f := r.Figures
				return f.Shown > 300 && f.PagesOpened == 2 && f.PageEvents == 2 && f.PageRequests == 6 && f.PageLate == 0
			},
		},
		{
			name: "a page that is promised more than its key lasts", want: "I2",
			edit: func(h *history.History) { paged(h); shownLast(h, 12).Until = at(22_910) },
			says: []string{"b promised until 22.910 s with token 12", "its key was gone at 22.900 s"},
		},
		{
			name: "a page that is told yes while another leads", want: "I1 I2",
			edit: func(h *history.History) {
				paged(h)
				a := shownLast(h, 12)
				a.Received, a.At, a.Until = at(23_500), at(23_490), at(23_495)
			},
			says: []string{"b still said yes with token 12 at 23.490 s", "two yes for"},
		},
		{
			name: "a page that is told no in the midst of a term", want: "I4",
			edit: func(h *history.History) {
				paged(h)
				h.Shown = append(h.Shown, history.Answer{Elector: "b", Incarnation: "b1", Sent: at(15_000), Received: at(15_010), State: "follower"})
			},
			says: []string{"b's page was told no after 15.000 s and by 15.010 s"},
		},
		{
			name: "a page that is told no in a time that reaches beyond the term", want: "",
			edit: func(h *history.History) {
				paged(h)
				h.Shown = append(h.Shown, history.Answer{Elector: "b", Incarnation: "b1", Sent: at(100), Received: at(15_010), State: "follower"})
			},
		},
		{
			name: "a page that is refused something", want: "I11",
			edit: func(h *history.History) { paged(h); h.Pages[0].Wrong = "/history answered 500" },
			says: []string{"The page of b that was opened at 0.100 s was not served: /history answered 500."},
		},
		{
			name: "a page without a stream in the calm", want: "I11",
			edit: func(h *history.History) { paged(h); h.Pages[1].To = at(40_000) },
			says: []string{"The page of b had no stream at 49.9"},
		},
		{
			name: "a page whose stream tells nothing in the calm", want: "I11",
			edit: func(h *history.History) { paged(h); h.Pages[1].Events = 0 },
		},
		{
			name: "a rotation that costs nothing", want: "", plan: rotated,
			see: func(r check.Report) bool { return r.Figures.Rotations == 1 && r.Figures.RotationsOpen == 0 },
		},
		{
			name: "a rotation that costs a term", want: "I12",
			plan: func(f *fleet) {
				rotated(f)
				f.terms[2].to, f.terms[2].gone = 36_700, 36_800
				f.terms = append(f.terms, leads{"b2", 14, 36_900, 70_000, 0})
			},
			says: []string{"c led with token 13 when the rotation of all secrets began at 36.000 s, and not when it had ended at 38.000 s"},
		},
		{
			name: "a rotation amid other faults that costs a term", want: "",
			plan: func(f *fleet) {
				rotated(f)
				f.terms[2].to, f.terms[2].gone = 36_700, 36_800
				f.terms = append(f.terms, leads{"b2", 14, 36_900, 70_000, 0})
				f.faults = append(f.faults, history.Fault{Kind: history.PartitionOne, Targets: []string{"c", "m1"}, From: at(35_000), To: at(36_100), Effective: true})
			},
			see: func(r check.Report) bool { return r.Figures.Rotations == 0 && r.Figures.RotationsOpen == 1 },
		},
		{
			name: "a rotation of the only member's secrets that costs a term", want: "",
			plan: func(f *fleet) {
				rotated(f)
				f.faults[len(f.faults)-1].Targets = []string{"m1"}
				f.terms[2].to, f.terms[2].gone = 36_700, 36_800
				f.terms = append(f.terms, leads{"b2", 14, 36_900, 70_000, 0})
			},
			see: func(r check.Report) bool { return r.Figures.Rotations == 0 && r.Figures.RotationsOpen == 1 },
		},
		{
			name: "a data race", want: "I13",
			edit: func(h *history.History) {
				h.Outcries = []history.Outcry{{Process: "a-1", Line: 12, Text: "WARNING: DATA RACE"}}
			},
			says: []string{"The log of a-1 says in line 12: WARNING: DATA RACE"},
		},
	}
}()

// longLife is a record of a process that is sampled for so long, and of another beside it that takes the same all the time.
// Of each sample it is told how much of the time has gone by.
func longLife(long time.Duration, of func(s *history.Sample, share float64)) *history.History {
	h := &history.History{Run: history.Run{Scenario: "soak", Program: "elector", Began: began, TTL: ttl, Ended: began.Add(long + time.Minute)}}
	for _, lane := range []string{"a", "c"} {
		h.Answers = append(h.Answers, history.Answer{Elector: lane, Incarnation: lane + "1", Sent: began, Received: began.Add(time.Millisecond), State: "follower"})
		for t := time.Duration(0); t <= long; t += time.Second {
			s := history.Sample{Elector: lane, Incarnation: lane + "1", Sent: began.Add(t), Received: began.Add(t + time.Millisecond), Goroutines: 40, Descriptors: 20, Resident: 30 << 20}
			if lane == "c" {
				of(&s, float64(t)/float64(long))
			}
			h.Samples = append(h.Samples, s)
		}
	}
	h.Run.Calm = began.Add(long)
	h.Answers = append(h.Answers, history.Answer{Elector: "a", Incarnation: "a1", Sent: h.Run.Calm, Received: h.Run.Calm, State: "follower"})
	return h
}

func TestALongLifeTakesNoMoreAndMore(t *testing.T) {
	for name, test := range map[string]struct {
		long time.Duration
		race bool
		of   func(s *history.Sample, share float64)
		want string
	}{
		"goroutines":  {of: func(s *history.Sample, share float64) { s.Goroutines += int(60 * share) }, want: "c (c1) took 92.0 goroutines on average in the last quarter of its life under faults, and 62.0 in the second"},
		"memory":      {of: func(s *history.Sample, share float64) { s.Resident += int64(64 * share * (1 << 20)) }, want: "MiB of memory on average"},
		"descriptors": {of: func(s *history.Sample, share float64) { s.Descriptors += int(40 * share) }, want: "descriptors on average"},
		"what is made once and kept": {of: func(s *history.Sample, share float64) {
			s.Goroutines += int(s.Sent/history.Instant(time.Second)) % 7
			if share < 0.2 {
				s.Resident -= 12 << 20
			}
		}},
		"what races are found by":  {race: true, of: func(s *history.Sample, share float64) { s.Resident += int64(64 * share * (1 << 20)) }},
		"a life that is too short": {long: 7 * time.Minute, of: func(s *history.Sample, share float64) { s.Goroutines += int(60 * share) }},
	} {
		h := longLife(cmp.Or(test.long, 10*time.Minute), test.of)
		h.Run.Race = test.race
		r := check.Check(h)
		var found []string
		for _, v := range r.Violations {
			if v.Rule == "I14" {
				found = append(found, v.Text)
			}
		}
		if test.want == "" && len(found) > 0 || test.want != "" && (len(found) != 1 || !strings.Contains(found[0], test.want)) {
			t.Errorf("%s: found %q", name, found)
		}
		if curves := 6; test.long == 0 && len(r.Figures.Curves) != curves || test.long != 0 && len(r.Figures.Curves) > 0 {
			t.Errorf("%s: %d curves", name, len(r.Figures.Curves))
		}
	}
}

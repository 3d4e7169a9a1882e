package check_test

import (
	"slices"
	"time"

	"github.com/elector-dev/elector/internal/chaos/check"
	"github.com/elector-dev/elector/internal/chaos/history"
)

// fence has a's second process fenced from 13 to 20 s.
func fence(h *history.History) {
	for i := range h.Answers {
		if a := &h.Answers[i]; a.Incarnation == "a2" && a.Sent > at(13_000) && a.Sent < at(20_000) {
			a.State, a.Registered = "fenced", false
		}
	}
}

var breachesOfTheRest = []planted{
	{
		name: "nobody leads after the faults", want: "I5 availability",
		plan: func(f *fleet) { f.terms = f.terms[:2]; f.length = 120_000 },
		says: []string{"Nobody led from 35.000 s to 119.9"},
	},
	{
		name: "a leader only after the bound", want: "I5 availability",
		plan: func(f *fleet) { f.terms[2].from = 36_000; f.length = 200_000; f.terms[2].to = 200_000 },
		says: []string{"c led only from 36.0", "so somebody had to by 35.000 s"},
	},
	{
		name: "a leader only after the bound, since the harness stood still", want: "availability",
		plan: func(f *fleet) {
			f.terms[2].from = 36_000
			f.length, f.terms[2].to = 200_000, 200_000
			f.stalls = []history.Stall{{From: at(24_000), To: at(27_000)}}
		},
		see: func(r check.Report) bool { return r.Figures.Unknown == 3*time.Second },
	},
	{
		name: "leadership that moves in the calm", want: "I5",
		plan: func(f *fleet) {
			f.terms[2].to, f.terms[2].gone = 40_000, 40_050
			f.terms = append(f.terms, leads{"b2", 14, 40_100, 50_000, 0})
		},
		says: []string{"Leadership went from c (token 13) to b (token 14) at 39.9"},
	},
	{
		name: "leadership that is lost in the calm", want: "I5 availability",
		plan: func(f *fleet) { f.terms[2].to, f.terms[2].gone, f.length = 40_000, 40_200, 60_000 },
		says: []string{"c led until 39.9", "nobody after it until 59.9"},
	},
	{
		name: "a run that ended too early to say", want: "",
		plan: func(f *fleet) { f.length, f.terms[2].to = 30_000, 30_000 },
		says: []string{"unknown: I5: the calm ended at"},
		see:  func(r check.Report) bool { return slices.ContainsFunc(r.Vacuous, contains("(I5)")) },
	},
	{
		name: "an elector that hangs in the calm, while another leads", want: "I5",
		plan: func(f *fleet) { f.frozen = map[string][][2]int{"a2": {{30_000, 60_000}}} },
		says: []string{"a answered nothing before 49.9"},
	},
	{
		name: "an elector that does not come back, while another leads", want: "I5",
		edit: func(h *history.History) {
			for i := range h.Answers {
				if a := &h.Answers[i]; a.Incarnation == "a2" {
					a.State, a.Registered = "connecting", false
				}
			}
		},
		says: []string{"a was connecting at 49.9"},
	},
	{
		name: "an elector that ends by itself", want: "I5",
		plan: func(f *fleet) { f.lives[3].To, f.lives[3].Exit = at(40_000), "exit status 2" },
		says: []string{"b (b2) ended by itself at 40.000 s: exit status 2"},
	},
	{
		name: "an elector that ends with an error when it is asked to stop", want: "I5",
		plan: func(f *fleet) { f.lives[0].Exit = "exit status 1" },
		says: []string{"a (a1) ended after it was asked to stop at 10.030 s: exit status 1"},
	},
	{
		name: "an elector that does not hear that it is to stop", want: "I5",
		plan: func(f *fleet) {
			f.lives[1].Asked, f.lives[1].To, f.lives[1].Exit = at(12_000), at(42_000), "signal: killed"
		},
		says: []string{"a (a2) ended after it was asked to stop at 42.000 s: signal: killed"},
	},
	{
		name: "a leader that gives no answer for a third of the time without faults", want: "availability",
		plan: func(f *fleet) { f.frozen = map[string][][2]int{"c1": {{40_000, 45_000}}} },
		says: []string{"without faults"},
	},
	{
		name: "an elector that is fenced for nothing", want: "I5",
		edit: fence,
		says: []string{"a (a2) was fenced at 13.0", "etcd had not been restored"},
	},
	{
		name: "electors that are fenced after a restore", want: "",
		plan: func(f *fleet) {
			restored("b2", 9)(f)
			f.faults[2].From, f.faults[2].To = at(12_000), at(12_500)
			f.terms[1].to = 12_000
		},
		edit: fence,
		see: func(r check.Report) bool {
			return r.Figures.Fenced.Round(time.Second) == 7*time.Second && r.Figures.Longest.Round(100*time.Millisecond) == 2900*time.Millisecond
		},
	},
	{
		name: "leftovers", want: "I6",
		edit: func(h *history.History) {
			h.Leftover = &history.Leftover{
				Keys: []string{"/k"}, Leases: 2, Goroutines: map[string]int{"a": 13, "b": 12}, Descriptors: map[string]int{"c": 100},
			}
		},
		says: []string{"1 keys were left", "2 leases were left", "a had 13 more goroutines", "c had 100 more descriptors"},
		see:  func(r check.Report) bool { return len(r.Violations) == 4 },
	},
	{
		name: "a graceful stop after which nobody leads for more than a second", want: "I8",
		plan: func(f *fleet) { f.terms[1].from = 11_010 },
		says: []string{"a led and was asked to stop at 10.000 s; b said yes only at 11.0", "1.0"},
	},
	{
		name: "a slow graceful stop while something else was wrong", want: "",
		plan: func(f *fleet) {
			f.terms[1].from = 11_010
			f.faults = append(f.faults, history.Fault{Kind: history.SlowDisk, Targets: []string{"m2"}, From: at(8_000), To: at(9_000), Effective: true})
		},
		see: func(r check.Report) bool { return r.Figures.Stops == 0 && r.Figures.StopsOpen == 1 },
	},
	{
		name: "a quick graceful stop while something else was wrong", want: "",
		plan: func(f *fleet) {
			f.faults = append(f.faults, history.Fault{Kind: history.SlowDisk, Targets: []string{"m2"}, From: at(8_000), To: at(9_000), Effective: true})
		},
		see: func(r check.Report) bool { return r.Figures.Stops == 0 && r.Figures.StopsOpen == 1 },
	},
	{
		name: "a stop of one that had just lost leadership", want: "",
		plan: func(f *fleet) {
			f.terms[0].to, f.terms[0].gone, f.terms[1].from = 9_700, 9_800, 11_010
			f.length, f.terms[2].to = 90_000, 90_000
		},
		see: func(r check.Report) bool { return r.Figures.Stops == 0 && r.Figures.StopsOpen == 0 },
	},
	{
		name: "a slow graceful stop while nobody else stood", want: "",
		plan: func(f *fleet) { f.terms[1].from = 11_010 },
		edit: func(h *history.History) {
			for i := range h.Answers {
				if a := &h.Answers[i]; a.Elector != "a" && a.Sent < at(11_000) {
					a.Registered, a.State = false, "connecting"
				}
			}
		},
		see: func(r check.Report) bool { return r.Figures.Stops == 0 },
	},
	{
		name: "a harness that stood still for most of the time", want: "starved",
		plan: func(f *fleet) { f.stalls = []history.Stall{{From: at(25_000), To: at(36_000)}} },
		says: []string{"stood still for 11.00 s of 49.9"},
	},
	{
		name: "too little leadership under faults", want: "availability",
		plan: func(f *fleet) {
			f.terms[1].from, f.faults[0].Effective = 19_000, true
			f.terms[2].from = 34_000
			f.lives[0].ReleaseNow = false
		},
		says: []string{"with faults"},
	},
	{
		name: "a run that is too short for shares", want: "",
		plan: func(f *fleet) {
			f.length, f.calm, f.faults, f.lives[0].Asked, f.lives[0].To = 4_000, 0, nil, 0, 0
			f.terms = []leads{{"a1", 11, 300, 1_000, 1_200}, {"b1", 12, 2_000, 4_000, 0}}
		},
		see: func(r check.Report) bool { clear, _ := r.Figures.Available(); return clear < 0.8 },
	},
	{
		name: "a run that still goes on is not judged by its shares", want: "",
		plan: func(f *fleet) {
			f.terms[1].from, f.terms[2].from, f.closed = 19_000, 34_000, false
			f.lives[0].ReleaseNow = false
		},
	},
}

package check_test

import (
	"time"

	"github.com/elector-dev/elector/internal/chaos/check"
	"github.com/elector-dev/elector/internal/chaos/history"
)

// acted is the only bound work of a made-up run: a command of token 11, whose key is gone at 10.010 s and after whom b
// says yes from 10.025 s.
func acted(until int) func(*history.History) {
	return func(h *history.History) {
		h.Work = []history.Work{{Elector: "a", Kind: history.Child, Token: 11, From: at(400), Last: at(until), Acts: 900}}
	}
}

// frozen is a freeze of a's work together with what could end it.
func frozen(from, to int) history.Fault {
	return history.Fault{Kind: history.ElectorFreeze, Targets: []string{"a"}, From: at(from), To: at(to), Effective: true}
}

var breachesOfWork = []planted{
	{
		name: "work that ends before its key", edit: acted(10_009),
		see: func(r check.Report) bool { return r.Figures.Works == 1 && r.Figures.Acts == 900 },
	},
	{
		name: "work that ends with its key, within rounding", edit: acted(10_011),
	},
	{
		name: "work that acts after its key has gone", edit: acted(10_040), want: "I10",
		says: []string{"a's child acted with token 11 until 10.040 s, and its key was gone at 10.010 s, 30 ms earlier"},
	},
	{
		name: "work that acts after a greater token has led, before its key is told to have gone", want: "I10",
		plan: func(f *fleet) { f.noKeys = true }, edit: acted(10_060),
		says: []string{"and b said yes with a greater token at 10.0"},
	},
	{
		name: "work that acts on when its key was taken away", edit: acted(10_040),
		plan: func(f *fleet) {
			f.faults = append(f.faults, history.Fault{Kind: history.KeyDelete, Targets: []string{"a"}, From: at(10_005), To: at(10_005), Tokens: []int64{11}, Effective: true})
		},
		see: func(r check.Report) bool { return r.Figures.WorksExcused == 1 },
	},
	{
		name: "work that wakes with its guard", edit: acted(10_040),
		plan: func(f *fleet) { f.faults = append(f.faults, frozen(2_000, 10_030)) },
		see:  func(r check.Report) bool { return r.Figures.WorksFrozen == 1 },
	},
	{
		name: "work that outlives its guard's waking", edit: acted(10_040), want: "I10",
		plan: func(f *fleet) { f.faults = append(f.faults, frozen(2_000, 8_000)) },
	},
	{
		name: "work that acts late on a machine that stood still", edit: acted(10_040),
		plan: func(f *fleet) { f.stalls = []history.Stall{{From: at(9_900), To: at(10_030)}} },
		see:  func(r check.Report) bool { return len(r.Unknown) > 0 },
	},
	{
		name: "a command that is killed and takes its elector with it", want: "",
		plan: func(f *fleet) {
			f.lives[2].Exit = "exit status 137"
			f.faults[1].Kind = history.WorkerKill
		},
	},
	{
		name: "an elector that ends with a command's status that nobody killed", want: "I5",
		plan: func(f *fleet) { f.lives[2].Exit = "exit status 137" },
	},
	{
		name: "a graceful stop of work that needs a while for it", want: "",
		plan: func(f *fleet) {
			f.terms[0].gone, f.terms[1].from, f.lives[0].Grace = 11_400, 11_500, time.Second
			f.lives[0].To = at(11_450)
		},
		see: func(r check.Report) bool { return r.Figures.Stops == 1 },
	},
}

package check_test

import (
	"github.com/elector-dev/elector/internal/chaos/history"
)

var breachesOfTokens = []planted{
	{
		name: "a token repeated by another process", want: "I3",
		plan: func(f *fleet) { f.terms[2].token = 12; f.noKeys, f.writes = true, false },
		says: []string{"Token 12 was said by b (b1) from 10.0", "and by c (c1) from 22.9"},
	},
	{
		name: "a smaller token", want: "I3",
		plan: func(f *fleet) { f.terms[2].token = 9; f.noKeys, f.writes = true, false },
		says: []string{"c began a term with token 9 at 22.9", "the greater token 12 at 10.0"},
	},
	{
		name: "a token of somebody else's key", want: "I3",
		edit: func(h *history.History) {
			for i := range h.Keys {
				if h.Keys[i].Token == 13 {
					h.Keys[i].Identity = "a"
				}
			}
		},
		says: []string{"which is the token of a's key"},
	},
	{
		name: "a smaller token after a restore without bumped revisions, by a new process", want: "",
		plan: restored("b2", 9),
	},
	{
		name: "a token that a restore took away and that is given again", want: "",
		plan: restored("b2", 12),
	},
	{
		name: "a token that is given again while the restore is still under way is a term like any other", want: "I2",
		plan: func(f *fleet) {
			restored("b2", 12)(f)
			f.terms[2].to, f.terms[2].gone = 30_500, 30_000
			f.terms[1].gone, f.faults[2].To = 20_600, at(48_000)
			f.calm, f.closed = 0, false
		},
		edit: func(h *history.History) {
			for i := range h.Keys {
				if h.Keys[i].Seen > at(21_000) {
					h.Keys[i].Key = "the new one"
				}
			}
		},
	},
	{
		name: "a smaller token after a restore with bumped revisions", want: "I3",
		plan: func(f *fleet) { restored("b2", 9)(f); f.faults[2].Kind = history.RestoreBumped },
	},
	{
		name: "a term of a process that lived through a restore", want: "I3",
		plan: restored("c1", 9), // it was in the queue when the first leader's key went, at revision 12
		says: []string{"c (c1) had seen etcd at revision 12, lived through the restore at 20.500 s", "token 9"},
	},
	{
		name: "a term on a key that is younger than all that the process had seen", want: "",
		plan: restored("c1", 13),
	},
	{
		name: "a process of which it is not known that it looked before the restore", want: "",
		plan: func(f *fleet) {
			restored("c1", 9)(f)
			f.faults = append(f.faults, history.Fault{Kind: history.PartitionOneWay, Targets: []string{"c"}, From: at(9_000), To: at(9_500), Effective: true})
		},
		edit: func(h *history.History) {
			for i := range h.Keys {
				if h.Keys[i].Token == 9 {
					h.Keys[i].Token = 12
				}
			}
			for i := range h.Answers {
				if h.Answers[i].Token == 9 {
					h.Answers[i].Token = 12
				}
			}
			for i := range h.Samples {
				if h.Samples[i].Token == 9 {
					h.Samples[i].Token = 12
				}
			}
		},
	},
	{
		name: "a process that began after what it repeats", want: "I3",
		plan: func(f *fleet) {
			restored("a2", 12)(f) // it was started at 10.5 s, when etcd was at revision 12
		},
		says: []string{"a (a2) had seen etcd at revision 12"},
	},
	{
		name: "a leader that goes on after a restore", want: "I3",
		plan: goesOn(0),
		says: []string{"c (c1) had seen etcd at revision 13, and said yes with token 13 until 49.9"},
	},
	{
		name: "a leader that goes on has seen what others wrote", want: "I3",
		plan: goesOn(0),
		edit: func(h *history.History) {
			h.Keys = append(h.Keys, history.KeyEvent{Key: "other", Token: 20, Revision: 20, Seen: at(24_000)})
		},
		says: []string{"c (c1) had seen etcd at revision 20"},
	},
	{
		name: "a leader that goes on after a restore which lost nothing", want: "",
		plan: goesOn(0),
		edit: func(h *history.History) {
			h.Keys = append(h.Keys, history.KeyEvent{Key: "other", Token: 14, Revision: 14, Seen: at(32_000)},
				history.KeyEvent{Key: "other", Token: 14, Revision: 15, Deleted: true, Seen: at(32_001)})
		},
	},
	{
		name: "a leader that stops when it sees that etcd went back", want: "",
		plan: goesOn(33_900),
	},
}

// goesOn restores etcd at 30 s, from a snapshot that holds the leader's key; its yes ends at the given instant.
func goesOn(until int) func(*fleet) {
	return func(f *fleet) {
		f.faults = append(f.faults, history.Fault{
			Kind: history.Restore, Targets: []string{"m1", "m2", "m3"}, From: at(30_000), To: at(31_000), Effective: true,
		})
		f.calm, f.closed, f.writes = 0, false, false
		if until != 0 {
			f.terms[2].to = until
		}
	}
}

// restored makes the last handover one over a restore without bumped revisions.
func restored(by string, token int64) func(*fleet) {
	return func(f *fleet) {
		f.terms[2].by, f.terms[2].token = by, token
		f.terms[1].gone = 0
		f.faults = append(f.faults, history.Fault{
			Kind: history.Restore, Targets: []string{"m1", "m2", "m3"}, From: at(20_500), To: at(21_000), Tokens: []int64{12}, Effective: true,
		})
		f.writes = false
	}
}

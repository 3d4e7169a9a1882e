package check_test

import (
	"slices"
	"time"

	"github.com/elector-dev/elector/internal/chaos/check"
	"github.com/elector-dev/elector/internal/chaos/history"
)

func deletion(h *history.History, token int64) *history.KeyEvent {
	i := slices.IndexFunc(h.Keys, func(k history.KeyEvent) bool { return k.Deleted && k.Token == token })
	return &h.Keys[i]
}

// takenAway makes the first term one whose key was deleted behind its back, at 5 s, while it said yes until
// the given instant.
func takenAway(until int) func(*fleet) {
	return func(f *fleet) {
		f.terms[0].to, f.terms[0].gone = until, 5_000
		f.terms = slices.Insert(f.terms, 1, leads{"c1", 12, 5_030, 9_995, 10_000})
		f.terms[2].token, f.terms[3].token = 13, 14
		f.faults = append(f.faults, history.Fault{
			Kind: history.KeyDelete, Targets: []string{"a"}, From: at(4_999), To: at(4_999), Tokens: []int64{11}, Effective: true,
		})
		// c gives up in favour of b, to keep the rest of the run as it was.
		f.terms[1].to, f.terms[1].gone = 9_500, 10_010
		f.lives[0].To, f.lives[0].Asked = at(10_030), at(10_000)
		f.writes = false
	}
}

var breachesOfKeys = []planted{
	{
		name: "a yes 2 ms after the key was gone", want: "I2",
		edit: func(h *history.History) {
			deletion(h, 11).Seen = last(h, 11).At.Add(-2 * time.Millisecond)
			last(h, 11).Until = 0
		},
		says: []string{"a said yes with token 11 until 9.9", "1 answers in 2.0 ms"},
		see:  func(r check.Report) bool { return len(r.Violations) == 1 },
	},
	{
		name: "a yes as the key went", want: "",
		edit: func(h *history.History) { deletion(h, 11).Seen = last(h, 11).At.Add(-time.Millisecond) },
	},
	{
		name: "a promise that ends 2 ms after the key was gone", want: "I2",
		edit: func(h *history.History) { last(h, 12).Until = at(22_902) },
		says: []string{"b promised until 22.902 s with token 12", "gone at 22.900 s, 2.0 ms too early"},
	},
	{
		name: "a promise that goes on beside the next leader, before the watchers tell that its key is gone", want: "I2",
		edit: func(h *history.History) {
			deletion(h, 12).Seen = at(23_500)
			last(h, 12).Until = at(22_960)
		},
		says: []string{"b promised until 22.960 s with token 12", "c said yes with token 13 at 22.9"},
		see:  func(r check.Report) bool { return len(r.Violations) == 1 },
	},
	{
		name: "yes without an end", want: "I2",
		edit: func(h *history.History) {
			for i := range h.Answers {
				if a := &h.Answers[i]; a.Token == 12 {
					a.Until = 0
				}
			}
		},
		says: []string{"b said yes with token 12 from 10.0", "never until when"},
		see:  func(r check.Report) bool { return len(r.Violations) == 1 && r.Figures.Promises == 1 },
	},
	{
		name: "a promise of no account that goes on beside the next leader, before the watchers tell", want: "",
		edit: func(h *history.History) {
			deletion(h, 11).Seen = at(10_600)
			last(h, 11).Until = at(10_500)
		},
	},
	{
		name: "a promise that ends with the key, within rounding", want: "",
		edit: func(h *history.History) { last(h, 12).Until = at(22_901) },
	},
	{
		name: "a promise that the operator declared to be of no account", want: "",
		edit: func(h *history.History) { last(h, 11).Until = at(11_000) },
		see:  func(r check.Report) bool { return r.Figures.Declared == 1 },
	},
	{
		name: "a promise broken by a stop that was to wait for it", want: "I2",
		plan: func(f *fleet) { f.lives[0].ReleaseNow = false },
		edit: func(h *history.History) { last(h, 11).Until = at(11_000) },
	},
	{
		name: "a yes without a key", want: "I2",
		plan: func(f *fleet) { f.terms[1].token = 12 },
		edit: func(h *history.History) {
			h.Keys = slices.DeleteFunc(h.Keys, func(k history.KeyEvent) bool { return k.Token == 12 })
		},
		says: []string{"no key with that token was ever seen"},
	},
	{
		name: "a yes without a key while etcd was hit all the time", want: "",
		plan: func(f *fleet) {
			f.faults = append(f.faults, history.Fault{Kind: history.MemberKill, Targets: []string{"m1"}, From: at(10_000), To: at(49_000), Effective: true})
		},
		edit: func(h *history.History) {
			h.Keys = slices.DeleteFunc(h.Keys, func(k history.KeyEvent) bool { return k.Token == 12 })
		},
		says: []string{"unknown: I2: no key was seen for token 12"},
	},
	{
		name: "a yes beside an older key", want: "I2",
		edit: func(h *history.History) {
			h.Keys = append(h.Keys, history.KeyEvent{Key: "old", Token: 5, Seen: at(100)},
				history.KeyEvent{Key: "old", Token: 5, Deleted: true, Seen: at(2_000)})
		},
		says: []string{"a said yes with token 11", "while the older key old with token 5 stood until 2.000 s"},
	},
	{
		name: "an older key whose end was told late, with a member cut off", want: "",
		plan: func(f *fleet) {
			f.faults = append(f.faults, history.Fault{Kind: history.MemberIsolate, Targets: []string{"m1"}, From: at(1_500), To: at(1_800)})
		},
		edit: func(h *history.History) {
			h.Keys = append(h.Keys, history.KeyEvent{Key: "old", Token: 5, Seen: at(100)},
				history.KeyEvent{Key: "old", Token: 5, Deleted: true, Seen: at(2_000)})
		},
		see: func(r check.Report) bool { return len(r.Vacuous) == 1 }, // the fault had no effect
	},
	{
		name: "an answer that says it was evaluated when it was not", want: "I2",
		edit: func(h *history.History) { near(h, "b", 15_000).At = at(15_100) },
		says: []string{"b said yes with token 12 as of 15.100 s, in an answer that was asked for at 15.0"},
	},
	{
		name: "an answer that says it was evaluated in another's term", want: "I2",
		edit: func(h *history.History) { near(h, "a", 9_900).At = at(10_500) },
		see:  func(r check.Report) bool { return len(r.Violations) == 1 },
	},
	{
		name: "a deletion that etcd did not answer and never made", want: "",
		plan: func(f *fleet) {
			f.faults = append(f.faults, history.Fault{Kind: history.PrefixDelete, Targets: []string{"c"}, From: at(30_000), To: at(31_000), Tokens: []int64{13}})
		},
		edit: func(h *history.History) {
			h.Keys = slices.DeleteFunc(h.Keys, func(k history.KeyEvent) bool { return k.Deleted && k.Token == 13 })
		},
		see: func(r check.Report) bool { return r.Figures.Taken == 0 },
	},
	{
		name: "a key taken away and noticed at once", want: "", plan: takenAway(5_100),
		see: func(r check.Report) bool { return r.Figures.Taken == 1 && r.Figures.Excused == 1 },
	},
	{
		name: "a key taken away and noticed after more than a second", want: "I2", plan: takenAway(6_200),
		says: []string{"taken away by key-delete at 5.000 s, and nothing else was wrong"},
	},
	{
		name: "a key taken away from an elector that was cut off", want: "",
		plan: func(f *fleet) {
			takenAway(6_200)(f)
			f.faults = append(f.faults, history.Fault{Kind: history.PartitionTotal, Targets: []string{"a"}, From: at(4_000), To: at(7_000), Effective: true})
		},
		see: func(r check.Report) bool { return r.Figures.NoticedLate == 1 },
	},
	{
		name: "a key taken away while the harness stood still", want: "",
		plan: func(f *fleet) {
			takenAway(6_200)(f)
			f.stalls = append(f.stalls, history.Stall{From: at(5_500), To: at(5_900)})
		},
	},
	{
		name: "a key taken away and noticed after more than a TTL", want: "I2",
		plan: func(f *fleet) {
			takenAway(8_300)(f)
			f.faults = append(f.faults, history.Fault{Kind: history.PartitionTotal, Targets: []string{"a"}, From: at(4_000), To: at(7_000), Effective: true})
		},
		says: []string{"more than a TTL after its key was taken away by key-delete"},
	},
	{
		name: "an overlap that began before the key was taken away", want: "I1",
		plan: func(f *fleet) {
			takenAway(5_100)(f)
			f.faults[2].From = at(5_060)
		},
	},
}

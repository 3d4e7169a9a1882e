package check_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/elector-dev/elector/internal/chaos/check"
	"github.com/elector-dev/elector/internal/chaos/history"
)

func TestAQuietRunBreaksNoRule(t *testing.T) {
	r := check.Check(quiet().history())
	if told(r) != "" {
		t.Error(told(r))
	}
	f := r.Figures
	if f.Terms != 3 || f.Handovers != 2 || f.Keys != 3 || f.Stops != 1 || f.CalmJudged < 10*time.Second || f.SamplesJudged < 100 || f.RefusedWrites != 2 {
		t.Errorf("figures: %+v", f)
	}
	if f.Yes+f.No != f.Answers || f.Yes < 2000 || f.Renewals["confirmed"] == 0 {
		t.Errorf("figures: %+v", f)
	}
	if clear, faulty := f.Available(); clear < 0.999 || faulty < 0.8 || faulty == 1 || f.Longest.Round(20*time.Millisecond) != 2940*time.Millisecond {
		t.Errorf("available %v of fault-free time, %v of the rest, longest time without %v", clear, faulty, f.Longest)
	}
	if len(r.Vacuous) != 0 {
		t.Errorf("vacuous: %v", r.Vacuous)
	}
}

// planted is a run with one thing wrong.
type planted struct {
	name string
	plan func(*fleet)            // changes what happened
	edit func(*history.History)  // changes the record
	want string                  // rules, in order, with blanks in between; empty: none
	says []string                // in the sentences
	see  func(check.Report) bool // what else is to be
}

func TestEachBreachIsFoundAndNothingElseIs(t *testing.T) {
	for _, test := range slices.Concat(breachesOfYes, breachesOfKeys, breachesOfTokens, breachesOfTheRest) {
		t.Run(test.name, func(t *testing.T) {
			f := quiet()
			if test.plan != nil {
				test.plan(f)
			}
			h := f.history()
			if test.edit != nil {
				test.edit(h)
			}
			r := check.Check(h)
			if got := strings.Join(rules(r), " "); got != test.want {
				t.Errorf("broken: %q; want %q\n%s", got, test.want, told(r))
			}
			for _, s := range test.says {
				if !strings.Contains(told(r), s) {
					t.Errorf("nothing says %q:\n%s", s, told(r))
				}
			}
			if test.see != nil && !test.see(r) {
				t.Errorf("figures: %+v", r.Figures)
			}
		})
	}
}

// last is the last answer with a yes of a token, first the first one.
func last(h *history.History, token int64) *history.Answer {
	for i := len(h.Answers) - 1; i >= 0; i-- {
		if h.Answers[i].Token == token {
			return &h.Answers[i]
		}
	}
	return nil
}

func first(h *history.History, token int64) *history.Answer {
	i := slices.IndexFunc(h.Answers, func(a history.Answer) bool { return a.Token == token })
	return &h.Answers[i]
}

// near is the answer of a lane next after an instant.
func near(h *history.History, lane string, ms int) *history.Answer {
	i := slices.IndexFunc(h.Answers, func(a history.Answer) bool { return a.Elector == lane && a.Sent >= at(ms) })
	return &h.Answers[i]
}

func deletion(h *history.History, token int64) *history.KeyEvent {
	i := slices.IndexFunc(h.Keys, func(k history.KeyEvent) bool { return k.Deleted && k.Token == token })
	return &h.Keys[i]
}

func become(a *history.Answer, token int64) {
	a.Yes, a.Token, a.At = true, token, a.Sent.Add(time.Millisecond)
	a.Until = a.At
}

var breachesOfYes = []planted{
	{
		name: "two yes that overlap by 2 ms", want: "I1",
		plan: func(f *fleet) { f.terms[1].from = 10_001; f.noKeys = true },
		edit: func(h *history.History) {
			last(h, 11).Received, last(h, 11).At = at(10_000), at(10_000)
			first(h, 12).Sent, first(h, 12).At = at(9_990), at(9_998)
		},
		says: []string{"a still said yes with token 11 at 10.000 s", "two yes for 2.0 ms"},
	},
	{
		name: "two yes that touch within rounding", want: "",
		plan: func(f *fleet) { f.terms[1].from = 10_001; f.noKeys = true },
		edit: func(h *history.History) {
			last(h, 11).Received, last(h, 11).At = at(10_000), at(10_000)
			first(h, 12).Sent, first(h, 12).At = at(9_990), at(9_999)
		},
	},
	{
		name: "an answer whose instant is not known overlaps for certain", want: "I1",
		plan: func(f *fleet) { f.terms[0].to, f.noKeys, f.writes = 10_100, true, false; f.lives[0].To = at(10_200) },
		edit: func(h *history.History) {
			for i := range h.Answers {
				h.Answers[i].At = 0
			}
		},
	},
	{
		name: "a single yes in the midst of another's term", want: "I1",
		plan: func(f *fleet) { f.terms[2].token, f.noKeys = 14, true },
		edit: func(h *history.History) { become(near(h, "c", 15_000), 13) },
		says: []string{"b still said yes with token 12", "c had said yes with token 13 since 15.0"},
		see:  func(r check.Report) bool { return len(r.Violations) == 1 },
	},
	{
		name: "a gauge that says yes while another leads", want: "I1 I4 I7",
		edit: func(h *history.History) {
			for i := range h.Samples {
				if s := &h.Samples[i]; s.Elector == "b" && s.Sent > at(15_000) && s.Sent < at(16_020) {
					s.Elector, s.Incarnation, s.Leading, s.Token = "c", "c1", true, 13
				}
			}
		},
	},
	{
		name: "a woken old process says yes", want: "I1 I2 I4",
		edit: func(h *history.History) { become(near(h, "b", 24_000), 12); near(h, "b", 24_000).Incarnation = "b1" },
		plan: func(f *fleet) {
			f.lives[2].To, f.lives[3].From = at(26_000), at(26_500)
		},
		says: []string{"token 12 until 24.0", "two yes for 1.08"},
	},
	{
		name: "a no in the middle of a term", want: "I4",
		edit: func(h *history.History) { a := near(h, "b", 15_000); a.Yes, a.Token, a.At, a.Until = false, 0, 0, 0 },
		says: []string{"b said no at 15.0", "between two yes with token 12"},
	},
	{
		name: "a no that was asked for in a term and came after it", want: "",
		edit: func(h *history.History) {
			a := near(h, "a", 9_900)
			a.Yes, a.Token, a.At, a.Until, a.Received = false, 0, 0, 0, at(10_029)
		},
	},
	{
		name: "a gauge that says no while the route says yes", want: "I7",
		edit: func(h *history.History) {
			for i := range h.Samples {
				if s := &h.Samples[i]; s.Elector == "b" && s.Sent > at(15_000) && s.Sent < at(16_000) {
					s.Leading, s.Token = false, 0
				}
			}
		},
		says: []string{"b's metrics said no at 15.", "answers said yes with token 12"},
	},
	{
		name: "a gauge with the token of an earlier term", want: "I1 I2 I3 I7",
		edit: func(h *history.History) {
			for i := range h.Samples {
				if s := &h.Samples[i]; s.Elector == "b" && s.Sent > at(15_000) && s.Sent < at(16_000) {
					s.Token = 11
				}
			}
		},
	},
	{
		name: "a scrape that saw a term which one late answer saw too", want: "",
		plan: func(f *fleet) {
			f.terms[2].token, f.terms[2].from = 14, 23_000
			f.terms = append(f.terms, leads{"c1", 13, 22_920, 22_935, 22_940})
			f.writes = false
		},
		edit: func(h *history.History) {
			near(h, "c", 22_924).Received = at(22_960)
			h.Samples = append(h.Samples, history.Sample{Elector: "c", Incarnation: "c1", Sent: at(22_928), Received: at(22_930), Leading: true, Token: 13})
		},
	},
	{
		name: "a scrape that saw a term between two polls far apart", want: "",
		plan: func(f *fleet) {
			f.terms[2].token, f.terms[2].from = 14, 24_000
			f.terms = append(f.terms, leads{"c1", 13, 22_920, 23_400, 23_410})
			f.writes = false
		},
		edit: func(h *history.History) {
			h.Answers = slices.DeleteFunc(h.Answers, func(a history.Answer) bool {
				return a.Elector == "c" && a.Sent > at(22_000) && a.Sent < at(23_600)
			})
			h.Samples = append(h.Samples, history.Sample{Elector: "c", Incarnation: "c1", Sent: at(23_050), Received: at(23_060), Leading: true, Token: 13})
		},
	},
	{
		name: "a scrape across the end of a term", want: "",
		edit: func(h *history.History) {
			h.Samples = append(h.Samples, history.Sample{Elector: "b", Incarnation: "b1", Sent: at(19_985), Received: at(19_999)})
		},
	},
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
		name: "a token that is given again while the restore is still under way", want: "",
		plan: func(f *fleet) {
			restored("b2", 12)(f)
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
			f.length, f.calm, f.faults, f.lives[0].Asked = 4_000, 0, nil, 0
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

func contains(part string) func(string) bool {
	return func(s string) bool { return strings.Contains(s, part) }
}

func TestABreachOfARunThatGoesOnIsReportedOnceItsRecordIsWhole(t *testing.T) {
	h := quiet().history()
	last(h, 12).Until = at(22_902) // its key was gone at 22.900 s
	for _, test := range []struct {
		now  int
		want int
	}{{24_850, 0}, {24_950, 1}} {
		if r := check.Check(until(h, at(test.now))); len(r.Violations) != test.want {
			t.Errorf("at %d ms: %d violations\n%s", test.now, len(r.Violations), told(r))
		}
	}
}

func TestARunWithoutAnythingIsVacuous(t *testing.T) {
	r := check.Check(&history.History{Run: history.Run{Scenario: "storm", Program: "elector", TTL: ttl, Ended: 1}})
	if !r.OK() {
		t.Error(told(r))
	}
	for _, want := range []string{
		"ever said yes", "ever said no", "nobody watched", "(I7)", "nothing was broken", "(I5)", "(I6)", "(I8)", "refused nothing (I9)",
		"slow-disk was never tried", "no renewal was late", "no renewal was term_mismatch",
	} {
		if !slices.ContainsFunc(r.Vacuous, contains(want)) {
			t.Errorf("%q is not among %q", want, r.Vacuous)
		}
	}
}

func TestAListOfViolationsHasAnEnd(t *testing.T) {
	f := quiet()
	h := f.history()
	for i := range h.Samples {
		if h.Samples[i].Elector == "b" {
			h.Samples[i].Leading, h.Samples[i].Token = !h.Samples[i].Leading, 0
		}
	}
	if r := check.Check(h); len(r.Violations) != 49 || r.More != 0 {
		t.Errorf("%d listed, %d more", len(r.Violations), r.More)
	}
	h.Samples = slices.Concat(h.Samples, h.Samples)
	if r := check.Check(h); len(r.Violations) != 50 || r.More != 48 {
		t.Errorf("%d listed, %d more", len(r.Violations), r.More)
	}
}

func TestNoCorrectRunIsFoundGuilty(t *testing.T) {
	for seed := range uint64(60) {
		f := random(rand.New(rand.NewPCG(seed, 1)))
		h := f.history()
		if r := check.Check(h); !onlyAvailability(r) {
			t.Fatalf("seed %d:\n%s%+v", seed, told(r), f.terms)
		}
		for _, part := range []int{3, 2} {
			if r := check.Check(until(h, at(f.length/part))); !r.OK() {
				t.Fatalf("seed %d, up to 1/%d:\n%s", seed, part, told(r))
			}
		}
	}
}

// onlyAvailability: a made-up run may be without a leader for longer than is asked.
func onlyAvailability(r check.Report) bool {
	return !slices.ContainsFunc(r.Violations, func(v check.Violation) bool { return v.Rule != "availability" })
}

// until is a run as it was known at an instant.
func until(h *history.History, now history.Instant) *history.History {
	g := *h
	g.Run.Ended, g.Leftover = 0, nil
	if g.Run.Calm > now {
		g.Run.Calm = 0
	}
	g.Answers = slices.DeleteFunc(slices.Clone(h.Answers), func(a history.Answer) bool { return a.Received > now })
	g.Samples = slices.DeleteFunc(slices.Clone(h.Samples), func(a history.Sample) bool { return a.Received > now })
	g.Keys = slices.DeleteFunc(slices.Clone(h.Keys), func(a history.KeyEvent) bool { return a.Seen > now })
	g.Register = slices.DeleteFunc(slices.Clone(h.Register), func(a history.Access) bool { return a.Return > now })
	g.Faults = slices.DeleteFunc(slices.Clone(h.Faults), func(a history.Fault) bool { return a.From > now })
	for i := range g.Faults {
		if g.Faults[i].To > now {
			g.Faults[i].To = 0
		}
	}
	g.Processes = slices.DeleteFunc(slices.Clone(h.Processes), func(a history.Process) bool { return a.From > now })
	for i := range g.Processes {
		p := &g.Processes[i]
		if p.Asked > now {
			p.Asked = 0
		}
		if p.To > now {
			p.To = 0
		}
	}
	return &g
}

func TestEveryRandomBreachIsFound(t *testing.T) {
	breaches := map[string]func(*rand.Rand, *history.History, leads) bool{
		"I1": func(r *rand.Rand, h *history.History, l leads) bool { // a follower says yes in the midst of the term
			a := near(h, []string{"a", "b", "c"}[r.IntN(3)], l.from+100+r.IntN(max(1, l.to-l.from-200)))
			if a.Yes || a.At != 0 || a.Sent > at(l.to-60) {
				return false
			}
			become(a, l.token+100_000)
			return true
		},
		"I2": func(_ *rand.Rand, h *history.History, l leads) bool { // the promise outlives the key
			a := last(h, l.token)
			if l.gone == 0 || a == nil || slices.ContainsFunc(h.Faults, func(f history.Fault) bool { return slices.Contains(f.Tokens, l.token) }) {
				return false
			}
			a.Until = at(l.gone + 2)
			return !slices.ContainsFunc(h.Processes, func(p history.Process) bool { return p.Incarnation == l.by && p.Asked != 0 })
		},
		"I3": func(_ *rand.Rand, h *history.History, l leads) bool { // another process says the same token, later
			a := near(h, string("abc"[(l.by[0]-'a'+1)%3]), l.to+50)
			if a.Yes {
				return false
			}
			become(a, l.token)
			return true
		},
		"I4": func(r *rand.Rand, h *history.History, l leads) bool { // a no in the midst of the term
			a := near(h, l.by[:1], l.from+100+r.IntN(max(1, l.to-l.from-200)))
			if a.Token != l.token || a.Sent <= first(h, l.token).Sent || a.Sent >= last(h, l.token).Sent {
				return false
			}
			*a = history.Answer{Elector: a.Elector, Incarnation: a.Incarnation, Sent: a.Sent, Received: a.Received}
			return true
		},
		"I7": func(r *rand.Rand, h *history.History, l leads) bool { // one scrape is turned round
			s := &h.Samples[r.IntN(len(h.Samples))]
			a, b := near(h, s.Elector, int((s.Sent-began)/1e6)-25), near(h, s.Elector, int((s.Sent-began)/1e6)+10)
			if a.Incarnation != s.Incarnation || b.Incarnation != s.Incarnation || a.Yes != b.Yes || s.Leading != a.Yes || b.Sent.Sub(a.Sent) > 100*time.Millisecond {
				return false
			}
			s.Leading, s.Token = !s.Leading, 0
			return true
		},
		"I9": func(r *rand.Rand, h *history.History, _ leads) bool { // one access had another outcome
			a := &h.Register[r.IntN(len(h.Register))]
			if a.Write {
				a.Refused = !a.Refused
			} else {
				a.Value--
			}
			return true
		},
	}
	for rule, breach := range breaches {
		found := 0
		for seed := range uint64(60) {
			r := rand.New(rand.NewPCG(seed, 2))
			f := random(r)
			h := f.history()
			if l := f.terms[r.IntN(len(f.terms)-1)]; !breach(r, h, l) {
				continue
			}
			if got := check.Check(h); !slices.Contains(rules(got), rule) {
				t.Errorf("%s, seed %d: not found\n%s%+v", rule, seed, told(got), f.terms)
				break
			}
			found++
		}
		if found < 10 {
			t.Errorf("%s: planted only %d times", rule, found)
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	f := random(rand.New(rand.NewPCG(1, 1)))
	final := &f.terms[len(f.terms)-1]
	final.to, final.gone, f.calm = final.to-1000, final.to-5, 0
	h := f.history()
	big := *h
	for i := 1; len(big.Answers) < 300_000; i++ {
		shift := history.Instant(i) * (at(f.length) - began)
		tokens := int64(i) * 1000
		for _, a := range h.Answers {
			a.Sent, a.Received = a.Sent+shift, a.Received+shift
			a.Incarnation = fmt.Sprint(a.Incarnation, ".", i)
			if a.Yes {
				a.At, a.Until, a.Token = a.At+shift, a.Until+shift, a.Token+tokens
			}
			big.Answers = append(big.Answers, a)
		}
		for _, k := range h.Keys {
			k.Key, k.Token, k.Seen = fmt.Sprint(k.Key, ".", i), k.Token+tokens, k.Seen+shift
			big.Keys = append(big.Keys, k)
		}
		for _, a := range h.Register {
			a.Call, a.Return, a.Token = a.Call+shift, a.Return+shift, a.Token+tokens
			big.Register = append(big.Register, a)
		}
	}
	for b.Loop() {
		if r := check.Check(&big); !onlyAvailability(r) {
			b.Fatal(told(r))
		}
	}
	b.ReportMetric(float64(len(big.Answers)), "answers")
	b.ReportMetric(float64(len(big.Register)), "accesses")
}

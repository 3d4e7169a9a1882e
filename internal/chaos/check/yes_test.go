package check_test

import (
	"slices"
	"time"

	"github.com/elector-dev/elector/internal/chaos/check"
	"github.com/elector-dev/elector/internal/chaos/history"
)

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

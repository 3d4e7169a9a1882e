package check_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/elector-dev/elector/internal/chaos/check"
	"github.com/elector-dev/elector/internal/chaos/history"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	ttl       = 3 * time.Second
	answerMax = 2 * time.Second
	margin    = 150 * time.Millisecond
	poll      = 20 // ms between two polls of one elector
)

// began is when all made-up runs begin. Instants in tests are milliseconds from it.
const began = history.Instant(5_000 * time.Second)

func at(ms int) history.Instant { return began.Add(time.Duration(ms) * time.Millisecond) }

// leads is one leadership in a made-up run.
type leads struct {
	by       string // process: lane and number, as "a1"
	token    int64
	from, to int // of its yes
	gone     int // when its key's deletion was seen; 0: it was not
}

// fleet is a made-up run of three electors, described by what happened, from which the record is drawn up
// as a runner would have written it.
type fleet struct {
	length int
	terms  []leads
	faults []history.Fault
	stalls []history.Stall
	lives  []history.Process
	frozen map[string][][2]int // times in which a process answers nothing
	calm   int
	closed bool
	noKeys bool
	writes bool
}

// quiet is a run in which a leads, is asked to stop at 10 s, b takes over, is killed at 20 s, and c leads
// from when b's lease ran out.
func quiet() *fleet {
	f := &fleet{length: 50_000, calm: 21_000, closed: true, writes: true}
	f.lives = []history.Process{
		{Elector: "a", Incarnation: "a1", From: at(0), Asked: at(10_000), To: at(10_030), Exit: "0", ReleaseNow: true},
		{Elector: "a", Incarnation: "a2", From: at(10_500)},
		{Elector: "b", Incarnation: "b1", From: at(0), To: at(20_000), Exit: "killed"},
		{Elector: "b", Incarnation: "b2", From: at(21_000)},
		{Elector: "c", Incarnation: "c1", From: at(0)},
	}
	f.terms = []leads{
		{"a1", 11, 300, 9_995, 10_010},
		{"b1", 12, 10_025, 19_990, 22_900},
		{"c1", 13, 22_920, 49_995, 0},
	}
	f.faults = []history.Fault{
		{Kind: history.ElectorStop, Targets: []string{"a"}, From: at(10_000), To: at(10_500), Effective: true},
		{Kind: history.ElectorKill, Targets: []string{"b"}, From: at(20_000), To: at(21_000), Effective: true},
	}
	return f
}

// alive reports whether a process answers at an instant.
func (f *fleet) alive(p history.Process, t int) bool {
	for _, z := range f.frozen[p.Incarnation] {
		if z[0] <= t && t < z[1] {
			return false
		}
	}
	return p.From <= at(t) && (p.To == 0 || at(t) < p.To)
}

func (f *fleet) history() *history.History {
	h := &history.History{Run: history.Run{
		Scenario: "scripted", Program: "elector", Began: began, TTL: ttl, AnswerMax: answerMax,
		Electors: []string{"a", "b", "c"}, Members: []string{"m1", "m2", "m3"},
	}}
	if f.calm > 0 {
		h.Run.Calm = at(f.calm)
	}
	if f.closed {
		h.Run.Ended = at(f.length)
		h.Leftover = &history.Leftover{}
	}
	h.Faults, h.Stalls, h.Processes = f.faults, f.stalls, f.lives
	for i, p := range f.lives {
		for t := i; t < f.length; t += poll {
			if f.alive(p, t) {
				h.Answers = append(h.Answers, f.answer(p, t))
			}
			if t%1000 < poll && f.alive(p, t+poll) {
				h.Samples = append(h.Samples, f.sample(p, t+5))
			}
		}
	}
	for _, l := range f.terms {
		if !f.noKeys {
			h.Keys = append(h.Keys, f.keys(l)...)
		}
	}
	if f.writes {
		h.Register = f.accesses()
	}
	slices.SortFunc(h.Answers, func(a, b history.Answer) int { return cmp.Compare(a.Sent, b.Sent) })
	slices.SortFunc(h.Samples, func(a, b history.Sample) int { return cmp.Compare(a.Sent, b.Sent) })
	slices.SortStableFunc(h.Keys, func(a, b history.KeyEvent) int { return cmp.Compare(a.Seen, b.Seen) })
	return h
}

// leading is the term that a process is in.
func (f *fleet) leading(incarnation string, t int) *leads {
	for i := range f.terms {
		if l := &f.terms[i]; l.by == incarnation && l.from <= t && t <= l.to {
			return l
		}
	}
	return nil
}

// answer is asked for at t and comes 2 ms later.
func (f *fleet) answer(p history.Process, t int) history.Answer {
	a := history.Answer{
		Elector: p.Elector, Incarnation: p.Incarnation, Sent: at(t), Received: at(t + 2), State: "follower", Registered: true,
	}
	if l := f.leading(p.Incarnation, t+1); l != nil {
		a.Yes, a.Token, a.State, a.At = true, l.token, "leader", at(t+1)
		a.Until = a.At.Add(answerMax)
		if l.gone != 0 {
			// As a deadline would have it, or a release that waits, or a kill after which nobody knows.
			a.Until = max(a.At, min(a.Until, at(l.gone).Add(-margin)))
		}
	}
	return a
}

func (f *fleet) sample(p history.Process, t int) history.Sample {
	s := history.Sample{Elector: p.Elector, Incarnation: p.Incarnation, Sent: at(t), Received: at(t + 3), Goroutines: 40}
	if l := f.leading(p.Incarnation, t+1); l != nil {
		s.Leading, s.Token = true, l.token
	}
	s.Renewals = map[string]int64{"confirmed": int64(t)}
	return s
}

func (f *fleet) keys(l leads) []history.KeyEvent {
	name := fmt.Sprintf("/elector/default/x/%x", l.token)
	lane := l.by[:1]
	out := []history.KeyEvent{
		{Key: name, Token: l.token, Revision: l.token, Lease: 7, Identity: lane, Seen: at(l.from - 40)},
		{Key: name, Token: l.token, Revision: l.token, Lease: 8, Identity: lane, Seen: at(l.from + 40)},
	}
	if l.gone != 0 {
		out = append(out, history.KeyEvent{Key: name, Token: l.token, Revision: l.token + 1, Deleted: true, Seen: at(l.gone)})
	}
	return out
}

// accesses writes with each leader's token, reads by all in between, and lets the one that led before be
// refused.
func (f *fleet) accesses() []history.Access {
	var out []history.Access
	var value int64
	for i, l := range f.terms {
		for t := l.from; t < l.to; t += 50 {
			lane := l.by[:1]
			out = append(out, history.Access{Elector: lane, Write: true, Token: l.token, Value: value + 1, Call: at(t), Return: at(t + 3)})
			value++
			if i > 0 && t == l.from {
				out = append(out, history.Access{Elector: f.terms[i-1].by[:1], Write: true, Token: f.terms[i-1].token, Value: -1, Refused: true, Call: at(t + 5), Return: at(t + 6)})
			}
			out = append(out, history.Access{Elector: "b", Value: value, Call: at(t + 7), Return: at(t + 9)})
		}
	}
	return out
}

// rules are the rules that a report says were broken, each once.
func rules(r check.Report) []string {
	var out []string
	for _, v := range r.Violations {
		if !slices.Contains(out, v.Rule) {
			out = append(out, v.Rule)
		}
	}
	slices.Sort(out)
	return out
}

// told is all sentences of a report.
func told(r check.Report) string {
	var b strings.Builder
	for _, v := range r.Violations {
		fmt.Fprintf(&b, "%s: %s\n", v.Rule, v.Text)
	}
	for _, u := range r.Unknown {
		fmt.Fprintf(&b, "unknown: %s\n", u)
	}
	return b.String()
}

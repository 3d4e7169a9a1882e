package check_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/elector-dev/elector/internal/chaos/check"
	"github.com/elector-dev/elector/internal/chaos/history"
)

// random is a correct run: leaders that stop, are killed, are frozen and wake, are cut off, or lose their
// key to somebody, one after the other, with faults that hit nothing in between.
func random(r *rand.Rand) *fleet {
	f := &fleet{closed: true, writes: true, frozen: map[string][][2]int{}}
	number := map[string]int{}
	current := map[string]int{} // index in lives
	start := func(lane string, t int) {
		number[lane]++
		f.lives = append(f.lives, history.Process{Elector: lane, Incarnation: fmt.Sprintf("%s%d", lane, number[lane]), From: at(t), ReleaseNow: true})
		current[lane] = len(f.lives) - 1
	}
	lanes := []string{"a", "b", "c"}
	for _, lane := range lanes {
		start(lane, 0)
	}
	t, token, lane := 200+r.IntN(500), int64(10), ""
	for range 3 + r.IntN(8) {
		lane = lanes[(slices.Index(lanes, lane)+1+r.IntN(2))%3]
		p := &f.lives[current[lane]]
		token += int64(1 + r.IntN(20))
		to := t + 500 + r.IntN(12_000)
		t = f.end(r, leads{by: p.Incarnation, token: token, from: t, to: to}, p, start) + 15 + r.IntN(900)
	}
	f.calm = t + 3000
	lane = lanes[(slices.Index(lanes, lane)+1)%3]
	f.length = t + 30_000 + r.IntN(5000)
	f.terms = append(f.terms, leads{by: f.lives[current[lane]].Incarnation, token: token + 1, from: t, to: f.length, gone: 0})
	return f
}

// end ends a term in one of the ways in which terms end, and gives the instant from which another may lead.
func (f *fleet) end(r *rand.Rand, l leads, p *history.Process, start func(string, int)) int {
	lane, to := p.Elector, l.to
	fault := history.Fault{Targets: []string{lane}, From: at(to), Effective: true}
	expires := to + int(ttl.Milliseconds()) + r.IntN(500)
	defer func() { f.faults = append(f.faults, fault) }()
	switch r.IntN(5) {
	case 0:
		fault.Kind, fault.To = history.ElectorStop, at(to+400)
		p.Asked, p.To, p.Exit = at(to), at(to+30), "0"
		l.gone = to + 10
		start(lane, to+400)
	case 1:
		fault.Kind, fault.To = history.ElectorKill, at(to+700)
		p.To, p.Exit = at(to), "killed"
		l.gone = expires
		start(lane, to+700)
	case 2:
		fault.Kind, fault.To = history.ElectorPause, at(expires+800)
		f.frozen[p.Incarnation] = append(f.frozen[p.Incarnation], [2]int{to - 5, expires + 800})
		l.gone = expires
	case 3:
		fault.Kind, fault.To = history.PartitionTotal, at(expires+500)
		l.to = to + int((ttl - margin).Milliseconds())
		l.gone = l.to + int(margin.Milliseconds()) + 5 + r.IntN(300)
	default:
		fault.Kind, fault.To, fault.Tokens = history.KeyDelete, fault.From, []int64{l.token}
		l.gone = to - r.IntN(20) // it says yes for a little longer, which is excepted
	}
	f.terms = append(f.terms, l)
	return l.gone
}

func TestNoCorrectRunIsFoundGuilty(t *testing.T) {
	for seed := range uint64(40) {
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
		for seed := range uint64(40) {
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
		if found < 8 {
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

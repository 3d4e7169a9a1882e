package timeline

import (
	"cmp"
	"fmt"
	"html/template"
	"slices"
	"strings"
	"time"

	"github.com/elector-dev/elector/internal/chaos/check"
	"github.com/elector-dev/elector/internal/chaos/history"
)

// palette is how many colours there are for electors; more of them share.
const palette = 6

// page is what the template is filled with.
type page struct {
	Title    string
	Sections []*view
}

// view is one run as the page shows it. Exported fields are the template's.
type view struct {
	Title    string
	What     string
	Verdict  string
	Broken   bool
	ID       int
	Width    float64
	Height   float64
	Scale    float64
	Labels   []Label
	Picture  template.HTML
	Figures  []Figure
	Breaches []Row
	Faults   []Row
	Kinds    string
	Vacuous  []string
	Unknown  []string

	clock
	h       *history.History
	report  check.Report
	answers map[string][]*history.Answer // by lane, in the order in which they came
	lives   []life
	terms   []led
}

// Figure is a number with its name.
type Figure struct{ Name, Value string }

// Row is a line of a table.
type Row struct {
	Class string
	Cells []string
}

// led is one term in the lane of the leaders.
type led struct {
	from, to float64
	lane     int
	name     string
	token    int64
	title    string
}

func newView(s Section, id int, scale float64) *view {
	v := &view{
		Title: s.Title, ID: id, Scale: scale, h: s.History, report: s.Report, clock: newClock(s.History),
		answers: map[string][]*history.Answer{}, Vacuous: s.Report.Vacuous, Unknown: s.Report.Unknown,
	}
	for i := range v.h.Answers {
		a := &v.h.Answers[i]
		v.answers[a.Elector] = append(v.answers[a.Elector], a)
	}
	for _, said := range v.answers {
		slices.SortStableFunc(said, func(a, b *history.Answer) int { return cmp.Compare(a.Received, b.Received) })
	}
	v.lives = lives(v.h, v.clock)
	v.terms = v.leaders()
	v.Picture, v.Labels, v.Height = v.draw(scale)
	v.Width = v.length * scale
	v.describe()
	return v
}

// leaders are the terms of all lanes, by their beginning.
func (v *view) leaders() []led {
	var out []led
	for i, lane := range v.h.Run.Electors {
		begin := len(out)
		for _, s := range v.yesOf(lane) {
			if n := len(out); n > begin && out[n-1].token == s.token && out[n-1].to == s.from {
				out[n-1].to = s.to // after a silence
				continue
			}
			out = append(out, led{s.from, s.to, i, lane, s.token, ""})
		}
	}
	slices.SortStableFunc(out, func(a, b led) int { return cmp.Compare(a.from, b.from) })
	for i := range out {
		t := &out[i]
		t.title = fmt.Sprintf("%s led with token %d\nfrom %.3f s to %.3f s, %.2f s", t.name, t.token, t.from, t.to, t.to-t.from)
	}
	return out
}

// stopped is when the electors were asked to stop for good, or the end.
func (v *view) stopped() float64 {
	at := v.length
	for _, p := range v.h.Processes {
		if v.h.Run.Calm != 0 && p.Asked > v.h.Run.Calm {
			at = min(at, v.sec(p.Asked))
		}
	}
	return at
}

// note is what stands under an elector's name.
func (v *view) note(lane string) string {
	terms := 0
	for _, t := range v.terms {
		if t.name == lane {
			terms++
		}
	}
	if terms == 1 {
		return "1 term"
	}
	return fmt.Sprintf("%d terms", terms)
}

// describe fills in all that is not the picture.
func (v *view) describe() {
	run, f := v.h.Run, v.report.Figures
	v.What = fmt.Sprintf("%s, scenario %s, seed %d: %s, TTL %s, %d electors, %d members of etcd",
		run.Program, run.Scenario, run.Seed, round(time.Duration(v.length*float64(time.Second))), run.TTL, len(run.Electors), len(run.Members))
	n := len(v.report.Violations) + v.report.More
	v.Broken = n > 0
	switch n {
	case 0:
		v.Verdict = "no rule was broken"
	case 1:
		v.Verdict = "1 violation"
	default:
		v.Verdict = fmt.Sprintf("%d violations", n)
	}
	fine, faulty := f.Available()
	tried, effective := 0, 0
	var kinds []string
	for _, k := range f.Faults {
		tried, effective = tried+k.Tried, effective+k.Effective
		kinds = append(kinds, fmt.Sprintf("%s %d of %d", k.Kind, k.Effective, k.Tried))
	}
	v.Kinds = strings.Join(kinds, " · ")
	v.Figures = []Figure{
		{"answers checked", count(f.Answers)},
		{"of them yes", count(f.Yes)},
		{"terms", count(f.Terms)},
		{"handovers", count(f.Handovers)},
		{"faults that took effect", fmt.Sprintf("%d of %d", effective, tried)},
		{"a leader, without faults", share(fine, f.Clear)},
		{"a leader, under faults", share(faulty, f.Faulty)},
		{"longest without a leader", round(f.Longest)},
		{"scrapes compared", count(f.SamplesJudged)},
		{"register accesses", count(f.Accesses)},
		{"refused writes", count(f.RefusedWrites)},
		{"unknown time", round(f.Unknown)},
	}
	v.tables()
}

func (v *view) tables() {
	for i, x := range v.report.Violations {
		v.Breaches = append(v.Breaches, Row{Cells: []string{
			fmt.Sprint(i + 1), x.Rule, v.at(x.At), v.at(x.Until), strings.Join(x.Electors, ", "), numbers(x.Tokens), x.Text,
		}})
	}
	for _, f := range v.h.Faults {
		row := Row{Cells: []string{
			v.at(f.From), lasted(f), f.Kind, strings.Join(f.Targets, ", "), numbers(f.Tokens), f.Detail,
		}}
		if !f.Effective {
			row.Class = "idle"
		}
		v.Faults = append(v.Faults, row)
	}
}

func (v *view) at(t history.Instant) string { return fmt.Sprintf("%.3f s", t.Sub(v.began).Seconds()) }

func lasted(f history.Fault) string {
	switch {
	case f.To == 0:
		return "lasts"
	case f.To == f.From:
		return "at once"
	}
	return round(f.To.Sub(f.From))
}

func round(d time.Duration) string {
	if d >= 10*time.Second {
		return d.Round(time.Second).String()
	}
	return d.Round(10 * time.Millisecond).String()
}

func share(part float64, of time.Duration) string {
	if of == 0 {
		return "no such time"
	}
	return fmt.Sprintf("%.2f %% of %s", 100*part, round(of))
}

// count is a number with its thousands apart.
func count(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "\u202f" + s[i:]
	}
	return s
}

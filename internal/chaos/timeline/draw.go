package timeline

import (
	"fmt"
	"html/template"
	"slices"
	"strings"

	"github.com/elector-dev/elector/internal/chaos/check"
	"github.com/elector-dev/elector/internal/chaos/history"
)

// Heights of what lies in a lane, in pixels.
const (
	axisHeight   = 32.0
	faultHeight  = 15.0
	barHeight    = 20.0
	keyHeight    = 3.0
	lanePad      = 6.0
	ledHeight    = 26.0
	redHeight    = 15.0
	redRows      = 5
	memberHeight = 20.0
	charWidth    = 6.1 // of a label's letter
)

// Label is a lane's name, beside the picture so that it stays when the picture is scrolled.
type Label struct {
	Y, Height float64
	Name      string
	Note      string
	Class     string
}

// drawing is one run's picture in progress: top is where the next lane begins.
type drawing struct {
	*view
	canvas
	top    float64
	labels []Label
	onTop  []func() // what is drawn last
}

func (v *view) draw(scale float64) (svg template.HTML, labels []Label, height float64) {
	d := &drawing{view: v, canvas: canvas{length: v.length, scale: scale}}
	d.axis()
	d.red()
	d.led()
	first := d.top
	for i, lane := range v.h.Run.Electors {
		d.elector(lane, i)
	}
	for _, lane := range v.h.Run.Members {
		d.member(lane)
	}
	d.across(first)
	for _, draw := range d.onTop {
		draw()
	}
	return d.done(), d.labels, d.top
}

// lane ends a lane of some height.
func (d *drawing) lane(name, note, class string, height float64) {
	d.labels = append(d.labels, Label{Y: d.top, Height: height, Name: name, Note: note, Class: class})
	d.top += height
}

// axis is the seconds, with a mark at each that there is room for.
func (d *drawing) axis() {
	step := 1.0
	for _, s := range []float64{1, 2, 5, 10, 20, 30, 60, 120, 300, 600} {
		step = s
		if s*d.scale >= 55 {
			break
		}
	}
	for t := 0.0; t <= d.length; t += step {
		d.line("tick", t, 15, 20, "")
		d.text("sec", t, 11, fmt.Sprintf("%g s", t))
	}
	d.lane("", "", "", axisHeight)
}

// red is the sentences of the violations, each beside its number, as far as there is room.
func (d *drawing) red() {
	if len(d.report.Violations) == 0 {
		return
	}
	var r rows
	used := 0
	for i, v := range d.report.Violations {
		from := d.sec(v.At)
		sentence := fmt.Sprintf("%d  %s: %s", i+1, v.Rule, v.Text)
		width := d.least(charWidth*float64(len(sentence)) + 12)
		left := max(0, min(from, d.length-width))
		n := r.place(left, left+width)
		if n >= redRows {
			continue // the table has it
		}
		used = max(used, n+1)
		y := d.top + redHeight*float64(n) + 11
		d.onTop = append(d.onTop, func() { d.text("red", left, y, sentence) })
	}
	note := ""
	if n := len(d.report.Violations) + d.report.More; n > 1 {
		note = fmt.Sprintf("%d in all", n)
	}
	d.lane("broken", note, "broken", redHeight*float64(used)+lanePad)
}

// led is the lane of the answer that matters: who led, and when nobody did.
func (d *drawing) led() {
	y := d.top + 3
	d.bar("nobody", 0, d.stopped(), y, ledHeight-6, "")
	at := 0.0
	for _, t := range d.terms {
		if t.from > at+1 {
			d.label("gap", at, t.from, y, ledHeight-6, fmt.Sprintf("nobody %.1f s", t.from-at))
		}
		class := "yes e" + fmt.Sprint(t.lane%palette)
		if t.from < at && d.twice(t.token) {
			class += " twice"
		}
		d.bar(class, t.from, t.to, y, ledHeight-6, t.title)
		d.label("token", t.from, t.to, y, ledHeight-6, fmt.Sprintf("%s · %d", t.name, t.token))
		at = max(at, t.to)
	}
	if end := d.stopped(); end > at+1 {
		d.label("gap", at, end, y, ledHeight-6, fmt.Sprintf("nobody %.1f s", end-at))
	}
	d.lane("leader", "", "strong", ledHeight)
}

// twice reports whether a term was found to be one of two at once.
func (d *drawing) twice(token int64) bool {
	return slices.ContainsFunc(d.report.Violations, func(v check.Violation) bool {
		return v.Rule == "I1" && slices.Contains(v.Tokens, token)
	})
}

// faults draws the hatched bands of a lane in rows of their own and gives the height of those. body is the
// height of what lies under them, which they tint.
func (d *drawing) faults(lane string, member bool, body float64) float64 {
	var r rows
	type band struct {
		fault *history.Fault
		row   int
	}
	var bands []band
	for _, i := range faultsOf(d.h, lane, member) {
		f := &d.h.Faults[i]
		from, to := d.sec(f.From), d.end(f.To)
		bands = append(bands, band{f, r.place(from, max(to, from+d.least(charWidth*float64(len(f.Kind))+10)))})
	}
	height := faultHeight * float64(len(r.ends))
	for _, b := range bands {
		f := b.fault
		from, to := d.sec(f.From), d.end(f.To)
		title := faultTitle(d.clock, f)
		y := d.top + 2 + faultHeight*float64(b.row)
		class := "fault"
		if !f.Effective {
			class += " idle"
		}
		d.bar("tint", from, to, y, d.top+height+body-y, title)
		d.bar(class, from, max(to, from+d.least(3)), y, faultHeight-2, title)
		d.text("what", from+d.least(3), y+10, f.Kind)
	}
	return height
}

// elector is a lane with what its processes said, the keys that they had, and what was done to them.
func (d *drawing) elector(lane string, number int) {
	colour := fmt.Sprintf("e%d", number%palette)
	body := lanePad + barHeight + keyHeight + lanePad
	top := d.top
	d.bar("lane", 0, d.length, top, 0.5, "")
	faults := d.faults(lane, false, body)
	y := top + faults + lanePad
	for _, s := range d.statesOf(lane) {
		if s.state != "leader" {
			d.bar("state "+word(s.state), s.from, s.to, y, barHeight, fmt.Sprintf("%s (%s): %s\nfrom %.3f s to %.3f s", lane, s.incarnation, s.state, s.from, s.to))
		}
	}
	for _, k := range d.lives {
		if k.lane == lane {
			d.bar("key "+colour, k.from, k.to, y+barHeight+1, keyHeight, keyTitle(k))
		}
	}
	d.yes(lane, colour, y)
	d.processes(lane, y)
	d.lane(lane, d.note(lane), colour, faults+body)
}

func keyTitle(k life) string {
	if !k.ended {
		return fmt.Sprintf("key %s, token %d\nsince %.3f s", k.key, k.token, k.from)
	}
	return fmt.Sprintf("key %s, token %d\nfrom %.3f s to %.3f s", k.key, k.token, k.from, k.to)
}

// yes draws the times of yes with their tokens, and after each the promise that was left.
func (d *drawing) yes(lane, colour string, y float64) {
	all := d.yesOf(lane)
	for i, s := range all {
		title := fmt.Sprintf("%s (%s) said yes with token %d\nfrom %.3f s to %.3f s", lane, s.incarnation, s.token, s.from, s.to)
		if !s.solid {
			d.bar("yes unheard "+colour, s.from, s.to, y, barHeight, title+", as far as is known: it was silent")
			continue
		}
		ends := i+1 == len(all) || all[i+1].token != s.token || all[i+1].solid
		if ends && s.until > s.to {
			d.bar("promise "+colour, s.to, min(s.until, d.length), y+barHeight/2-3, 6, fmt.Sprintf("its last promise runs until %.3f s", s.until))
		}
		d.bar("yes "+colour, s.from, s.to, y, barHeight, title)
		d.label("token", s.from, s.to, y, barHeight, fmt.Sprint(s.token))
	}
}

// processes marks the beginnings and ends of a lane's processes.
func (d *drawing) processes(lane string, y float64) {
	middle := y + barHeight/2
	for _, p := range d.h.Processes {
		if p.Elector != lane {
			continue
		}
		name := fmt.Sprintf("%s (%s, process %d)", lane, p.Incarnation, p.PID)
		d.mark("begin", d.sec(p.From), middle, "M-3,-6 L4,0 L-3,6 Z", fmt.Sprintf("%s started at %.3f s", name, d.sec(p.From)))
		if p.Asked != 0 {
			d.line("asked", d.sec(p.Asked), y-3, y+barHeight+3, fmt.Sprintf("%s was asked to stop at %.3f s", name, d.sec(p.Asked)))
		}
		if p.To != 0 {
			d.mark("over", d.sec(p.To), middle, "M-4,-4 L4,4 M4,-4 L-4,4", fmt.Sprintf("%s ended at %.3f s: %s", name, d.sec(p.To), p.Exit))
		}
	}
}

// member is a lane of etcd.
func (d *drawing) member(lane string) {
	top := d.top
	d.bar("lane", 0, d.length, top, 0.5, "")
	faults := d.faults(lane, true, memberHeight)
	d.bar("etcd", 0, d.length, top+faults+memberHeight/2, 2, lane)
	d.lane(lane, "etcd", "", faults+memberHeight)
}

// across draws what concerns all lanes from the given height down.
func (d *drawing) across(first float64) {
	for _, s := range d.h.Stalls {
		d.bar("stall", d.sec(s.From), d.end(s.To), axisHeight, d.top-axisHeight,
			fmt.Sprintf("the harness stood still from %.3f s to %.3f s: unknown", d.sec(s.From), d.end(s.To)))
	}
	if c := d.h.Run.Calm; c != 0 {
		d.line("calm", d.sec(c), axisHeight-15, d.top, fmt.Sprintf("the last fault was undone at %.3f s", d.sec(c)))
		d.text("calm", d.sec(c)+d.least(5), axisHeight-5, "faults over")
	}
	if s := d.stopped(); s < d.length {
		d.line("calm", s, axisHeight-15, d.top, fmt.Sprintf("the fleet was stopped at %.3f s", s))
		d.text("calm", s+d.least(5), axisHeight-5, "fleet stopped")
	}
	for i, v := range d.report.Violations {
		from, to := d.sec(v.At), min(d.length, d.sec(v.Until))
		if v.Rule == "availability" || v.Rule == "starved" {
			continue // of the whole run
		}
		title := fmt.Sprintf("%d  %s: %s", i+1, v.Rule, v.Text)
		d.bar("wrong", from, max(to, from+d.least(2)), first-ledHeight, d.top-first+ledHeight, title)
		d.line("wrong", from, axisHeight, d.top, title)
	}
}

// word is a state as the name of a style.
func word(state string) string {
	if state == "" || strings.ContainsAny(state, " \t\n") {
		return "other"
	}
	return "s-" + state
}

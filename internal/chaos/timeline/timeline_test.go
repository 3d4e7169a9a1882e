package timeline_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/elector-dev/elector/internal/chaos/check"
	"github.com/elector-dev/elector/internal/chaos/history"
	"github.com/elector-dev/elector/internal/chaos/timeline"
)

const began = history.Instant(9_000 * time.Second)

func at(ms int) history.Instant { return began.Add(time.Duration(ms) * time.Millisecond) }

// run is 20 seconds in which w1 leads, is frozen, and says yes once more after w2 has taken over. All that
// is free text in it is hostile.
func run() *history.History {
	h := &history.History{Run: history.Run{
		Seed: 42, Scenario: "<script>alert(1)</script>", Program: "plain", Began: began, Ended: at(20_000), Calm: at(12_000),
		TTL: 3 * time.Second, Electors: []string{"w1", "w2"}, Members: []string{"m1", "m2", "m3"},
	}}
	for t := 1500; t < 18_000; t += 20 {
		if t < 4_000 || t > 9_000 {
			a := history.Answer{Elector: "w1", Incarnation: "i1", Sent: at(t), Received: at(t + 2), State: "follower"}
			if t < 4_000 || t == 9_020 {
				a.Yes, a.Token, a.At, a.Until, a.State = true, 7, at(t+1), at(t+1500), "leader"
			}
			h.Answers = append(h.Answers, a)
		}
		b := history.Answer{Elector: "w2", Incarnation: "i2", Sent: at(t + 1), Received: at(t + 3), State: "follower"}
		if t > 7_200 {
			b.Yes, b.Token, b.At, b.Until, b.State = true, 8, at(t+2), at(t+1500), "leader"
		}
		h.Answers = append(h.Answers, b)
	}
	h.Keys = []history.KeyEvent{
		{Key: "/k<1>", Token: 7, Identity: "w1", Seen: at(450)}, {Key: "/k2", Token: 8, Identity: "w2", Seen: at(460)},
		{Key: "/k<1>", Token: 7, Deleted: true, Seen: at(7_100)},
	}
	h.Faults = []history.Fault{
		{Kind: history.ElectorPause, Targets: []string{"w1"}, From: at(4_000), To: at(9_000), Detail: `"<b>5 s</b>"`, Effective: true},
		{Kind: history.AllRestart, From: at(10_000), To: at(11_000)},
		{Kind: history.MemberPause, Targets: []string{"m2"}, From: at(10_500), To: at(11_500), Effective: true},
		{Kind: history.KeyDelete, Targets: []string{"w2"}, From: at(11_600), To: at(11_600), Tokens: []int64{8}},
	}
	h.Processes = []history.Process{
		{Elector: "w1", Incarnation: "i1", PID: 11, From: at(0), Asked: at(18_000), To: at(18_030), Exit: "0"},
		{Elector: "w2", Incarnation: "i2", PID: 12, From: at(0), To: at(18_500), Exit: "<killed>"},
	}
	h.Stalls = []history.Stall{{From: at(14_000), To: at(15_000)}}
	return h
}

func drawn(t *testing.T, sections ...timeline.Section) string {
	t.Helper()
	var b bytes.Buffer
	if err := timeline.WriteCompare(&b, sections...); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestAPictureShowsWhatHappened(t *testing.T) {
	h := run()
	r := check.Check(h)
	if r.OK() {
		t.Fatal("the run breaks no rule")
	}
	var b bytes.Buffer
	if err := timeline.Write(&b, h, r); err != nil {
		t.Fatal(err)
	}
	page := b.String()
	for _, want := range []string{
		`class="yes e0"`, `class="yes e1"`, `class="promise e0"`, `class="key e0"`, `class="key e1"`,
		`class="fault"`, `class="fault idle"`, `class="stall"`, `class="state s-follower"`, `class="wrong"`,
		`class="begin"`, `class="asked"`, `class="over"`, `class="calm"`, `class="yes e1 twice"`, `class="yes unheard e0"`,
		">elector-pause<", ">20 s<", ">w1<", ">m3<", "took away the keys with tokens 8",
		"w1 still said yes with token 7", `<span class="verdict bad">`, "TTL 3s, 2 electors, 3 members",
		"was not seen to do anything", "nobody 1.5 s", "fleet stopped", "prefers-color-scheme: dark",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %q", want)
		}
	}
	// The restart is of all members: one band in each of their lanes, beside that of the pause.
	if n := strings.Count(page, ">all-restart</text>"); n != 3 {
		t.Errorf("the restart of all members is in %d lanes", n)
	}
	if n := strings.Count(page, ">member-pause</text>"); n != 1 {
		t.Errorf("the pause of one member is in %d lanes", n)
	}
}

func TestAPictureIsOneFileThatAsksForNothing(t *testing.T) {
	h := run()
	page := drawn(t, timeline.Section{Title: "<i>ours</i>", History: h, Report: check.Check(h)})
	for _, bad := range []string{"<script>alert", "<b>5 s", "<i>ours", "/k<1>", "<killed>", "http:", "https:", "src=", "@import", "<link"} {
		if strings.Contains(page, bad) {
			t.Errorf("the page has %q", bad)
		}
	}
	urls := regexp.MustCompile(`url\(([^)]*)\)`).FindAllStringSubmatch(page, -1)
	for _, u := range urls {
		if !strings.HasPrefix(u[1], "#") {
			t.Errorf("the page asks for %s", u[1])
		}
	}
	if !strings.Contains(page, "&lt;script&gt;alert(1)") {
		t.Error("the scenario's name is not shown")
	}
}

// The picture itself is XML, so every shape is closed and every attribute is quoted.
func TestAPictureIsWellFormed(t *testing.T) {
	h := run()
	page := drawn(t, timeline.Section{History: h, Report: check.Check(h)})
	from := strings.Index(page, `<svg class="run"`)
	svg := page[from : from+strings.Index(page[from:], "</svg></div>")+len("</svg>")]
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		_, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestRunsAreComparedOnOneScale(t *testing.T) {
	long, short := run(), run()
	short.Run.Program, short.Run.Ended = "elector", at(19_000)
	for i := range long.Answers {
		if a := &long.Answers[i]; a.Elector == "w2" && a.Sent > at(15_000) {
			a.Sent, a.Received = a.Sent+history.Instant(100*time.Second), a.Received+history.Instant(100*time.Second)
		}
	}
	page := drawn(t, timeline.Section{Title: "plain daemon", History: long, Report: check.Check(long)},
		timeline.Section{Title: "elector", History: short, Report: check.Check(short)})
	if i, j := strings.Index(page, "<h2>plain daemon</h2>"), strings.Index(page, "<h2>elector</h2>"); i < 0 || j < i {
		t.Errorf("headings at %d and %d", i, j)
	}
	widths := regexp.MustCompile(`data-width="([\d.]+)"`).FindAllStringSubmatch(page, -1)
	if len(widths) != 2 {
		t.Fatalf("%d pictures", len(widths))
	}
	var w [2]float64
	for i := range w {
		if _, err := fmt.Sscan(widths[i][1], &w[i]); err != nil {
			t.Fatal(err)
		}
	}
	if ratio := w[0] / w[1]; ratio < 5 || ratio > 7 {
		t.Errorf("118 and 19 seconds are %v and %v wide", w[0], w[1])
	}
}

func TestAnEmptyRunCanBeDrawn(t *testing.T) {
	h := &history.History{}
	if page := drawn(t, timeline.Section{History: h, Report: check.Check(h)}); !strings.Contains(page, "no rule was broken") || strings.Contains(page, "NaN") {
		t.Error("the page of an empty run is broken")
	}
}

func TestALongRunIsNotALargeFile(t *testing.T) {
	h := &history.History{Run: history.Run{Began: began, TTL: time.Second, Electors: []string{"w1"}}}
	for i := range 100_000 {
		h.Answers = append(h.Answers, history.Answer{
			Elector: "w1", Sent: at(i * 3), Received: at(i*3 + 1), At: at(i * 3), Yes: true, Token: int64(1 + i/10_000), Until: at(i*3 + 500), State: "leader",
		})
	}
	if page := drawn(t, timeline.Section{History: h, Report: check.Check(h)}); len(page) > 100_000 {
		t.Errorf("%d bytes", len(page))
	}
}

func TestAFullDiskIsToldAsSuch(t *testing.T) {
	full := errors.New("no space")
	err := timeline.Write(writer(func([]byte) (int, error) { return 0, full }), run(), check.Report{})
	if !errors.Is(err, full) || !strings.HasPrefix(err.Error(), "draw timeline: ") {
		t.Error(err)
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

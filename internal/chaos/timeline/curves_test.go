package timeline_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/elector-dev/elector/internal/chaos/history"
	"github.com/elector-dev/elector/internal/chaos/timeline"
)

// sampled is a run of 60 s in which w1 lives throughout and is silent for a while, and w2 is started again.
func sampled(seed uint64) *history.History {
	h := &history.History{Run: history.Run{Seed: seed, Began: began, Ended: at(60_000), Electors: []string{"w1", "<w2>"}}}
	for t := 0; t < 60_000; t += 250 {
		if t < 20_000 || t > 35_000 {
			h.Samples = append(h.Samples, history.Sample{Elector: "w1", Incarnation: "i1", Sent: at(t), Resident: 30 << 20, Goroutines: 50, Descriptors: 15})
		}
		incarnation := "i2"
		if t > 30_000 {
			incarnation = "i3"
		}
		h.Samples = append(h.Samples, history.Sample{Elector: "<w2>", Incarnation: incarnation, Sent: at(t), Resident: 20 << 20, Goroutines: 40 + t/1000%2*4, Descriptors: 12})
	}
	return h
}

func TestCurvesOfAProcessAreAveragesAndHaveAHoleWhereItWasSilent(t *testing.T) {
	c := timeline.NewCurves(sampled(1))
	if len(c.Lives) != 4 || c.Length != 60 {
		t.Fatalf("%d lives in %v s", len(c.Lives), c.Length)
	}
	for _, l := range c.Lives {
		for i, p := range l.Points {
			memory, goroutines := 30.0, 50.0
			if l.Lane == "<w2>" {
				memory, goroutines = 20, 42
			}
			if p.Resident != memory || i+1 < len(l.Points) && (p.Goroutines < goroutines-1 || p.Goroutines > goroutines+1) {
				t.Errorf("%s at %.1f s: %+v", l.Lane, p.At, p)
			}
			if i > 0 && (p.At <= l.Points[i-1].At || p.At > l.Points[i-1].At+3) {
				t.Errorf("%s: a point at %.1f s after one at %.1f s", l.Lane, p.At, l.Points[i-1].At)
			}
		}
	}
}

func TestCurvesOfAllRunsAreOnePictureThatNeedsNothingElse(t *testing.T) {
	var b bytes.Buffer
	if err := timeline.WriteCurves(&b, []timeline.Curves{timeline.NewCurves(sampled(41)), timeline.NewCurves(sampled(42))}); err != nil {
		t.Fatal(err)
	}
	for d := xml.NewDecoder(bytes.NewReader(b.Bytes())); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("%v in\n%s", err, &b)
		}
	}
	if n := strings.Count(b.String(), "<polyline"); n != 3*2*4 {
		t.Errorf("%d curves", n)
	}
	for _, want := range []string{"seed 41, 1m0s", "seed 42, 1m0s", "&lt;w2&gt;", "resident memory, MiB", ">40</text>"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not in the picture", want)
		}
	}
}

func TestAPictureOfNoRunsIsOne(t *testing.T) {
	var b bytes.Buffer
	if err := timeline.WriteCurves(&b, nil); err != nil || !strings.Contains(b.String(), "</svg>") {
		t.Errorf("%v\n%s", err, &b)
	}
}

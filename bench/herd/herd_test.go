package main

import (
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/elector-dev/elector/internal/devetcd"
	"github.com/elector-dev/elector/internal/election"
)

func TestMain(m *testing.M) {
	devetcd.MaybeRunMember()
	goleak.VerifyTestMain(m)
}

func yes(token int64, at, until election.Instant) election.Answer {
	return election.Answer{State: election.State{Token: token}, At: at, Leading: true, ExpiresAt: until}
}

func TestWhatBreaksThePromiseIsNoticed(t *testing.T) {
	for _, c := range []struct {
		name  string
		who   int
		yes   election.Answer
		wrong string
	}{
		{"the same term", 1, yes(5, 150, 250), ""},
		{"the next term", 2, yes(6, 200, 300), ""},
		{"before the promise has run out", 2, yes(6, 199, 300), "has promised"},
		{"an older token", 2, yes(4, 300, 400), "has had 5"},
		{"another's token", 2, yes(5, 300, 400), "has had 5"},
	} {
		g := &group{begun: map[int64]bool{}}
		if err := g.hear(1, yes(5, 100, 200)); err != nil {
			t.Fatal(err)
		}
		err := g.hear(c.who, c.yes)
		if (err == nil) != (c.wrong == "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	g := &group{begun: map[int64]bool{}}
	if g.begin(1, 5) != nil || g.begin(2, 5) == nil {
		t.Error("two terms have one token, and nobody notices")
	}
}

func TestAmountsAreSpreadOverTheTimeInWhichTheyCameAbout(t *testing.T) {
	const s = time.Second
	b := newBins(10*s, 12*s)
	b.spread(9*s, 11*s, 200) // half of it before
	b.spread(11*s+50*time.Millisecond, 11*s+150*time.Millisecond, 10)
	if got := b.total(); got < 109.9 || got > 110.1 {
		t.Errorf("%v in all", got)
	}
	if got := b.peak(1); got < 99.9 || got > 100.1 {
		t.Errorf("at most %v a second", got)
	}
	if got := b.sums[10] + b.sums[11]; got < 9.9 || got > 10.1 {
		t.Errorf("%v where there was 10: %v", got, b.sums)
	}
}

func TestTimesCountFromTheFaultAndWhatIsStillMissingIsSeen(t *testing.T) {
	const s = time.Second
	var f figures
	f.ofCrowd([]word{
		{At: 9 * s, Leaders: 3}, {At: 11 * s, Leaders: 0}, {At: 14 * s, Leaders: 1}, {At: 15 * s, Leaders: 2}, {At: 17 * s, Leaders: 3}, {At: 18 * s, Leaders: 3},
	}, 3, 10*s, 20*s)
	if f.most != 3 || !f.gone || f.first != 4*s || f.all != 7*s {
		t.Errorf("%+v", f)
	}
}

func TestACounterThatBeganAgainIsThatOfANewProcess(t *testing.T) {
	const s = time.Second
	r := &run{shape: shape{3, 3}, sampler: &sampler{pages: [][]page{{
		{At: 1 * s, PID: 1, Leads: true, Requests: map[string]float64{"Range": 100}},
		{At: 2 * s, PID: 1, Leads: true, Requests: map[string]float64{"Range": 150}},
		{At: 5 * s, PID: 2, Requests: map[string]float64{"Range": 7}},
		{At: 6 * s, PID: 2, Leads: true, Requests: map[string]float64{"Range": 9}, Changes: 1},
		{At: 7 * s, PID: 2, Requests: map[string]float64{"Range": 9}, Changes: 1},
		{At: 8 * s, PID: 2, Leads: true, Requests: map[string]float64{"Range": 9}, Changes: 2},
	}}}}
	f := r.figuresOf(1500*time.Millisecond, 4*s, 9*s)
	if got := f.requests.total(); got < 33.9 || got > 34.1 { // half of 50, and 9
		t.Errorf("%v requests", got)
	}
	if f.changes != 1 || f.down != 2*s {
		t.Errorf("etcd's leader changed %v times after it had been mended, and was away for %v", f.changes, f.down)
	}
}

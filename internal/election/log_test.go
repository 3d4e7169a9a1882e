package election

import (
	"testing"
	"time"
)

func TestAMessageIsLoggedOnceAndThenAtIntervals(t *testing.T) {
	var th throttle
	start := time.Now()
	for _, row := range []struct {
		message string
		after   time.Duration
		want    bool
	}{
		{"read tcp 127.0.0.1:1234->127.0.0.1:2379: reset", 0, true},
		{"read tcp 127.0.0.1:4321->127.0.0.1:2379: reset", time.Second, false},
		{"no answer", time.Second, true},
		{"read tcp 127.0.0.1:5678->127.0.0.1:2379: reset", repeatAfter, true},
	} {
		if got := th.allow(row.message, start.Add(row.after)); got != row.want {
			t.Errorf("%q after %v: %v", row.message, row.after, got)
		}
	}
	th.clear()
	if !th.allow("no answer", start.Add(time.Second)) {
		t.Error("trouble after all was well is no news")
	}
}

package election

import (
	"strings"
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
		{"xx xxxxxx", time.Second, true},
		{"read tcp 127.0.0.1:5678->127.0.0.1:2379: reset", repeatAfter - 1, false},
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

// What is remembered of messages that somebody else words has a bound.
func TestMessagesAreForgottenWhenThereAreMany(t *testing.T) {
	var th throttle
	now := time.Now()
	message := func(n int) string { return strings.Repeat("x", n) }
	for n := range 64 {
		if !th.allow(message(n), now) {
			t.Fatalf("message %d is taken for another", n)
		}
	}
	if th.allow(message(0), now) {
		t.Error("64 messages are not remembered")
	}
	if !th.allow(message(64), now) || !th.allow(message(0), now) || len(th.seen) != 2 {
		t.Errorf("%d messages are remembered", len(th.seen))
	}
}

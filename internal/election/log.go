package election

import (
	"strings"
	"sync"
	"time"
	"unicode"
)

// repeatAfter is how long a message that goes on being true stays quiet in the log.
const repeatAfter = time.Minute

// throttle lets each message through once, and again after repeatAfter. Safe for concurrent use.
type throttle struct {
	mu   sync.Mutex // guards seen, for a map access
	seen map[string]time.Time
}

// Numbers do not count: an error that names another port of ours each time says nothing new.
func (t *throttle) allow(message string, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	message = strings.Map(func(r rune) rune {
		if unicode.IsDigit(r) {
			return -1
		}
		return r
	}, message)
	if last, ok := t.seen[message]; ok && now.Sub(last) < repeatAfter {
		return false
	}
	if t.seen == nil || len(t.seen) >= 64 {
		t.seen = make(map[string]time.Time)
	}
	t.seen[message] = now
	return true
}

// clear forgets: things are well again, so the next trouble is news.
func (t *throttle) clear() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.seen = nil
}

package boottime

import (
	"testing"
	"time"
)

func TestABusyHostDoesNotLookSuspended(t *testing.T) {
	const suspended = 90 * time.Second
	for busy := range 9 { // the reading before which the process does not get to run
		var now time.Duration
		reads := 0
		at := func(offset time.Duration) func() time.Duration {
			return func() time.Duration {
				if now += time.Microsecond; reads == busy {
					now += 50 * time.Millisecond
				}
				reads++
				return now + offset
			}
		}
		if d := ahead(at(suspended), at(0)); d > suspended || d < suspended-time.Millisecond {
			t.Errorf("busy before reading %d, it looks suspended for %v, not %v", busy, d, suspended)
		}
	}
}

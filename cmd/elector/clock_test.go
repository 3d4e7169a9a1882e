package main

import (
	"testing"
	"time"

	"github.com/elector-dev/elector/internal/devetcd"
	"github.com/elector-dev/elector/internal/testenv"
)

// On a host that was never suspended the boot clock and the monotonic clock say the same, and an elector
// that counted on the wrong one would pass every other test. A time namespace tells the two apart: in
// it the boot clock alone is ahead, as if the host had been suspended for that long.
func TestExpiryCountsOnTheBootClockOfItsNamespace(t *testing.T) {
	testenv.TimeNS(t)
	e := startEtcd(t, devetcd.Options{})
	w := e.startUnder(t, []string{
		"unshare", "--time", "--boottime", "100000", "--fork", "--kill-child",
	}, "w1")
	const ahead = 100_000 * time.Second
	_, yes := leader(t, w)
	expires := time.Duration(yes.ExpiresBoottimeMs) * time.Millisecond
	at := expires - time.Duration(yes.ExpiresInMs)*time.Millisecond
	// Both were rounded down, each by less than a millisecond.
	if at < yes.sent+ahead-time.Millisecond || at > yes.received+ahead+time.Millisecond {
		t.Errorf("evaluated at %v, asked at %v and answered at %v in a namespace %v ahead", at, yes.sent, yes.received, ahead)
	}
}

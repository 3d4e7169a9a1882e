//go:build !linux

package boottime

import "time"

// started anchors the fallback.
var started = time.Now()

// Now returns the time since the process started, on Go's monotonic clock. Where the host can be
// suspended this clock may stop meanwhile, and the promise does not hold across a suspend.
func Now() time.Duration { return time.Since(started) }

// Suspended is not known here.
func Suspended() time.Duration { return 0 }

// BootID is empty: the readings of one process mean nothing to another.
func BootID() string { return "" }

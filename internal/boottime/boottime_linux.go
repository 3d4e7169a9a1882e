package boottime

import (
	"time"

	"golang.org/x/sys/unix"
)

// Now returns the time since the host booted, suspend included. It does not block and cannot fail on a
// kernel that Go supports.
func Now() time.Duration { return read(unix.CLOCK_BOOTTIME) }

// Suspended returns how long the host has been suspended since it booted: what the boot clock counts
// and the monotonic clock does not.
func Suspended() time.Duration {
	mono := read(unix.CLOCK_MONOTONIC)
	return max(0, read(unix.CLOCK_BOOTTIME)-mono)
}

func read(clock int32) time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(clock, &ts); err != nil {
		panic("read the boot clock: " + err.Error())
	}
	return time.Duration(ts.Nano())
}

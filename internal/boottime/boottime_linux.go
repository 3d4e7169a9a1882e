package boottime

import (
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Now returns the time since the host booted, suspend included. It does not block and cannot fail on a
// kernel that Go supports.
func Now() time.Duration { return read(unix.CLOCK_BOOTTIME) }

// Suspended returns how long the host has been suspended since it booted: what the boot clock counts
// and the monotonic clock does not.
func Suspended() time.Duration {
	return ahead(func() time.Duration { return read(unix.CLOCK_BOOTTIME) }, func() time.Duration { return read(unix.CLOCK_MONOTONIC) })
}

// ahead returns by how much one clock is ahead of another of the same rate. The two are read one after the other, and on
// a busy host much may pass between; so what a pair of readings says is never too much, and the greatest of a few is
// the nearest.
func ahead(first, second func() time.Duration) (d time.Duration) {
	for range 5 {
		d = max(d, first()-second())
	}
	return d
}

// BootID is the kernel's random name for this boot of the host; readings of the clock in different boots do not
// compare. It is empty, and so names no boot, where it cannot be read.
func BootID() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
}

func read(clock int32) time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(clock, &ts); err != nil {
		panic("read the boot clock: " + err.Error())
	}
	return time.Duration(ts.Nano())
}

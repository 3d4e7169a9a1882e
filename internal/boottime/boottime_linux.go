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
	mono := read(unix.CLOCK_MONOTONIC)
	return max(0, read(unix.CLOCK_BOOTTIME)-mono)
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

// Package boottime reads the clock that lease instants are counted on: CLOCK_BOOTTIME, which goes on
// while the host is suspended. Go's monotonic clock (CLOCK_MONOTONIC) stops then, so a process that
// used it would believe for the length of a suspend that its lease had not run out.
package boottime

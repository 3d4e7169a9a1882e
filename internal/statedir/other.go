//go:build !linux

package statedir

import (
	"errors"
	"time"

	"github.com/elector-dev/elector/internal/election"
)

// Self is whose state it is.
type Self struct {
	Prefix, Election, Identity, Incarnation string
	AnswerMax                               time.Duration
}

// Dir is never made on this system.
type Dir struct{}

// Open refuses: what the package rests on is known of Linux alone.
func Open(string, Self) (*Dir, election.Past, error) {
	return nil, election.Past{}, errors.New("--state-dir needs Linux: leave it out")
}

// Check refuses as Open does.
func Check(string) error {
	_, _, err := Open("", Self{})
	return err
}

// Candidacy implements election.Journal.
func (*Dir) Candidacy(election.Candidacy) error { return nil }

// Seen implements election.Journal.
func (*Dir) Seen(election.Mark) error { return nil }

// Fenced implements election.Journal.
func (*Dir) Fenced(election.Cause) error { return nil }

// Work does nothing.
func (*Dir) Work(int) error { return nil }

// Drain does nothing.
func (*Dir) Drain(string) error { return nil }

// Undrain does nothing.
func (*Dir) Undrain() error { return nil }

// Drained reports that it is not out.
func (*Dir) Drained() (reason string, drained bool) { return "", false }

// Close does nothing.
func (*Dir) Close() {}

//go:build !linux

package work

import (
	"errors"
	"io"

	"github.com/elector-dev/elector/internal/election"
)

// errNoGuard: see package process.
var errNoGuard = errors.New("commands are run on Linux only, where the kernel ends them with the elector")

type guard struct{ gone chan struct{} }

func startGuard(ChildConfig, int) (*guard, error) { return nil, errNoGuard }
func (g *guard) until(election.Instant) error     { return nil }
func (g *guard) dismiss()                         {}

// Guard guards nothing here.
func Guard(io.Reader, string) error { return errNoGuard }

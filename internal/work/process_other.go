//go:build !linux

package work

import (
	"errors"
	"io"
	"syscall"
	"time"

	"github.com/elector-dev/elector/internal/election"
)

// errNoGuard: elsewhere a command cannot be tied to the elector's life, so none is run.
var errNoGuard = errors.New("commands are run on Linux only, where the kernel ends them with the elector")

type process struct{ exited chan struct{} }

func start(ChildConfig, []string) (*process, error) { return nil, errNoGuard }

func (p *process) group() int                               { return 0 }
func (p *process) signal(syscall.Signal)                    {}
func (p *process) stop(syscall.Signal, time.Duration, bool) {}
func (p *process) status() int                              { return 0 }

type guard struct{ gone chan struct{} }

func startGuard(ChildConfig, int) (*guard, error) { return nil, errNoGuard }
func (g *guard) until(election.Instant)           {}
func (g *guard) dismiss()                         {}

// Guard guards nothing here.
func Guard(io.Reader, string) error { return errNoGuard }

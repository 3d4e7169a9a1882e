//go:build !linux

package process

import (
	"context"
	"errors"
	"syscall"
	"time"
)

// errNotHere: elsewhere a command cannot be tied to the elector's life, so none is run.
var errNotHere = errors.New("commands are run on Linux only, where the kernel ends them with the elector")

// Process is never made here.
type Process struct{ exited chan struct{} }

// Start fails here.
func Start(Spec) (*Process, error) { return nil, errNotHere }

// Group is the process group's number.
func (p *Process) Group() int { return 0 }

// Exited is closed when the command has ended.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// Status is the exit status.
func (p *Process) Status() int { return 0 }

// Signal does nothing here.
func (p *Process) Signal(syscall.Signal) {}

// End does nothing here.
func (p *Process) End(syscall.Signal, time.Duration) {}

// Run fails here.
func Run(context.Context, Spec) (string, int, error) { return "", 0, errNotHere }

package havoc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/elector-dev/elector/internal/devetcd/proc"
)

// slice is the time over which Starve keeps the share: short beside every timeout of elector and etcd, long
// beside what stopping and continuing costs.
const slice = 100 * time.Millisecond

// Starve lets the process run only that share of the time, 0 < share < 1, by stopping and continuing it. It
// wakes one that was stopped by somebody else.
func Starve(ctx context.Context, pid int, share float64) (Undo, error) {
	if share <= 0 || share >= 1 {
		return nil, fmt.Errorf("starve process %d: a share of %v is not between 0 and 1", pid, share)
	}
	p, err := os.FindProcess(pid)
	if err == nil {
		err = p.Signal(syscall.SIGSTOP)
	}
	if err != nil {
		return nil, fmt.Errorf("starve process %d: %w", pid, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	result := make(chan error, 1)
	go func() { result <- starve(ctx, p, time.Duration(share*float64(slice))) }()
	return sync.OnceValue(func() error {
		cancel()
		return <-result
	}), nil
}

// starve continues and stops a stopped process until the context ends or the process has, and leaves it
// running.
func starve(ctx context.Context, p *os.Process, run time.Duration) error {
	timer := time.NewTimer(slice - run)
	defer timer.Stop()
	var err error
	for running := false; err == nil; running = !running {
		select {
		case <-ctx.Done():
			err = p.Signal(syscall.SIGCONT)
			return settle(p, err)
		case <-timer.C:
		}
		if running {
			err = p.Signal(syscall.SIGSTOP)
			timer.Reset(slice - run)
		} else {
			err = p.Signal(syscall.SIGCONT)
			timer.Reset(run)
		}
	}
	return settle(p, err)
}

// settle lets go of a process. That it has ended is no error.
func settle(p *os.Process, err error) error {
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	if err != nil {
		err = fmt.Errorf("starve process %d: %w", p.Pid, err)
	}
	return errors.Join(err, p.Release())
}

// Busy runs n processes that compute for nothing, so that the machine is short of processors. They die with
// this process.
func Busy(ctx context.Context, n int) (Undo, error) {
	var burners []*proc.Process
	end := func() error {
		var errs []error
		for _, b := range burners {
			errs = append(errs, b.Kill())
		}
		return errors.Join(errs...)
	}
	for range n {
		b, err := proc.Start(exec.Command("sh", "-c", "while :; do :; done"))
		if err != nil {
			return nil, errors.Join(fmt.Errorf("keep processors busy: %w", err), end())
		}
		burners = append(burners, b)
	}
	return undoing(ctx, end), nil
}

package havoc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// LimitFiles lets the process open no more files and connections: its limit becomes the least number that no
// descriptor of its has, and a new one would be given that. When it closes some, it may use their numbers
// again.
func LimitFiles(ctx context.Context, pid int) (Undo, error) {
	p, err := os.FindProcess(pid)
	if err != nil {
		return nil, fmt.Errorf("limit open files of process %d: %w", pid, err)
	}
	var old unix.Rlimit
	free, err := freeDescriptor(pid)
	if err == nil {
		err = limitFiles(p, nil, &old)
	}
	if err == nil {
		err = limitFiles(p, &unix.Rlimit{Cur: min(free, old.Cur), Max: old.Max}, nil)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("limit open files of process %d: %w", pid, err), p.Release())
	}
	return undoing(ctx, func() error {
		err := limitFiles(p, &old, nil)
		if errors.Is(err, os.ErrProcessDone) || errors.Is(err, unix.ESRCH) {
			err = nil
		}
		if err != nil {
			err = fmt.Errorf("restore the limit of open files of process %d: %w", pid, err)
		}
		return errors.Join(err, p.Release())
	}), nil
}

// limitFiles sets the limit, reads it, or both. The call knows processes by number only, so it is asked first
// whether this one lives: numbers are given again only after all others were.
func limitFiles(p *os.Process, limit, old *unix.Rlimit) error {
	if err := p.Signal(syscall.Signal(0)); err != nil {
		return err
	}
	return unix.Prlimit(p.Pid, unix.RLIMIT_NOFILE, limit, old)
}

// freeDescriptor returns the least number that is not that of an open file of the process.
func freeDescriptor(pid int) (uint64, error) {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return 0, err
	}
	taken := map[string]bool{}
	for _, e := range entries {
		taken[e.Name()] = true
	}
	free := uint64(0)
	for taken[strconv.FormatUint(free, 10)] {
		free++
	}
	return free, nil
}

package main

import (
	"context"
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// keyWait bounds one wait for a key, in milliseconds: a read could not be called off.
const keyWait = 100

// Keys without a letter.
const (
	ctrlC = 3
	ctrlD = 4
)

// readKeys passes on what is typed until the context ends, or the input does.
func readKeys(ctx context.Context, stdin *os.File, keys chan<- byte) error {
	fds := []unix.PollFd{{Fd: int32(stdin.Fd()), Events: unix.POLLIN}}
	for ctx.Err() == nil {
		n, err := unix.Poll(fds, keyWait)
		if n == 0 || errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		var buf [16]byte
		n, err = stdin.Read(buf[:])
		if errors.Is(err, io.EOF) {
			return errQuit // the terminal is gone
		}
		if err != nil {
			return err
		}
		for _, k := range buf[:n] {
			select {
			case keys <- k:
			case <-ctx.Done():
			}
		}
	}
	return context.Cause(ctx)
}

// press does what a key stands for and returns the target that is chosen from then on. Keys that mean
// nothing, such as Enter, do nothing.
func press(key byte, chosen int, targets []target) (int, error) {
	e := targets[chosen]
	switch key {
	case '1', '2', '3', '4', '5', '6':
		return min(int(key-'1'), len(targets)-1), nil
	case 's':
		return chosen, e.stop()
	case 'k':
		return chosen, e.kill()
	case 'f':
		if e.frozen() {
			return chosen, e.thaw()
		}
		return chosen, e.freeze()
	case 'c':
		if err := e.cut(!e.isCut()); err != errNoWay { // which the key means nothing for
			return chosen, err
		}
	case 'r':
		return chosen, e.start() // nothing if it runs
	case 'q', ctrlC, ctrlD:
		return chosen, errQuit
	}
	return chosen, nil
}

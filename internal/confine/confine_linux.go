package confine

import (
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// Memory keeps this process's memory from core dumps, those that are piped to a program included, and from other
// processes of the same user (ptrace(2), /proc/PID/mem, /proc/PID/environ). Who may trace any process still can. Commands
// that are started later are as they would be otherwise: the kernel gives a program that is executed a new memory.
func Memory() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("keep the memory to this process: %w", err)
	}
	return nil
}

// Rights sets no_new_privs, so that neither this process nor any command that it starts gains rights by executing a
// set-user-ID file or one with capabilities, and a core limit of 0, which commands have too, and may raise.
//
// Without cgo only, as the Makefile builds: what belongs to each thread cannot be set for those of C.
func Rights() error {
	var limit unix.Rlimit
	err := unix.Getrlimit(unix.RLIMIT_CORE, &limit)
	if err == nil {
		limit.Cur = 0
		err = unix.Setrlimit(unix.RLIMIT_CORE, &limit)
	}
	if err != nil {
		err = fmt.Errorf("limit core dumps: %w", err)
	}
	if _, _, e := syscall.AllThreadsSyscall6(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0); e != 0 {
		err = errors.Join(err, fmt.Errorf("set no_new_privs: %w", e))
	}
	return err
}

package proc

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// attributes gives the child its own process group and the kernel's parent-death signal, which ends
// frozen children too. The signal is tied to the thread that forked; Go's threads end before their
// process only when a goroutine exits while locked to one, which nothing here does.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// awaitHalt waits until a child that was sent SIGSTOP has stopped or ended: kill(2) returns while the
// child's threads still run on other processors. WNOWAIT leaves the reaping to whoever waits for it.
func awaitHalt(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WSTOPPED|unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

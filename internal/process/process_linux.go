package process

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Process is a command that runs. Its methods may be called concurrently, but for End.
type Process struct {
	pid    int
	exited chan struct{} // closed when the command itself has been reaped
	status int           // then: its exit status
}

// Start starts a command in a process group of its own. The kernel kills the command when this process dies, in
// whatever way: that is tied to the thread that started it (prctl(2), PR_SET_PDEATHSIG), which therefore waits for it.
// The caller ends it with End. The errors are those of exec.Cmd.Start.
func Start(spec Spec) (*Process, error) {
	// What the command leaves behind comes to this process, which can reap it, and not to one that may not.
	_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
	cmd := exec.Command(spec.Argv[0], spec.Argv[1:]...)
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = spec.Env, spec.Stdin, spec.Stdout, spec.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	p := &Process{exited: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine, after the command
		err := cmd.Start()
		if err == nil {
			p.pid = cmd.Process.Pid
		}
		started <- err
		if err != nil {
			return
		}
		_ = cmd.Wait() // how it ended is in its state
		p.status = exitStatus(cmd)
		close(p.exited)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// Group is the number of the process group, which is the command's own.
func (p *Process) Group() int { return p.pid }

// Exited is closed when the command itself has ended. Others of its group may be left.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// Status is the command's exit status once it has ended: its number, or 128 and the signal that ended it.
func (p *Process) Status() int { return p.status }

// Signal sends a signal to the whole group.
func (p *Process) Signal(s syscall.Signal) { _ = unix.Kill(-p.pid, s) }

// left reports whether anything of the group is left, having reaped what has ended of it.
func (p *Process) left() bool {
	for {
		pid, err := unix.Wait4(-p.pid, nil, unix.WNOHANG, nil)
		if errors.Is(err, unix.EINTR) || err == nil && pid > 0 {
			continue
		}
		break
	}
	return !errors.Is(unix.Kill(-p.pid, 0), unix.ESRCH)
}

// groupEvery is how often the group's end is looked for: the kernel tells only of the command's own.
const groupEvery = 2 * time.Millisecond

// End sends the group a signal and, when grace is over, SIGKILL until it has ended; with no grace SIGKILL alone. It
// returns when nothing of the group is left, whatever its members make of signals.
func (p *Process) End(s syscall.Signal, grace time.Duration) {
	deadline := time.Now().Add(grace)
	if grace > 0 {
		p.Signal(s)
	}
	look := time.NewTicker(groupEvery)
	defer look.Stop()
	for p.running() || p.left() {
		if !time.Now().Before(deadline) {
			p.Signal(syscall.SIGKILL)
		}
		<-look.C
	}
}

// reapDaemons reaps what earlier commands have left in sessions of their own, which comes to this process in the end and
// is waited for by nobody. What this process starts itself is in its own session, but for a command's guard, of whose
// status nobody wants to know.
func reapDaemons() {
	own, err := unix.Getsid(0)
	if err != nil {
		return
	}
	threads, _ := filepath.Glob("/proc/self/task/*/children") // the pattern is a good one
	for _, path := range threads {
		children, _ := os.ReadFile(path) // of a thread that has ended there are none
		for _, child := range strings.Fields(string(children)) {
			pid, err := strconv.Atoi(child)
			if err != nil {
				continue
			}
			if session, err := unix.Getsid(pid); err == nil && session != own {
				_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil) // one that lives is left alone
			}
		}
	}
}

// running reports whether the command itself has not been reaped, which the goroutine of Start does.
func (p *Process) running() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// Run runs a command to its end, or kills its group when ctx ends. What the command leaves of its group is killed too.
// It returns the last of what the command wrote, and how it ended: 0, or as Status has it. The error says why it could
// not be started, or is ctx's cause if it was killed for that. spec's Stdout and Stderr are not used.
func Run(ctx context.Context, spec Spec) (output string, status int, err error) {
	r, w, err := os.Pipe()
	if err != nil {
		return "", 0, err
	}
	defer r.Close()
	spec.Stdout, spec.Stderr = w, w
	p, err := Start(spec)
	_ = w.Close() // the command has its own
	if err != nil {
		return "", 0, err
	}
	var last tail
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = io.Copy(&last, r)
	}()
	select {
	case <-p.Exited():
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	p.End(syscall.SIGKILL, 0)
	reapDaemons()
	_ = r.SetReadDeadline(time.Now().Add(lateOutput)) // for one that has left the group and holds the pipe
	<-read
	return last.String(), p.Status(), err
}

// lateOutput is how long output is waited for when all of the group has ended.
const lateOutput = 100 * time.Millisecond

package work

import (
	"errors"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// process is a command in a process group of its own.
type process struct {
	pid    int
	exited chan struct{} // closed when the command itself has been reaped
	code   int           // then: its exit status
}

// start starts the command. The kernel kills it when this process dies, in whatever way: that is tied to the thread
// that started it (prctl(2), PR_SET_PDEATHSIG), which therefore waits for it.
func start(cfg ChildConfig, env []string) (*process, error) {
	// What the command leaves behind comes to this process, which can reap it, and not to one that may not.
	_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
	cmd := exec.Command(cfg.Argv[0], cfg.Argv[1:]...)
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = env, cfg.Stdin, cfg.Stdout, cfg.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	p := &process{exited: make(chan struct{})}
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
		p.code = exitStatus(cmd)
		close(p.exited)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

func (p *process) group() int { return p.pid }

// signal sends a signal to the whole group.
func (p *process) signal(s syscall.Signal) { _ = unix.Kill(-p.pid, s) }

// left reports whether anything of the group is left, having reaped what has ended of it.
func (p *process) left() bool {
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

// stop ends the group: asked, it gets its signal and the time that it needs; else it is killed at once. It returns
// when nothing is left.
func (p *process) stop(s syscall.Signal, grace time.Duration, asked bool) {
	deadline := time.Now()
	if asked {
		p.signal(s)
		deadline = deadline.Add(grace)
	}
	look := time.NewTicker(groupEvery)
	defer look.Stop()
	for p.running() || p.left() {
		if !time.Now().Before(deadline) {
			p.signal(syscall.SIGKILL)
		}
		<-look.C
	}
}

// running reports whether the command itself has not been reaped, which the goroutine of start does.
func (p *process) running() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// status is the command's exit status, after it has ended.
func (p *process) status() int { return p.code }

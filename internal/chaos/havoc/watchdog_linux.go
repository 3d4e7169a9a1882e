package havoc

import (
	"fmt"
	"io"
	"os/exec"
	"syscall"
	"time"
)

// watchdog is a shell script that goes on when this process has died. Its standard input ends when this process
// does, though not before each thread of it has, and one may be waiting for a frozen disk.
type watchdog struct {
	cmd   *exec.Cmd
	input io.Closer
	done  chan struct{} // closed once it has ended; err is set then
	err   error
}

func watch(script string, args ...string) (*watchdog, error) {
	w := &watchdog{cmd: exec.Command("sh", append([]string{"-c", script, "sh"}, args...)...), done: make(chan struct{})}
	w.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // out of reach of Ctrl-C, and a group of its own
	var err error
	if w.input, err = w.cmd.StdinPipe(); err == nil {
		err = w.cmd.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("start a watchdog: %w", err)
	}
	go func() {
		defer close(w.done)
		w.err = w.cmd.Wait()
	}()
	return w, nil
}

func (w *watchdog) ended() bool {
	select {
	case <-w.done:
		return true
	default:
		return false
	}
}

// release ends its input and waits until it has done what it does then, but not for ever.
func (w *watchdog) release() error {
	_ = w.input.Close()
	late := time.AfterFunc(commandTime, w.kill)
	defer late.Stop()
	<-w.done
	return w.err
}

// kill ends it, with its children, before it does anything more. It may have ended.
func (w *watchdog) kill() {
	if !w.ended() {
		_ = syscall.Kill(-w.cmd.Process.Pid, syscall.SIGKILL)
	}
	<-w.done
}

package proc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// Process is a started child. All methods are safe for concurrent use.
type Process struct {
	cmd   *exec.Cmd
	stdin io.Closer
	done  chan struct{} // closed once the child has been reaped

	mu     sync.Mutex // guards paused, and orders Pause and Resume; held while a child comes to a halt
	paused bool
}

// Start starts cmd and reaps it when it ends. It takes over the command's standard input, which stays
// open and silent for as long as this process lives, and its SysProcAttr. The child's output goes
// where the command says; use files or nil for it, since a pipe that a grandchild holds delays Done.
func Start(cmd *exec.Cmd) (*Process, error) {
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("open standard input of %s: %w", cmd.Path, err)
	}
	cmd.SysProcAttr = attributes()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	p := &Process{cmd: cmd, stdin: stdin, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		_ = cmd.Wait() // how it ended is in ProcessState
	}()
	return p, nil
}

// PID returns the child's process id. It keeps its value after the child has ended.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done returns a channel that is closed when the child has ended and been reaped.
func (p *Process) Done() <-chan struct{} { return p.done }

// Ended reports whether the child has ended and been reaped.
func (p *Process) Ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// Exit says how the child ended, such as "exit status 1"; it is empty while the child runs.
func (p *Process) Exit() string {
	if !p.Ended() {
		return ""
	}
	return p.cmd.ProcessState.String()
}

// ExitCode returns the child's exit status; -1 while it runs and after an end by a signal.
func (p *Process) ExitCode() int {
	if !p.Ended() {
		return -1
	}
	return p.cmd.ProcessState.ExitCode()
}

// Paused reports whether Pause was called last, and not Resume.
func (p *Process) Paused() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.paused && !p.Ended()
}

// Pause freezes the child with SIGSTOP. On Linux it returns once every thread has come to a halt.
func (p *Process) Pause() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.signal(syscall.SIGSTOP); err != nil {
		return err
	}
	p.paused = true
	awaitHalt(p.PID())
	return nil
}

// Resume lets a frozen child go on with SIGCONT; a running child does not notice.
func (p *Process) Resume() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.paused = false
	return p.signal(syscall.SIGCONT)
}

// Kill ends the child with SIGKILL, frozen or not, and returns once it has been reaped. It is not an
// error if the child has ended already.
func (p *Process) Kill() error {
	if err := p.signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-p.done
	return nil
}

// Terminate asks the child to end, with SIGTERM, and returns at once. A frozen child is resumed, since
// it could not hear otherwise. It is not an error if the child has ended already.
func (p *Process) Terminate() error {
	err := p.signal(syscall.SIGTERM)
	if err == nil && p.Paused() {
		err = p.Resume()
	}
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// dumping bounds the wait for what a child that hangs writes about its goroutines.
const dumping = 5 * time.Second

// Stop terminates the child and waits for it. When the context ends first the child is ended, and the
// error says so; by SIGQUIT first, on which a Go program writes where its goroutines are.
func (p *Process) Stop(ctx context.Context) error {
	if err := p.Terminate(); err != nil {
		return err
	}
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		if err := p.signal(syscall.SIGQUIT); err == nil {
			select {
			case <-p.done:
			case <-time.After(dumping):
			}
		}
		return errors.Join(fmt.Errorf("process %d ignored SIGTERM and was killed: %w", p.PID(), context.Cause(ctx)), p.Kill())
	}
}

func (p *Process) signal(s syscall.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil {
		return fmt.Errorf("send %v to process %d: %w", s, p.PID(), err)
	}
	return nil
}

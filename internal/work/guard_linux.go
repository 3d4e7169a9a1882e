package work

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/elector-dev/elector/internal/boottime"
	"github.com/elector-dev/elector/internal/election"
)

// guard is the process that kills a command when the elector is frozen, dead, or too late.
type guard struct {
	cmd  *exec.Cmd
	pipe *os.File
	last election.Instant
	gone chan struct{} // closed when it has ended
}

// startGuard starts one, in a session of its own so that no signal to the elector's group reaches it.
func startGuard(cfg ChildConfig, group int) (*guard, error) {
	g := &guard{gone: make(chan struct{})}
	g.cmd = exec.Command(cfg.Guard[0], append(cfg.Guard[1:], strconv.Itoa(group))...)
	g.cmd.Env = append(append([]string(nil), cfg.Env...), "GOMAXPROCS=1", "GOGC=20")
	g.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	stdin, pipe, err := os.Pipe()
	if err != nil {
		close(g.gone)
		return g, fmt.Errorf("guard the command: %w", err)
	}
	g.cmd.Stdin = stdin
	err = g.cmd.Start()
	_ = stdin.Close() // the guard has its own
	if err != nil {
		_ = pipe.Close()
		close(g.gone)
		return g, fmt.Errorf("guard the command: %w", err)
	}
	g.pipe = pipe
	go func() {
		defer close(g.gone)
		_, _ = g.cmd.Process.Wait() // package process may have reaped it
	}()
	return g, nil
}

// until tells the guard when the command must have ended, if that has moved. The error says that it has not listened for
// so long that the pipe is full.
func (g *guard) until(end election.Instant) error {
	if end == 0 || end == g.last {
		return nil
	}
	g.last = end
	if err := g.write(strconv.FormatInt(int64(end), 10)); errors.Is(err, os.ErrDeadlineExceeded) {
		return errors.New("the process that guards the command stands still, so the command is killed")
	}
	return nil // one that has ended is found by gone
}

// write does not wait for a guard that is frozen. A line is written whole or not at all.
func (g *guard) write(line string) error {
	_ = g.pipe.SetWriteDeadline(time.Now().Add(guardEvery)) // a pipe has deadlines
	_, err := io.WriteString(g.pipe, line+"\n")
	return err
}

// dismiss ends the guard once nothing is left to guard, and waits for its end. The key waits for that too, so a frozen
// one is killed.
func (g *guard) dismiss() {
	if g.pipe == nil {
		return
	}
	_ = g.write("done")
	_ = g.pipe.Close()
	select {
	case <-g.gone:
	case <-time.After(guardLeaves):
		_ = g.cmd.Process.Kill()
		<-g.gone
	}
}

// guardLeaves is how long a guard may take to end when it is dismissed.
const guardLeaves = time.Second

// guardPulse is how late a guard may find a deadline passed after the host was suspended, while timers stand still.
const guardPulse = 50 * time.Millisecond

// Guard is the guard's side: it reads lines from r, each an instant of the boot clock at which the process group
// must have ended, and kills the group when the last of them comes, or at once when r ends without "done".
// It returns when r has ended. group is the group's number as text.
func Guard(r io.Reader, group string) error {
	pgid, err := strconv.Atoi(group)
	if err != nil || pgid <= 1 {
		return fmt.Errorf("%q is no process group", group)
	}
	lines := make(chan string)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(r); s.Scan(); {
			lines <- strings.TrimSpace(s.Text())
		}
	}()
	kill := func() { _ = unix.Kill(-pgid, syscall.SIGKILL) }
	pulse := time.NewTicker(guardPulse)
	defer pulse.Stop()
	due := time.NewTimer(time.Hour)
	defer due.Stop()
	var end time.Duration // 0: none has been told yet
	for {
		select {
		case line, ok := <-lines:
			switch ns, err := strconv.ParseInt(line, 10, 64); {
			case !ok:
				kill()
				return nil
			case line == "done":
				return nil
			case err == nil && ns > 0:
				end = time.Duration(ns)
				due.Reset(end - boottime.Now())
			}
		case <-due.C:
		case <-pulse.C:
		}
		if end > 0 && boottime.Now() >= end {
			kill()
		}
	}
}

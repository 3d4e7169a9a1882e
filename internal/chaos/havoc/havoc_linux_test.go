package havoc

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/elector-dev/elector/internal/devetcd"
	"github.com/elector-dev/elector/internal/devetcd/proc"
)

// roleEnv makes a child of this test one that is hurt, or one that dies.
const roleEnv = "HAVOC_TEST_ROLE"

func TestMain(m *testing.M) {
	devetcd.MaybeRunMember()
	switch os.Getenv(roleEnv) {
	case "open":
		openFiles()
	case "disk":
		freezeDisk()
	}
	goleak.VerifyTestMain(m)
}

// openFiles opens a file for every line that it reads, keeps it, and says how that went.
func openFiles() {
	var kept []*os.File
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		f, err := os.Open(os.DevNull)
		fmt.Println(err)
		kept = append(kept, f)
	}
	runtime.KeepAlive(kept) // or they are closed when they are collected
	os.Exit(0)
}

// child is this test once more, in a role.
type child struct {
	*exec.Cmd
	t   *testing.T
	in  *os.File
	out *bufio.Reader
}

func startChild(t *testing.T, role string, args ...string) *child {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	inR, inW, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	outR, outW, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c := &child{Cmd: exec.Command(exe, args...), t: t, in: inW, out: bufio.NewReader(outR)}
	c.Env = append(os.Environ(), roleEnv+"="+role)
	c.Stdin, c.Stdout, c.Stderr = inR, outW, os.Stderr
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	inR.Close()
	outW.Close()
	if err := outR.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		inW.Close()
		_ = c.Process.Kill()
		_ = c.Wait()
		outR.Close()
	})
	return c
}

// ask sends a line and returns the answer.
func (c *child) ask() string {
	c.t.Helper()
	fmt.Fprintln(c.in)
	return c.answer()
}

func (c *child) answer() string {
	c.t.Helper()
	line, err := c.out.ReadString('\n')
	if err != nil {
		c.t.Fatalf("the child ended or fell silent: %v", err)
	}
	return strings.TrimSpace(line)
}

// stat returns the state of a process, such as "T" for stopped, and the processor time that it has used.
func stat(t *testing.T, pid int) (state string, used time.Duration) {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	// After the name, which is in brackets: state is field 3 of proc_pid_stat(5), utime and stime 14 and 15.
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	for _, i := range []int{11, 12} {
		ticks, err := strconv.Atoi(fields[i])
		if err != nil {
			t.Fatal(err)
		}
		used += time.Duration(ticks) * 10 * time.Millisecond
	}
	return fields[0], used
}

// eventually asks until it is so, for ten seconds.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	limit := time.After(10 * time.Second)
	for tick := time.NewTicker(2 * time.Millisecond); !so(); {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatal("it did not happen that " + what)
		}
	}
}

// burner is a process that takes all the processor time that it is given.
func burner(t *testing.T) *proc.Process {
	t.Helper()
	p, err := proc.Start(exec.Command("sh", "-c", "while :; do :; done"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Kill() })
	return p
}

func TestAStarvedProcessRunsOnlyItsShareOfTheTime(t *testing.T) {
	p := burner(t)
	undo, err := Starve(t.Context(), p.PID(), 0.1)
	if err != nil {
		t.Fatal(err)
	}
	// Looked at, not measured by the time that it used: others may want the processor as well.
	stopped, looks := 0, 0
	over := time.After(2 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for sampling := true; sampling; {
		select {
		case <-tick.C:
			if state, _ := stat(t, p.PID()); state == "T" {
				stopped++
			}
			looks++
		case <-over:
			sampling = false
		}
	}
	if stopped < looks*3/4 || stopped == looks {
		t.Errorf("it was stopped at %d of %d looks, and was to be at nine tenths", stopped, looks)
	}
	for range 2 {
		if err := undo(); err != nil {
			t.Fatal(err)
		}
	}
	awaitRunning(t, p)
}

// awaitRunning makes sure that a process is not stopped and uses time.
func awaitRunning(t *testing.T, p *proc.Process) {
	t.Helper()
	_, from := stat(t, p.PID())
	eventually(t, "the process runs on", func() bool {
		state, used := stat(t, p.PID())
		if state == "T" {
			t.Fatal("the process is stopped")
		}
		return used > from+200*time.Millisecond
	})
}

func TestStarvingEndsWithItsContext(t *testing.T) {
	p := burner(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	undo, err := Starve(ctx, p.PID(), 0.01)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is stopped", func() bool { state, _ := stat(t, p.PID()); return state == "T" })
	cancel()
	eventually(t, "it is not stopped", func() bool { state, _ := stat(t, p.PID()); return state != "T" })
	awaitRunning(t, p)
	if err := undo(); err != nil {
		t.Error(err)
	}
}

func TestStarvingAProcessThatEndsIsNoError(t *testing.T) {
	p := burner(t)
	undo, err := Starve(t.Context(), p.PID(), 0.5)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := undo(); err != nil {
		t.Errorf("undo after its end: %v", err)
	}
	if _, err := Starve(t.Context(), p.PID(), 0.5); err == nil {
		t.Error("a process that is not there was starved")
	}
}

func TestBusyProcessesUseProcessorTimeUntilTheyEnd(t *testing.T) {
	undo, err := Busy(t.Context(), 2)
	if err != nil {
		t.Fatal(err)
	}
	<-time.After(500 * time.Millisecond) // what is measured is what they use in a time
	before := childrenTime(t)
	if err := undo(); err != nil {
		t.Fatal(err)
	}
	if used := childrenTime(t) - before; used < 100*time.Millisecond {
		t.Errorf("they used %v in half a second", used)
	}
}

// childrenTime is the processor time of the children that have ended.
func childrenTime(t *testing.T) time.Duration {
	t.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_CHILDREN, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func TestAProcessWithoutDescriptorsOpensNothing(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(cancel context.CancelFunc, undo Undo) error
	}{
		{"until it is undone", func(_ context.CancelFunc, undo Undo) error { return errors.Join(undo(), undo()) }},
		{"until its context ends", func(cancel context.CancelFunc, _ Undo) error { cancel(); return nil }},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := startChild(t, "open")
			if said := p.ask(); said != "<nil>" {
				t.Fatalf("before the limit: %s", said)
			}
			var old, now unix.Rlimit
			if err := unix.Prlimit(p.Process.Pid, unix.RLIMIT_NOFILE, nil, &old); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			undo, err := LimitFiles(ctx, p.Process.Pid)
			if err != nil {
				t.Fatal(err)
			}
			for range 3 {
				if said := p.ask(); !strings.Contains(said, "too many open files") {
					t.Errorf("at the limit: %s", said)
				}
			}
			if err := c.end(cancel, undo); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the limit is the old one", func() bool {
				return unix.Prlimit(p.Process.Pid, unix.RLIMIT_NOFILE, nil, &now) == nil && now == old
			})
			if said := p.ask(); said != "<nil>" {
				t.Errorf("after the limit: %s", said)
			}
			if err := undo(); err != nil {
				t.Error(err)
			}
		})
	}
}

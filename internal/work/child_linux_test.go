package work

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/elector-dev/elector/internal/boottime"
	"github.com/elector-dev/elector/internal/election"
)

// asGuard makes this test binary guard a command.
const asGuard = "ELECTOR_TEST_AS_GUARD"

func init() { // before goleak's TestMain, which this process is not for
	if os.Getenv(asGuard) != "" && len(os.Args) == 2 {
		if err := Guard(os.Stdin, os.Args[1]); err != nil {
			os.Exit(2)
		}
		os.Exit(0)
	}
}

// bootClock is the real one: commands do not live in a bubble.
type bootClock struct{}

func (bootClock) Now() election.Instant { return election.Instant(boottime.Now()) }

// kept is a writer that may be read meanwhile.
type kept struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (k *kept) Write(b []byte) (int, error) { k.mu.Lock(); defer k.mu.Unlock(); return k.text.Write(b) }
func (k *kept) String() string              { k.mu.Lock(); defer k.mu.Unlock(); return k.text.String() }

// newTestChild runs a shell script, whose output goes to the returned file.
func newTestChild(t *testing.T, script string, change func(*ChildConfig)) (*Child, string) {
	t.Helper()
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { out.Close() })
	far := election.Instant(boottime.Now() + time.Hour)
	cfg := ChildConfig{
		Argv: []string{"/bin/sh", "-c", script}, Env: append(os.Environ(), asGuard+"=1"), Stdout: out, Stderr: out,
		Stop: syscall.SIGTERM, Grace: 10 * time.Second, Restart: RestartNever, Guard: []string{os.Args[0]},
		WorkEnd: func() election.Instant { return far }, Clock: bootClock{}, Logger: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&cfg)
	}
	return NewChild(cfg), out.Name()
}

// says waits until the script has written a text.
func says(t *testing.T, file, text string) string {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for limit := time.After(30 * time.Second); ; {
		b, err := os.ReadFile(file)
		if err == nil && strings.Contains(string(b), text) {
			return string(b)
		}
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("never says %q: %q, %v", text, b, err)
		}
	}
}

var term = election.Term{Token: 7, Key: "/elector/default/x/1", Identity: "a", Election: "default/x"}

func TestCommandRunsForATermAndKnowsIt(t *testing.T) {
	c, out := newTestChild(t, `trap 'echo stopping; exit 3' TERM; echo $ELECTOR_TERM_TOKEN $ELECTOR_TERM_KEY $ELECTOR_TERM_IDENTITY $ELECTOR_TERM_ELECTION; while :; do sleep 0.01; done`, nil)
	ctx, end := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- c.Lead(ctx, term) }()
	says(t, out, "7 /elector/default/x/1 a default/x\n")
	end()
	if err := <-done; err != nil {
		t.Error(err)
	}
	says(t, out, "stopping")
	select {
	case <-c.Ended():
		t.Error("an end that was asked for counts as the command's own")
	default:
	}
}

func TestCommandsOwnEndEndsTheTermWithItsStatus(t *testing.T) {
	for script, status := range map[string]int{"exit 0": 0, "exit 7": 7, "kill -9 $$": 128 + 9} {
		c, _ := newTestChild(t, script, nil)
		if err := c.Lead(t.Context(), term); err != nil {
			t.Error(err)
		}
		<-c.Ended()
		if c.ExitStatus() != status {
			t.Errorf("%s: status %d, want %d", script, c.ExitStatus(), status)
		}
	}
	for argv, status := range map[string]int{"/nowhere/command": 127, "/etc/passwd": 126} {
		c, _ := newTestChild(t, "", func(cfg *ChildConfig) { cfg.Argv = []string{argv} })
		if err := c.Lead(t.Context(), term); err != nil || c.ExitStatus() != status {
			t.Errorf("%s: status %d, want %d: %v", argv, c.ExitStatus(), status, err)
		}
	}
}

func TestStubbornGroupIsKilledToTheLast(t *testing.T) {
	c, out := newTestChild(t, `trap '' TERM; (trap '' TERM; while :; do sleep 0.01; done) & echo group $$; wait`, func(cfg *ChildConfig) { cfg.Grace = 50 * time.Millisecond })
	ctx, end := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- c.Lead(ctx, term) }()
	_, text, _ := strings.Cut(says(t, out, "group "), "group ")
	group, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil {
		t.Fatal(err)
	}
	end()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := syscall.Kill(-group, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("something of the group is left: %v", err)
	}
}

func TestCommandIsStartedAgainAsAsked(t *testing.T) {
	counter := filepath.Join(t.TempDir(), "runs")
	script := `echo run >>` + counter + `; [ $(wc -l <` + counter + `) -ge 2 ]`
	log := &kept{}
	c, _ := newTestChild(t, script, func(cfg *ChildConfig) {
		cfg.Restart = RestartOnFailure
		cfg.Logger = slog.New(slog.NewTextHandler(log, nil))
	})
	if err := c.Lead(t.Context(), term); err != nil || c.ExitStatus() != 0 {
		t.Errorf("status %d, %v", c.ExitStatus(), err)
	}
	if runs, err := os.ReadFile(counter); err != nil || strings.Count(string(runs), "run") != 2 || strings.Count(log.String(), "starting it again") != 1 {
		t.Errorf("runs %q, %v, log %s", runs, err, log)
	}
}

func TestGroupIsNotedBeforeDuringAndAfter(t *testing.T) {
	var noted []int
	c, _ := newTestChild(t, "exit 0", func(cfg *ChildConfig) {
		cfg.Group = func(group int) error { noted = append(noted, group); return nil }
	})
	if err := c.Lead(t.Context(), term); err != nil {
		t.Error(err)
	}
	if len(noted) != 3 || noted[0] != GroupStarting || noted[1] <= 1 || noted[2] != GroupNone {
		t.Errorf("noted %v", noted)
	}
	full := errors.New("disk full")
	c, out := newTestChild(t, "echo ran", func(cfg *ChildConfig) { cfg.Group = func(int) error { return full } })
	if err := c.Lead(t.Context(), term); !errors.Is(err, full) {
		t.Errorf("%v", err)
	}
	if b, err := os.ReadFile(out); err != nil || len(b) > 0 {
		t.Errorf("it ran though that could not be noted: %q, %v", b, err)
	}
}

// guarded starts a command in a group of its own and a guard of it, which reads from the returned pipe.
func guarded(t *testing.T) (cmd *exec.Cmd, w *io.PipeWriter, ended <-chan error) {
	t.Helper()
	cmd = exec.Command("sleep", "600")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- Guard(r, strconv.Itoa(cmd.Process.Pid)) }()
	t.Cleanup(func() { w.Close(); _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd, w, done
}

func TestCommandWithoutItsGuardIsKilled(t *testing.T) {
	c, out := newTestChild(t, `echo group $$; while :; do sleep 0.01; done`, func(cfg *ChildConfig) { cfg.Guard = []string{"/bin/true"} })
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	if err := c.Lead(ctx, term); err == nil || ctx.Err() != nil {
		t.Errorf("the command outlives its guard: %v", err)
	}
	if b, err := os.ReadFile(out); err == nil {
		if _, group, ok := strings.Cut(string(b), "group "); ok {
			if pgid, err := strconv.Atoi(strings.TrimSpace(group)); err != nil || !errors.Is(syscall.Kill(-pgid, 0), syscall.ESRCH) {
				t.Errorf("something of group %q is left: %v", group, err)
			}
		}
	}
}

// frozenGuard is one that stands still from the start, and would for ever.
var frozenGuard = []string{"/bin/sh", "-c", "exec sleep 100000"}

func TestFrozenGuardKeepsNoTermFromEnding(t *testing.T) {
	c, out := newTestChild(t, `echo runs; while :; do sleep 0.01; done`, func(cfg *ChildConfig) { cfg.Guard = frozenGuard })
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Lead(ctx, term) }()
	says(t, out, "runs")
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestFrozenGuardIsNoticedWhenItsPipeIsFull(t *testing.T) {
	g, err := startGuard(ChildConfig{Guard: frozenGuard, Env: os.Environ()}, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	defer g.dismiss()
	for end := election.Instant(1); err == nil; end++ {
		err = g.until(end)
	}
	if !strings.Contains(err.Error(), "stands still") {
		t.Error(err)
	}
}

func TestGuardKillsAtTheDeadlineOrWhenTheElectorDies(t *testing.T) {
	for name, order := range map[string]func(*io.PipeWriter){
		"deadline": func(w *io.PipeWriter) { io.WriteString(w, strconv.FormatInt(int64(boottime.Now())+1e6, 10)+"\n") },
		"death":    func(w *io.PipeWriter) { w.Close() },
		"nonsense, then death": func(w *io.PipeWriter) {
			io.WriteString(w, "soon\n-1\n\n")
			w.Close()
		},
	} {
		cmd, w, _ := guarded(t)
		order(w)
		if state, err := cmd.Process.Wait(); err != nil || !strings.Contains(state.String(), "killed") {
			t.Errorf("%s: %v, %v", name, state, err)
		}
	}
}

func TestGuardThatIsDismissedKillsNobody(t *testing.T) {
	cmd, w, ended := guarded(t)
	io.WriteString(w, strconv.FormatInt(int64(boottime.Now())+int64(time.Hour), 10)+"\ndone\n")
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := cmd.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("the command has ended: %v", err)
	}
	for _, group := range []string{"", "0", "1", "-5", "x"} {
		if err := Guard(strings.NewReader(""), group); err == nil {
			t.Errorf("guards group %q", group)
		}
	}
}

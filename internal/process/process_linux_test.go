package process

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func shell(script string) Spec { return Spec{Argv: []string{"/bin/sh", "-c", script}} }

func TestRunTellsHowACommandEndedAndWhatItSaidLast(t *testing.T) {
	for script, want := range map[string]struct {
		output string
		status int
	}{
		"echo fine":                            {"fine", 0},
		"echo out; echo why >&2; exit 3":       {"out\nwhy", 3},
		"kill -9 $$":                           {"", 128 + 9},
		`printf '\303'; exit 1`:                {"\uFFFD", 1},
		"read line || echo has no input":       {"has no input", 0},
		"head -c 5000 /dev/zero; echo the end": {strings.Repeat("\x00", tailSize-8) + "the end", 0},
	} {
		output, status, err := Run(t.Context(), shell(script))
		if output != want.output || status != want.status || err != nil {
			t.Errorf("%s: %q, %d, %v", script, output, status, err)
		}
	}
	if _, _, err := Run(t.Context(), Spec{Argv: []string{"/nowhere/command"}}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a command that is not there: %v", err)
	}
}

func TestRunLeavesNothingOfTheGroup(t *testing.T) {
	late := errors.New("too late")
	for script, want := range map[string]error{
		"(trap '' TERM; exec sleep 1000) & echo $$ >$FILE; exit 0":                   nil,
		"trap '' TERM; (trap '' TERM; sleep 1000) & echo $$ >$FILE; exec sleep 1000": late,
	} {
		file := filepath.Join(t.TempDir(), "group")
		ctx, cancel := context.WithCancelCause(t.Context())
		spec := shell(script)
		spec.Env = append(os.Environ(), "FILE="+file)
		done := make(chan error)
		go func() {
			_, _, err := Run(ctx, spec)
			done <- err
		}()
		var group int
		for group == 0 {
			b, _ := os.ReadFile(file)
			group, _ = strconv.Atoi(strings.TrimSpace(string(b)))
			time.Sleep(time.Millisecond)
		}
		if want != nil {
			cancel(late)
		}
		if err := <-done; !errors.Is(err, want) {
			t.Errorf("%s: %v", script, err)
		}
		cancel(nil)
		if err := syscall.Kill(-group, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("%s: something of the group is left: %v", script, err)
		}
	}
}

// A check that runs for weeks would fill the table of processes.
func TestRunReapsDaemonsOfEarlierRuns(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pid")
	spec := shell("setsid sh -c 'echo $$ >$FILE; sleep 0.1' & while ! [ -s $FILE ]; do sleep 0.01; done")
	spec.Env = append(os.Environ(), "FILE="+file)
	if _, _, err := Run(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	b, _ := os.ReadFile(file)
	daemon, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || daemon <= 1 {
		t.Fatalf("daemon %q", b)
	}
	for limit := time.Now().Add(30 * time.Second); syscall.Kill(daemon, 0) == nil; {
		if time.Now().After(limit) {
			t.Fatal("it is there for ever")
		}
		if _, _, err := Run(t.Context(), shell("exit 0")); err != nil {
			t.Fatal(err)
		}
	}
}

// One that has left the group is not waited for, though it holds the pipe.
func TestRunDoesNotWaitForADaemon(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pid")
	spec := shell("setsid sh -c 'echo $$ >$FILE; exec sleep 1000' & while ! [ -s $FILE ]; do sleep 0.01; done; echo started")
	spec.Env = append(os.Environ(), "FILE="+file)
	output, status, err := Run(t.Context(), spec)
	if output != "started" || status != 0 || err != nil {
		t.Errorf("%q, %d, %v", output, status, err)
	}
	b, _ := os.ReadFile(file)
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || pid <= 1 {
		t.Fatalf("daemon %q", b)
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
	_, _ = syscall.Wait4(pid, nil, 0, nil)
}

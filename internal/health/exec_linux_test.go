package health

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
)

func command(t *testing.T, argv ...string) Check {
	t.Helper()
	c, err := Exec(argv, nil)
	if err != nil || c.Name != "exec "+strings.Join(argv, " ") {
		t.Fatalf("%q, %v", c.Name, err)
	}
	return c
}

func TestExecPassesOnStatusZeroAlone(t *testing.T) {
	for script, want := range map[string]string{
		"echo noise; echo more >&2": "",
		"exit 3":                    "exited with status 3",
		"kill -9 $$":                "exited with status 137",
		"echo first; echo 'the last\tone' >&2; echo; exit 3":     "exited with status 3: the last one",
		`echo first; printf 'a\033[2Jb\377\r\n'; exit 1`:         "exited with status 1: a\uFFFD[2Jb\uFFFD",
		"echo first; head -c 5000 /dev/zero | tr '\\0' x; false": "exited with status 1: " + strings.Repeat("x", maxText),
	} {
		expect(t, command(t, "/bin/sh", "-c", script), want)
	}
}

func TestExecTellsOfACommandThatIsNotThere(t *testing.T) {
	expect(t, command(t, "/nowhere/command", "a"), "run: fork/exec /nowhere/command: no such file or directory")
	if err := command(t, "elector-has-no-such-command").Probe(t.Context()); err == nil {
		t.Error("it passes")
	}
	for _, argv := range [][]string{nil, {}, {""}, {"", "a"}} {
		if _, err := Exec(argv, nil); err == nil {
			t.Errorf("%q is a command", argv)
		}
	}
}

func TestACommandThatHangsIsKilledWithItsGroup(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "group")
	// The file has its text when it gets its name.
	script := "(trap '' TERM; sleep 1000) & echo $$ >" + file + ".new; mv " + file + ".new " + file + "; sleep 1000"
	cfg := config(command(t, "/bin/sh", "-c", script).Probe)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var group int
	cfg.Changed = func(_ context.Context, all []Result) {
		if b, err := os.ReadFile(file); err != nil || all[0].Reason != "no answer within 2s" {
			t.Errorf("%+v, %v", all[0], err)
		} else if group, err = strconv.Atoi(strings.TrimSpace(string(b))); err != nil {
			t.Error(err)
		}
		cancel()
	}
	m, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := m.Run(ctx); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took < timeout || took >= interval {
		t.Errorf("ended after %v", took)
	}
	if err := syscall.Kill(-group, 0); group <= 1 || !errors.Is(err, syscall.ESRCH) {
		t.Errorf("something of the group %d is left: %v", group, err)
	}
}

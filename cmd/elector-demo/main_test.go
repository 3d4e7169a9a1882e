package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/elector-dev/elector/internal/devetcd"
)

func TestMain(m *testing.M) {
	devetcd.MaybeRunMember()
	maybeServe()
	goleak.VerifyTestMain(m)
}

// runToFile runs the demo without a terminal and returns its exit status and what it wrote.
func runToFile(ctx context.Context, t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	in, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	var errs bytes.Buffer
	status = run(ctx, args, in, out, &errs)
	if _, err := out.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(out)
	if err != nil {
		t.Fatal(err)
	}
	return status, string(text), errs.String()
}

func TestHandoverIsShownWithGrowingTokensAndExits0(t *testing.T) {
	status, out, errs := runToFile(t.Context(), t, "--for", "8s", "--scenario", "handover")
	if status != exitShown || errs != "" {
		t.Fatalf("exit status %d, stderr %q\n%s", status, errs, out)
	}
	for _, want := range []string{
		`(?m)^ +\d+\.\ds  (red|green|blue) leads with token \d+$`,
		`SIGTERM to (red|green|blue), which leads`,
		`leads with token \d+, \d\.\ds after (red|green|blue) was asked to stop`,
		`has ended: exit status 0`,
		`tokens +\d+ < \d+`,
		`two yes at once +never`,
	} {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("nothing matches %s in\n%s", want, out)
		}
	}
}

func TestScenarioThatDoesNotFitExits1(t *testing.T) {
	status, out, errs := runToFile(t.Context(), t, "--for", "1s", "--scenario", "crash")
	if status != exitFailed || !strings.Contains(errs, "give it longer with --for") {
		t.Errorf("exit status %d, stderr %q\n%s", status, errs, out)
	}
}

func TestElectorThatDoesNotStartEndsTheDemo(t *testing.T) {
	j := newJournal(3*time.Second, "http://127.0.0.1:1")
	j.introduce(0, "red", "http://127.0.0.1:2")
	e := &elector{name: "red", journal: j, logPath: filepath.Join(t.TempDir(), "log"), args: []string{"serve", "--ttl", "1ns"}}
	if err := e.start(); err != nil {
		t.Fatal(err)
	}
	defer e.reports.Wait()
	defer e.end()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := j.awaitFault(ctx); err != errFault {
		t.Fatal(err)
	}
	j.end(errFault)
	if p := j.summary().problem(""); !strings.Contains(p, "elector red ended with exit status 2") || !strings.Contains(p, "--ttl") {
		t.Errorf("the problem is told as %q", p)
	}
}

func TestHelpAndMistakesOnTheCommandLine(t *testing.T) {
	status, out, _ := runToFile(t.Context(), t, "--help")
	if status != exitShown || !strings.Contains(out, "--scenario NAME") {
		t.Errorf("--help: exit status %d\n%s", status, out)
	}
	for _, tc := range []struct{ args, want string }{
		{"--for -1s", "--for -1s"},
		{"--for abc", "abc"},
		{"--ttl 1s", "--ttl 1s"},
		{"--ttl 2500ms", "whole seconds"},
		{"--ttl 2h", "from 2s to 60s"},
		{"--scenario storm", "crash, cut, freeze, handover, member"},
		{"--scenario=", "crash, cut, freeze, handover, member"},
		{"--members 2", "give 1 or 3"},
		{"--http 8080", "give host:port"},
		{"--replay run --scenario crash", "leave out"},
		{"--nonsense", "--nonsense"},
		{"extra", `"extra"`},
	} {
		status, out, errs := runToFile(t.Context(), t, strings.Fields(tc.args)...)
		if status != exitUsage || out != "" || !strings.Contains(errs, tc.want) || strings.Count(errs, "\n") != 1 {
			t.Errorf("%s: exit status %d, stdout %q, stderr %q", tc.args, status, out, errs)
		}
	}
}

func TestDefaultsDependOnTheTerminal(t *testing.T) {
	with, err := parse(nil, true)
	if err != nil || with.length != 0 || with.scenario != "" {
		t.Errorf("on a terminal: %+v, %v", with, err)
	}
	without, err := parse(nil, false)
	if err != nil || without.length != defaultLength || without.scenario != "handover" {
		t.Errorf("without: %+v, %v", without, err)
	}
}

func TestElectorsDoNotInheritSettings(t *testing.T) {
	got := childEnviron([]string{"HOME=/", "ELECTOR_TTL=9s", "ETCDCTL_ENDPOINTS=x", "POD_NAME=p", "PATH=/bin"})
	if strings.Join(got, " ") != "HOME=/ PATH=/bin" {
		t.Errorf("left in the environment: %v", got)
	}
}

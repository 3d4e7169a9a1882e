package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"
)

// TestMain lets the test binary be the program, for the scripts and for the tests of signals.
func TestMain(m *testing.M) {
	testscript.Main(withoutLeaks{m}, map[string]func(){
		"elector": func() {
			ctx, stop := WithSignals(context.Background())
			defer stop()
			os.Exit(Run(ctx, os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr))
		},
		"stubborn": stubborn,
	})
}

type withoutLeaks struct{ *testing.M }

// Run implements testscript.TestingM.
func (m withoutLeaks) Run() int {
	code := m.M.Run()
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func TestCommandLine(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":  exits,
			"counts": counts,
		},
		Setup: func(env *testscript.Env) error {
			busy, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return err
			}
			env.Defer(func() { _ = busy.Close() })
			env.Setenv("BUSY", busy.Addr().String())
			return nil
		},
	})
}

func TestHelpNamesEveryCommand(t *testing.T) {
	text := strings.NewReplacer("[", "", "]", "").Replace(help())
	for _, c := range newRoot(nil, nil).Commands() {
		if !strings.Contains(text, "\n  elector "+c.Name()+" ") {
			t.Errorf("elector -h does not tell of elector %s", c.Name())
		}
	}
}

// exits STATUS COMMAND... runs a command and wants that exit status.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS COMMAND...")
	}
	var failed *exec.ExitError
	err := ts.Exec(args[1], args[2:]...)
	status := 0
	if errors.As(err, &failed) {
		status = failed.ExitCode()
	} else {
		ts.Check(err)
	}
	if strconv.Itoa(status) != args[0] {
		ts.Fatalf("exit status %d, want %s", status, args[0])
	}
}

// counts N wants that many lines on the last command's standard error.
func counts(ts *testscript.TestScript, neg bool, args []string) {
	n := 0
	for _, c := range ts.ReadFile("stderr") {
		if c == '\n' {
			n++
		}
	}
	if neg || len(args) != 1 || strconv.Itoa(n) != args[0] {
		ts.Fatalf("%d lines on standard error, want %v", n, args)
	}
}

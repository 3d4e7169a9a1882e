//go:build linux

package main

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/elector-dev/elector/internal/testenv"
)

// openTerminal returns both ends of a new pseudo terminal of 80 by 24: what a person sees and types
// on, and what the program has.
func openTerminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, program = testenv.Terminal(t)
	t.Cleanup(func() {
		program.Close()
		person.Close()
	})
	if err := unix.IoctlSetWinsize(int(program.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80}); err != nil {
		t.Fatal(err)
	}
	return person, program
}

func TestTerminalShowsTheLeaderObeysKeysAndIsRestored(t *testing.T) {
	person, program := openTerminal(t)
	before, err := unix.IoctlGetTermios(int(program.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	status := make(chan int, 1)
	var errs bytes.Buffer
	go func() { status <- run(ctx, []string{"--ttl", "2s"}, program, program, &errs) }()

	var seen strings.Builder
	until := func(text string) {
		t.Helper()
		buf := make([]byte, 4096)
		for from := seen.Len(); !strings.Contains(seen.String()[from:], text); {
			n, err := person.Read(buf)
			if err != nil {
				t.Fatalf("waiting for %q: %v; the exit status was %d\n%s%s", text, err, <-status, seen.String(), errs.String())
			}
			seen.Write(buf[:n])
		}
	}
	press := func(keys string) {
		t.Helper()
		if _, err := person.WriteString(keys); err != nil {
			t.Fatal(err)
		}
	}
	until("stands in the queue")
	press("2\rk")
	until("green has ended: signal: killed")
	press("\nr")
	until("green starts")
	press("1f")
	until("SIGSTOP to red")
	press("f")
	until("SIGCONT to red")
	press("q")
	until(leaveScreen)
	until("two yes at once   never")
	if s := <-status; s != exitShown {
		t.Errorf("exit status %d: %s", s, errs.String())
	}
	after, err := unix.IoctlGetTermios(int(program.Fd()), unix.TCGETS)
	if err != nil || *after != *before {
		t.Errorf("the terminal was left as %+v, %v; it was %+v", after, err, before)
	}
}

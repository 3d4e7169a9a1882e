// Package process runs commands in process groups of their own, so that all of what a command has begun can be ended
// with it: a worker's, a hook's, a check's.
package process

import (
	"io"
	"os/exec"
	"strings"
	"syscall"
	"unicode/utf8"
)

// Spec is a command. Argv is required; Argv[0] is the file to run, looked for in PATH if it names no directory.
type Spec struct {
	Argv           []string
	Env            []string // nil: this process's own
	Stdin          io.Reader
	Stdout, Stderr io.Writer
}

// exitStatus is how a shell would tell of a command's end.
func exitStatus(cmd *exec.Cmd) int {
	if cmd.ProcessState == nil {
		return 1
	}
	if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return cmd.ProcessState.ExitCode()
}

// tailSize is how much is kept of a command's output: enough for the reason, which comes last.
const tailSize = 1024

// tail keeps the last tailSize bytes written to it.
type tail struct{ kept []byte }

func (t *tail) Write(b []byte) (int, error) {
	t.kept = append(t.kept, b[max(0, len(b)-tailSize):]...)
	t.kept = t.kept[max(0, len(t.kept)-tailSize):]
	return len(b), nil
}

// String is the text without space around it; a character that was cut is left out.
func (t *tail) String() string {
	b := t.kept
	for len(b) > 0 && !utf8.RuneStart(b[0]) {
		b = b[1:]
	}
	return strings.TrimSpace(strings.ToValidUTF8(string(b), "\uFFFD"))
}

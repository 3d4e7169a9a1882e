package proc

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"go.uber.org/goleak"
)

const roleEnv = "PROC_TEST_ROLE"

func TestMain(m *testing.M) {
	if os.Getenv(roleEnv) == "parent" {
		beParent()
	}
	goleak.VerifyTestMain(m)
}

// beParent starts a child that has this process's output, freezes it, says so and lives on.
func beParent() {
	cmd := exec.Command("sleep", "600")
	cmd.Stdout = os.Stdout
	p, err := Start(cmd)
	if err == nil {
		err = p.Pause()
	}
	fmt.Println("frozen:", err)
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func start(t *testing.T, cmd *exec.Cmd) *Process {
	t.Helper()
	p, err := Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Kill() })
	return p
}

func TestAFrozenChildDiesWithItsParent(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has a parent-death signal")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), roleEnv+"=parent")
	cmd.Stdout = w
	parent := start(t, cmd)
	w.Close()
	if err := r.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	out := bufio.NewReader(r)
	if line, err := out.ReadString('\n'); line != "frozen: <nil>\n" {
		t.Fatalf("the parent said %q, %v", line, err)
	}
	if err := parent.Kill(); err != nil {
		t.Fatal(err)
	}
	// The pipe ends when nobody holds its other end any more: neither the parent nor the child.
	if _, err := out.ReadByte(); err != io.EOF {
		t.Errorf("the child outlived its parent: %v", err)
	}
}

func TestAFrozenChildHearsThatItShallStop(t *testing.T) {
	p := start(t, exec.Command("sleep", "600"))
	if err := p.Pause(); err != nil || !p.Paused() {
		t.Fatalf("paused %v, %v", p.Paused(), err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := p.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if p.Exit() != "signal: terminated" || p.Paused() {
		t.Errorf("it ended with %q, paused %v", p.Exit(), p.Paused())
	}
	if err := p.Kill(); err != nil {
		t.Errorf("Kill after the end: %v", err)
	}
	if err := p.Pause(); err == nil {
		t.Error("Pause after the end went well")
	}
}

func TestAChildThatIgnoresSIGTERMIsEnded(t *testing.T) {
	for ignored, how := range map[string]string{"TERM": "signal: quit", "TERM QUIT": "signal: killed"} {
		t.Run(ignored, func(t *testing.T) {
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			cmd := exec.Command("sh", "-c", "trap '' "+ignored+"; echo ready; exec sleep 600")
			cmd.Stdout = w
			p := start(t, cmd)
			w.Close()
			if _, err := bufio.NewReader(r).ReadString('\n'); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := p.Stop(ctx); err == nil || p.Exit() != how {
				t.Errorf("Stop returned %v; the child ended with %q; want %q", err, p.Exit(), how)
			}
		})
	}
}

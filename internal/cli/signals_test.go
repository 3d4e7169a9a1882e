package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"syscall"
	"testing"
)

// stubborn tells when its context ends, and then does not.
func stubborn() {
	ctx, stop := WithSignals(context.Background())
	defer stop()
	fmt.Println("ready")
	<-ctx.Done()
	fmt.Println(context.Cause(ctx))
	select {}
}

func TestTheFirstSignalAsksAndTheSecondEnds(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		cmd := exec.CommandContext(t.Context(), "stubborn")
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		expect := func(want string) {
			t.Helper()
			if !lines.Scan() || lines.Text() != want {
				t.Fatalf("the program says %q, want %q", lines.Text(), want)
			}
		}
		send := func(s syscall.Signal) {
			t.Helper()
			if err := cmd.Process.Signal(s); err != nil {
				t.Fatal(err)
			}
		}
		expect("ready")
		send(syscall.SIGHUP) // would end the program if it were not caught
		send(sig)
		expect(fmt.Sprintf("caught signal %q", sig))
		send(syscall.SIGHUP)
		send(sig)
		_, _ = io.Copy(io.Discard, out)
		var status *exec.ExitError
		if err := cmd.Wait(); !errors.As(err, &status) || status.ExitCode() != 1 {
			t.Errorf("after the second %v: %v, want exit status 1", sig, err)
		}
	}
}

func TestSignalsEndWithTheirFunction(t *testing.T) {
	ctx, stop := WithSignals(t.Context())
	stop() // and goleak sees nothing
	if ctx.Err() == nil {
		t.Error("the context has not ended")
	}
}

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/elector-dev/elector/internal/config"
	"github.com/elector-dev/elector/internal/election"
	"github.com/elector-dev/elector/internal/sdnotify"
	"github.com/elector-dev/elector/internal/work"
)

// runCommandOf is serve with a command that runs while the elector leads. It returns what becomes of the whole as a
// statusError.
func runCommandOf(ctx context.Context, cfg config.Config, warnings []string, from source, argv []string, std streams) error {
	if grace, longest := cfg.Grace(), election.MaxGrace(cfg.TTL); grace > longest {
		return usageError{fmt.Errorf("--stop-grace %v is more than %v, for which --ttl %v has room: lower it or raise --ttl", grace, longest, cfg.TTL)}
	}
	file, err := exec.LookPath(argv[0])
	switch {
	case errors.Is(err, os.ErrPermission):
		return statusError{126, fmt.Sprintf("%q cannot be executed: %v", argv[0], err)}
	case err != nil:
		return statusError{127, fmt.Sprintf("%q is not found: %v", argv[0], err)}
	}
	self, err := os.Executable()
	if err != nil {
		return statusError{125, fmt.Sprintf("find this program, which guards the command: %v", err)}
	}
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, passedOn...)
	defer signal.Stop(signals)
	stop, _ := config.Signal(cfg.StopSignal) // Validate has seen it
	child := work.ChildConfig{
		Argv: append([]string{file}, argv[1:]...), Env: sdnotify.Without(from.env), Stdin: std.in, Stdout: std.out, Stderr: std.err,
		Stop: stop, Grace: cfg.Grace(), Restart: work.Restart(cfg.Restart), Signals: signals, Guard: []string{self, guardVerb}, Clock: bootClock{},
	}
	switch status, err := serve(ctx, cfg, warnings, from, std.err, &child); {
	case errors.As(err, new(usageError)):
		return err
	case err != nil:
		return statusError{125, err.Error()}
	case status != 0:
		return statusError{status: status}
	}
	return nil
}

// passedOn are the signals that a command gets which elector itself does not heed.
var passedOn = []os.Signal{syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGWINCH, syscall.SIGQUIT}

// guardVerb has this program guard a command; nobody types it.
const guardVerb = "guard-command"

// streams are a process's standard streams.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

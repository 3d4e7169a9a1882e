// Command elector-chaos breaks an election of real processes and judges what came of it. See
// elector-chaos -h.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/elector-dev/elector/internal/chaos"
	"github.com/elector-dev/elector/internal/devetcd"
)

// The exit statuses.
const (
	exitKept   = 0
	exitBroken = 1 // a promise was broken, or too little was seen
	exitUsage  = 2
)

func main() {
	devetcd.MaybeRunMember()
	chaos.MaybeAct()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	status := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// run is the program. It ends when all runs have, when one failed, or when the context does, and then with
// what was checked so far.
func run(ctx context.Context, args []string, stdout *os.File, stderr io.Writer) int {
	opts, err := parse(args)
	switch {
	case errors.Is(err, pflag.ErrHelp):
		fmt.Fprint(stdout, help())
		return exitKept
	case err != nil:
		fmt.Fprintln(stderr, "elector-chaos:", err)
		return exitUsage
	}
	s := &screen{out: stdout, terminal: term.IsTerminal(int(stdout.Fd()))}
	if opts.linksChosen != "" {
		s.say("%s", opts.linksChosen)
	}
	var kept bool
	if opts.replay != "" {
		kept, err = replay(opts, s)
	} else {
		kept, err = campaign(ctx, opts, s)
	}
	if err != nil {
		fmt.Fprintln(stderr, "elector-chaos:", err)
	}
	if err != nil || !kept {
		return exitBroken
	}
	return exitKept
}

// campaign does all runs, one after another, until one fails.
func campaign(ctx context.Context, opts options, s *screen) (kept bool, err error) {
	dir, err := os.MkdirTemp("", "elector-chaos-")
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	again := opts
	if opts.Program == "" {
		if opts.Program, err = build(ctx, dir, opts.Race); err != nil {
			return false, err
		}
	}
	total := newTotal(opts)
	defer func() {
		if opts.runs > 1 {
			s.say("\n%s", total.table())
		}
		s.say("%s", total.line())
	}()
	for i := range opts.runs {
		seed := opts.Seed + i
		kept, err = oneRun(ctx, opts, again, seed, filepath.Join(dir, fmt.Sprint("run-", seed)), total, s)
		if err != nil || !kept || ctx.Err() != nil {
			return kept, err
		}
	}
	if missing := total.missing(opts.Links, opts.Members); missing != "" {
		s.say("WORTHLESS: never seen in %v of storms: %s", total.storms.Round(time.Second), missing)
		return false, nil
	}
	return true, nil
}

// build makes the elector of this module, in the way in which it is made for others, so that much of it has been compiled.
func build(ctx context.Context, dir string, race bool) (string, error) {
	path := filepath.Join(dir, "elector")
	args, cgo := []string{"build", "-trimpath", "-o", path}, "CGO_ENABLED=0"
	if race {
		args, cgo = append(args, "-race"), "CGO_ENABLED=1"
	}
	cmd := exec.CommandContext(ctx, "go", append(args, "github.com/elector-dev/elector/cmd/elector")...)
	cmd.Env = append(os.Environ(), cgo)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the elector (or give --program): %w\n%s", err, out)
	}
	return path, nil
}

// oneRun runs one seed in a directory of its own, and keeps what it left if it failed.
func oneRun(ctx context.Context, opts, again options, seed uint64, dir string, total *total, s *screen) (kept bool, err error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return false, err
	}
	o := opts.Options
	o.Seed, o.Dir, o.Say, o.Progress = seed, dir, s.say, s.progress
	outcome, err := chaos.Run(ctx, o)
	s.clear()
	if outcome.History == nil {
		return false, err
	}
	total.add(seed, outcome)
	verdict := judge(outcome.History, outcome.Report, outcome.Interrupted)
	s.say("%s", verdict.text())
	err = errors.Join(err, save(opts, outcome.History, outcome.Report), total.save(opts))
	if err == nil && verdict.kept() {
		return true, nil
	}
	kept = false
	at, failed := keep(opts.out, seed, dir, outcome.History, outcome.Report)
	if at != "" {
		s.say("kept in %s\nagain: %s", at, again.again(seed))
	}
	return kept, errors.Join(err, failed)
}

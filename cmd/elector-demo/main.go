package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"
	"golang.org/x/term"

	"github.com/elector-dev/elector/internal/devetcd"
)

// The exit statuses.
const (
	exitShown  = 0
	exitFailed = 1 // not shown, or the promise was broken
	exitUsage  = 2
)

func main() {
	maybeServe()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	status := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// run is the program. It draws on a terminal if both files are one, and prints lines otherwise. It
// ends when the context does, when the time given by --for is over, or by the key q.
func run(ctx context.Context, args []string, stdin, stdout *os.File, stderr io.Writer) int {
	terminal := term.IsTerminal(int(stdin.Fd())) && term.IsTerminal(int(stdout.Fd()))
	opts, err := parse(args, terminal)
	switch {
	case errors.Is(err, pflag.ErrHelp):
		fmt.Fprint(stdout, help())
		return exitShown
	case err != nil:
		fmt.Fprintln(stderr, "elector-demo:", err)
		return exitUsage
	}
	j, err := play(ctx, opts, stdin, stdout)
	if err != nil {
		fmt.Fprintln(stderr, "elector-demo:", err)
		return exitFailed
	}
	s := j.summary()
	fmt.Fprint(stdout, s.text())
	if problem := s.problem(opts.scenario); problem != "" {
		fmt.Fprintln(stderr, "elector-demo:", problem)
		return exitFailed
	}
	return exitShown
}

// play runs etcd, the electors and everything around them until the end, and returns what happened.
func play(ctx context.Context, opts options, stdin, stdout *os.File) (*journal, error) {
	etcd, err := devetcd.Start(ctx, devetcd.Options{})
	if err != nil {
		return nil, err
	}
	defer etcd.Close()
	j := newJournal(opts.ttl, etcd.Endpoints()[0])
	fleet, err := newFleet(j, etcd.Endpoints(), opts.ttl)
	if err != nil {
		return nil, err
	}
	defer fleet.close()
	if err := fleet.startAll(); err != nil {
		return nil, err
	}
	queue, err := newQueueReader(ctx, etcd)
	if err != nil {
		return nil, err
	}
	defer queue.close()

	if opts.length > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, opts.length, errTimeIsUp)
		defer cancel()
	}
	g, ctx := errgroup.WithContext(ctx)
	for _, e := range fleet.electors {
		g.Go(func() error { return pollElector(ctx, e, j) })
	}
	g.Go(func() error { return queue.run(ctx, j) })
	g.Go(func() error { return j.awaitFault(ctx) })
	if opts.scenario != "" {
		g.Go(func() error { return perform(ctx, opts.scenario, fleet, j) })
	}
	if opts.terminal {
		keys := make(chan byte)
		g.Go(func() error { return readKeys(ctx, stdin, keys) })
		g.Go(func() error { return draw(ctx, stdin, stdout, keys, fleet, j) })
	} else {
		g.Go(func() error { return printLines(ctx, stdout, j) })
	}
	err = g.Wait()
	j.end(err)
	if isEnd(err) {
		err = nil
	}
	return j, err
}

// The ways in which a run ends; the summary knows whether it went well. The goroutines of play return one of them, or
// the cause of their context.
var (
	errTimeIsUp = errors.New("the time given by --for is over")
	errQuit     = errors.New("the key q was pressed")
	errFault    = errors.New("an elector did what it must not")
)

func isEnd(err error) bool {
	return errors.Is(err, errTimeIsUp) || errors.Is(err, errQuit) || errors.Is(err, errFault) || errors.Is(err, context.Canceled)
}

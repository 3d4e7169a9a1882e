package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

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
	devetcd.MaybeRunMember()
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
	if opts.replay != "" {
		if err := show(ctx, opts, stdout); err != nil {
			fmt.Fprintln(stderr, "elector-demo:", err)
			return exitFailed
		}
		return exitShown
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
	listener, err := net.Listen("tcp", opts.page)
	if err != nil {
		return nil, fmt.Errorf("listen for the page: %w", err)
	}
	defer listener.Close()
	g, err := newGround(ctx, opts.members, len(names))
	if err != nil {
		return nil, err
	}
	defer g.close()
	j := newJournal(opts.ttl, strings.Join(g.cluster.Endpoints(), ", "))
	j.page = "http://" + listener.Addr().String()
	plan := setup{Electors: names, TTLMs: opts.ttl.Milliseconds()}
	for i := range opts.members {
		plan.Members = append(plan.Members, memberName(i))
	}
	j.tape = newTape(plan)
	g.introduce(j)
	fleet, err := newFleet(j, g, j.page+"/counter", opts.ttl)
	if err != nil {
		return nil, err
	}
	defer fleet.close()
	queue, err := newQueueReader(ctx, g.cluster)
	if err != nil {
		return nil, err
	}
	defer queue.close()
	targets := targetsOf(fleet, g)
	serving := newWeb(j.tape, j.elapsed, targets, &counter{journal: j})
	if err := fleet.startAll(); err != nil {
		return nil, err
	}

	if opts.length > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, opts.length, errTimeIsUp)
		defer cancel()
	}
	tasks, ctx := errgroup.WithContext(ctx)
	for _, e := range fleet.electors {
		tasks.Go(func() error { return pollElector(ctx, e, j) })
		tasks.Go(func() error { return followElector(ctx, e, j) })
	}
	tasks.Go(func() error { return serving.serve(ctx, listener) })
	tasks.Go(func() error { return g.follow(ctx, j) })
	tasks.Go(func() error { return queue.run(ctx, j) })
	tasks.Go(func() error { return j.awaitFault(ctx) })
	if opts.record != "" {
		tasks.Go(func() error { return record(ctx, opts.record, j.tape) })
	}
	if opts.scenario != "" {
		tasks.Go(func() error { return perform(ctx, opts.scenario, fleet, g, j) })
	}
	if opts.terminal {
		keys := make(chan byte)
		tasks.Go(func() error { return readKeys(ctx, stdin, keys) })
		tasks.Go(func() error { return draw(ctx, stdin, stdout, keys, targets, j) })
	} else {
		tasks.Go(func() error { return printLines(ctx, stdout, j) })
	}
	err = tasks.Wait()
	j.end(err)
	if isEnd(err) {
		err = nil
	}
	return j, err
}

// targetsOf lists all that something can be done to: the electors, then the members of etcd.
func targetsOf(f *fleet, g *ground) []target {
	var all []target
	for _, e := range f.electors {
		all = append(all, e)
	}
	for _, m := range g.members {
		all = append(all, m)
	}
	return all
}

// show plays a recorded run to its end, and leaves it on the page until the context ends.
func show(ctx context.Context, opts options, stdout io.Writer) error {
	plan, moments, err := load(opts.replay)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", opts.page)
	if err != nil {
		return fmt.Errorf("listen for the page: %w", err)
	}
	defer listener.Close()
	plan.Replay = true
	t, begun := newTape(plan), time.Now()
	if opts.length > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, opts.length, errTimeIsUp)
		defer cancel()
	}
	fmt.Fprintf(stdout, "The run in %s, on the page http://%s\n\n", opts.replay, listener.Addr())
	tasks, ctx := errgroup.WithContext(ctx)
	serving := newWeb(t, func() time.Duration { return time.Since(begun) }, nil, nil)
	tasks.Go(func() error { return serving.serve(ctx, listener) })
	tasks.Go(func() error { return rewind(ctx, moments, t) })
	tasks.Go(func() error { return printTape(ctx, stdout, t) })
	if err := tasks.Wait(); !isEnd(err) {
		return err
	}
	return nil
}

// The ways in which a run ends; the summary knows whether it went well. The goroutines of play return one of them, or
// the cause of their context.
var (
	errTimeIsUp = errors.New("the time given by --for is over")
	errQuit     = errors.New("the key q was pressed")
	errOver     = errors.New("the recorded run is over")
	errFault    = errors.New("an elector did what it must not")
)

func isEnd(err error) bool {
	return errors.Is(err, errTimeIsUp) || errors.Is(err, errQuit) || errors.Is(err, errFault) || errors.Is(err, errOver) || errors.Is(err, context.Canceled)
}

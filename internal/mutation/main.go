package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/pflag"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// options choose among the mutants.
type options struct {
	workers  int
	only     string
	without  string
	leaveOut *regexp.Regexp
	share    int
	part     uint64
	bound    time.Duration
	twice    bool
	list     bool
}

// run is the command: 0 when whatever survives is explained, 1 when not, 2 for a mistake on the command line.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := pflag.NewFlagSet("mutation", pflag.ContinueOnError)
	flags.SetOutput(stderr)
	var o options
	flags.IntVar(&o.workers, "workers", 2, "tests that run at a time")
	flags.StringVar(&o.only, "only", "", "a regular expression: the mutants whose keys it matches")
	flags.StringVar(&o.without, "without", "", "a regular expression: the tests that are left out, as for a first look without those that cost most")
	flags.IntVar(&o.share, "one-in", 1, "a sample: one mutant in so many, by the hash of its key")
	flags.Uint64Var(&o.part, "part", 0, "which of the samples, from 0; together they are all mutants")
	flags.DurationVar(&o.bound, "for", time.Hour, "the time after which what is left is not tried, which fails the run")
	flags.BoolVar(&o.twice, "twice", false, "a test must fail again, alone, before it counts")
	flags.BoolVar(&o.list, "list", false, "print the mutants' keys and run nothing")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, pflag.ErrHelp) {
			return 0
		}
		fmt.Fprintln(stderr, "mutation:", err)
		return 2
	}
	only, err := regexp.Compile(o.only)
	if err == nil {
		o.leaveOut, err = regexp.Compile(cmp.Or(o.without, "^$"))
	}
	switch {
	case err != nil:
		fmt.Fprintln(stderr, "mutation:", err)
		return 2
	case flags.NArg() != 1 || o.workers < 1 || o.share < 1:
		fmt.Fprintln(stderr, "mutation: name one package; --workers and --one-in are at least 1")
		return 2
	}
	ok, err := attack(ctx, flags.Arg(0), only, o, explainedText, stdout)
	if err != nil {
		fmt.Fprintln(stderr, "mutation:", err)
	}
	if err != nil || !ok {
		return 1
	}
	return 0
}

// attack tries the mutants of a package and tells what became of them.
func attack(ctx context.Context, pkg string, only *regexp.Regexp, o options, explained string, out io.Writer) (bool, error) {
	began := time.Now()
	src, err := load(pkg)
	if err != nil {
		return false, err
	}
	f := src.find()
	reasons, err := explanations(explained, strings.TrimPrefix(src.path, "github.com/elector-dev/elector/"))
	if err != nil {
		return false, err
	}
	todo := choose(f.mutants, only, o)
	if o.list {
		for _, m := range todo {
			fmt.Fprintln(out, m.key)
		}
		return true, nil
	}
	dir, err := os.MkdirTemp("", "mutation-")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(dir)
	overlay, err := src.instrument(f.edits, len(f.mutants), dir)
	if err != nil {
		return false, err
	}
	b, err := build(ctx, src, overlay, dir)
	if err != nil {
		return false, err
	}
	if err := b.record(ctx, o.workers, o.leaveOut); err != nil {
		return false, err
	}
	fmt.Fprintf(out, "%d mutants, %d of them to be tried, by %d tests; recorded after %.0f s\n", len(f.mutants), len(todo), len(b.tests), time.Since(began).Seconds())
	for _, t := range b.tests[max(0, len(b.tests)-10):] {
		fmt.Fprintf(out, "among the slowest tests: %s, %.1f s\n", t.name, t.took.Seconds())
	}
	for _, rule := range slices.Sorted(maps.Keys(f.skipped)) {
		fmt.Fprintf(out, "left alone by rule: %s, %d places\n", rule, f.skipped[rule])
	}
	limited, cancel := context.WithTimeout(ctx, o.bound-time.Since(began))
	defer cancel()
	r := report{out: out, reasons: reasons}
	each(o.workers, todo, func(m mutant) {
		if v := b.judge(limited, m, o.twice); limited.Err() == nil {
			r.take(v)
		}
	})
	return r.close(f.mutants, len(todo), began), ctx.Err()
}

// choose draws the mutants that are tried. Which share a mutant is in depends on its key alone, so code that comes or goes
// elsewhere moves none to another.
func choose(all []mutant, only *regexp.Regexp, o options) []mutant {
	var todo []mutant
	for _, m := range all {
		sum := sha256.Sum256([]byte(m.key))
		if share := binary.BigEndian.Uint64(sum[:]) % uint64(o.share); share == o.part%uint64(o.share) && only.MatchString(m.key) {
			todo = append(todo, m)
		}
	}
	return todo
}

// report tells of verdicts as they come, and counts them.
type report struct {
	out     io.Writer
	reasons map[string]string

	mu                          sync.Mutex // guards the fields below and out
	killed, survived, explained int
	overtaken                   []string // explained, and killed
}

func (r *report) take(v verdict) {
	r.mu.Lock()
	defer r.mu.Unlock()
	reason, known := r.reasons[v.key]
	switch {
	case v.by != "":
		r.killed++
		fmt.Fprintf(r.out, "killed     %s | by %s, %.1f s\n", v.key, v.by, v.took.Seconds())
		if known {
			r.overtaken = append(r.overtaken, v.key)
		}
		return
	case known:
		r.explained++
		fmt.Fprintf(r.out, "explained  %s | %s\n", v.key, reason)
	case !v.reached:
		fmt.Fprintf(r.out, "NO TEST    %s | %s:%d is reached by none\n", v.key, v.file, v.line)
	default:
		fmt.Fprintf(r.out, "SURVIVES   %s | %s:%d, %.1f s\n", v.key, v.file, v.line, v.took.Seconds())
	}
	r.survived++
}

// close sums up and reports whether all is well.
func (r *report) close(all []mutant, tried int, began time.Time) bool {
	there := map[string]bool{}
	for _, m := range all {
		there[m.key] = true
	}
	well := r.explained == r.survived
	for _, key := range slices.Sorted(maps.Keys(r.reasons)) {
		if !there[key] {
			well = false
			fmt.Fprintf(r.out, "explained, and there is no such mutant: %s\n", key)
		}
	}
	for _, key := range r.overtaken {
		fmt.Fprintf(r.out, "explained, and killed: %s\n", key)
	}
	if left := tried - r.killed - r.survived; left > 0 {
		well = false
		fmt.Fprintf(r.out, "%d mutants were not tried: there was no time\n", left)
	}
	fmt.Fprintf(r.out, "mutation: %d mutants, %d killed, %d survived of which %d explained, %.0f s\n", tried, r.killed, r.survived, r.explained, time.Since(began).Seconds())
	return well
}

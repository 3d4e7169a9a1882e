// Command herd shows what a thousand electors do to etcd when something happens to all of them at once: changes of
// etcd's leader, the loss of a member, an outage, a start of all. It writes bench/HERD.md and a picture. `make herd`
// builds and runs it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/elector-dev/elector/internal/devetcd"
)

func main() {
	devetcd.MaybeRunMember()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	var err error
	if len(os.Args) == 5 && os.Args[1] == crowdVerb {
		err = beCrowd(ctx, os.Args[2:], os.Stdout)
	} else {
		err = measure(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "herd:", err)
		os.Exit(1)
	}
}

// full is the pace of what is written down.
var full = pace{
	peace: 15 * time.Second, freeze: 5 * time.Second, outage: ttl + 5*time.Second, long: 3 * ttl,
	after: 5 * time.Second, limit: 90 * time.Second,
}

func measure(ctx context.Context) error {
	electors := flag.Int("electors", 1000, "how many")
	results := flag.String("results", "bench/HERD.md", "the file to write; empty: print")
	picture := flag.String("picture", "docs/herd.svg", "the picture to write; empty: none")
	fsync := flag.Bool("fsync", false, "have etcd wait for its disk")
	limit := flag.Duration("limit", 10*time.Minute, "the longest that it may take")
	flag.Parse()
	ctx, cancel := context.WithTimeoutCause(ctx, *limit, errors.New("it takes too long: see --limit"))
	defer cancel()
	began := time.Now()
	var runs []*run
	var failed error
	for _, s := range []shape{{*electors, *electors}, {*electors - *electors%3, 3}} {
		r, err := goThrough(ctx, s, full, *fsync)
		failed = errors.Join(failed, err)
		if r != nil {
			runs = append(runs, r)
		}
	}
	text := write(ctx, runs, time.Since(began))
	if *results == "" {
		fmt.Print(text)
	} else {
		failed = errors.Join(failed, os.WriteFile(*results, []byte(text), 0o644))
	}
	if *picture != "" {
		failed = errors.Join(failed, os.WriteFile(*picture, []byte(draw(runs)), 0o644))
	}
	return failed
}

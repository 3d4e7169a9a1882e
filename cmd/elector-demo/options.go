package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// options are what the command line asks for.
type options struct {
	length   time.Duration // 0: until somebody ends it
	scenario string        // empty: none
	ttl      time.Duration
	members  int    // of etcd
	page     string // address of the page
	record   string // file to write the run to; empty: none
	replay   string // file to show a run from; empty: none, the run is live
	terminal bool   // draw, and read keys
}

const (
	defaultTTL    = 3 * time.Second
	defaultLength = 30 * time.Second // without a terminal
)

func help() string {
	return `elector-demo: one election among three electors, in a terminal and in a browser

It runs etcd and three electors, each with a worker that counts while it may. It shows who
leads, with which token and for how long that is certain, and lets you stop, kill, freeze,
cut off and restart them. It checks that never two say yes at the same time. Everything is
gone when it ends.

Usage:
  elector-demo [flags]

Flags:
      --for DURATION    end after this time (default: on a terminal never, else 30s)
      --scenario NAME   do this to whoever leads, again and again
                        (default: on a terminal nothing, else handover):
                          handover   stop it with SIGTERM, start it again
                          crash      kill it with SIGKILL, start it again
                          freeze     SIGSTOP for twice the lease time, then SIGCONT
                          cut        cut it off from etcd for twice the lease time
                          member     kill the leader of etcd instead, start it again
      --members N       members of etcd, 1 or 3 (default 3)
      --http ADDRESS    where the page is (default 127.0.0.1:0, a free port)
      --record FILE     keep what happens in a file
      --replay FILE     show on the page what a file has kept, and run nothing
      --ttl DURATION    lease time, 2s to 60s (default 3s: shorter than in production, so
                        that a crash is over soon)
  -h, --help            print this

Keys, on a terminal:
  1 2 3   choose an elector      s   stop it (SIGTERM)     f   freeze or unfreeze it
  4 5 6   or a member of etcd    k   kill it (SIGKILL)     r   start it again
  q       quit                   c   cut it off from etcd, or heal that

Without a terminal it prints a line for everything that happens.

Exit status: 0 if all went as promised, 1 if not or if the scenario could not be shown,
2 for a mistake on the command line.
`
}

// parse reads the command line; a mistake is one sentence.
func parse(args []string, terminal bool) (options, error) {
	o := options{terminal: terminal}
	fs := pflag.NewFlagSet("elector-demo", pflag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.DurationVar(&o.length, "for", 0, "")
	fs.StringVar(&o.scenario, "scenario", "", "")
	fs.DurationVar(&o.ttl, "ttl", defaultTTL, "")
	fs.IntVar(&o.members, "members", 3, "")
	fs.StringVar(&o.page, "http", "127.0.0.1:0", "")
	fs.StringVar(&o.record, "record", "", "")
	fs.StringVar(&o.replay, "replay", "", "")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if fs.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q: there are only flags, see --help", fs.Arg(0))
	}
	if fs.Changed("for") && o.length <= 0 {
		return o, fmt.Errorf("--for %v is not a time to run for: give a positive one, such as 30s", o.length)
	}
	if o.ttl < 2*time.Second || o.ttl > time.Minute || o.ttl%time.Second != 0 {
		return o, fmt.Errorf("--ttl %v is not possible here: give whole seconds from 2s to 60s", o.ttl)
	}
	if _, known := scenarios[o.scenario]; fs.Changed("scenario") && !known {
		return o, fmt.Errorf("--scenario %q is not known: give one of %s", o.scenario, strings.Join(scenarioNames(), ", "))
	}
	if o.members != 1 && o.members != 3 {
		return o, fmt.Errorf("--members %d is not possible here: give 1 or 3", o.members)
	}
	if o.replay != "" && (o.record != "" || fs.Changed("scenario") || fs.Changed("members") || fs.Changed("ttl")) {
		return o, errors.New("--replay shows a run as it was: leave out --record, --scenario, --members and --ttl")
	}
	if _, _, err := net.SplitHostPort(o.page); err != nil {
		return o, fmt.Errorf("--http %q is no address: give host:port, such as 127.0.0.1:8080", o.page)
	}
	if !terminal && !fs.Changed("for") && o.replay == "" {
		o.length = defaultLength
	}
	if !terminal && !fs.Changed("scenario") {
		o.scenario = "handover"
	}
	return o, nil
}

package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/elector-dev/elector/internal/chaos"
	"github.com/elector-dev/elector/internal/testenv"
)

// options are what the command line asks for.
type options struct {
	chaos.Options
	runs        uint64
	history     string
	timeline    string
	out         string
	replay      string
	beside      string
	table       string
	curves      string
	seedGiven   bool
	linksChosen string // why the links are what they are, if that leaves something out
}

func help() string {
	return `elector-chaos: break an election of real processes, and judge what came of it

It starts members of etcd, mostly three, and three to five electors, polls the electors all the
time, watches the keys in etcd, and breaks processes, network, disks and keys by a schedule
that follows from the seed. It checks that never two say yes at the same time, and all else
that is promised.

Usage:
  elector-chaos [flags]

Flags:
      --for DURATION       how long the faults of a storm go on; a run takes about a minute
                           more (default 3m)
      --seed N             what decides the schedule (default: random, printed)
      --runs N             so many runs with fresh clusters, of seeds N, N+1, ... (default 1)
      --scenario NAME      storm, which draws all kinds of faults, soak, a storm that ends no
                           elector, or a script (default storm):
                           ` + scripts() + `
      --ttl DURATION       lease time (default: 4s, or what suits the script)
      --electors N         3 to 5 (default: by the seed; 3 in scripts)
      --race               build the elector with the race detector (wants cgo): what it finds is
                           a violation
      --program PATH       the elector to run (default: built from ./cmd/elector)
      --kind elector|plain what the program is: plain only uses Campaign and Session.Done
      --etcd PATH          etcd's own program, for the members to be of another release
                           (default: the one that is embedded here)
      --members N          of etcd: 1, 3 or 5 (default 3)
      --poll DURATION      time between two polls of an elector (default 10ms)
      --links KIND         namespaces (default where they can be made) or proxies
      --history FILE       keep the record of the last run
      --timeline FILE      draw the last run, as an HTML page
      --table FILE         write a table of all runs, and what they saw together, as Markdown
      --curves FILE        draw what each process took of memory, goroutines and descriptors in
                           all runs, as SVG
      --out DIR            where a run that fails leaves its record, picture and logs
                           (default: a new temporary directory)
      --replay FILE        judge and draw a record again, and run nothing
      --beside FILE        with --replay and --timeline: draw this record below the other
  -h, --help               print this

Exit status: 0 if every promise was kept, 1 if not, or if too little was seen to say so,
2 for a mistake on the command line.
`
}

func scripts() string {
	return strings.Join(chaos.Scenarios()[1:], ", ")
}

// parse reads the command line; a mistake is one sentence.
func parse(args []string) (options, error) {
	o := options{}
	fs := pflag.NewFlagSet("elector-chaos", pflag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.DurationVar(&o.For, "for", 3*time.Minute, "")
	fs.Uint64Var(&o.Seed, "seed", 0, "")
	fs.Uint64Var(&o.runs, "runs", 1, "")
	fs.StringVar(&o.Scenario, "scenario", chaos.StormScenario, "")
	fs.DurationVar(&o.TTL, "ttl", 0, "")
	fs.IntVar(&o.Electors, "electors", 0, "")
	fs.StringVar(&o.Program, "program", "", "")
	fs.StringVar(&o.Kind, "kind", chaos.Elector, "")
	fs.StringVar(&o.Etcd, "etcd", "", "")
	fs.IntVar(&o.Members, "members", 3, "")
	fs.DurationVar(&o.Poll, "poll", 10*time.Millisecond, "")
	fs.BoolVar(&o.Race, "race", false, "")
	fs.StringVar(&o.Links, "links", "", "")
	fs.StringVar(&o.history, "history", "", "")
	fs.StringVar(&o.timeline, "timeline", "", "")
	fs.StringVar(&o.out, "out", "", "")
	fs.StringVar(&o.replay, "replay", "", "")
	fs.StringVar(&o.table, "table", "", "")
	fs.StringVar(&o.curves, "curves", "", "")
	fs.StringVar(&o.beside, "beside", "", "")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	o.seedGiven = fs.Changed("seed")
	switch {
	case fs.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q: there are only flags, see --help", fs.Arg(0))
	case fs.Changed("replay") && o.replay == "":
		return o, fmt.Errorf("--replay is empty: give the path of a record")
	case o.beside != "" && (o.replay == "" || o.timeline == ""):
		return o, fmt.Errorf("--beside %s draws a second record: give the first with --replay, and --timeline", o.beside)
	case o.runs == 0:
		return o, fmt.Errorf("--runs 0 would show nothing: give a positive number")
	}
	if o.replay != "" {
		return o, nil
	}
	if !o.seedGiven {
		o.Seed = rand.Uint64N(1_000_000_000)
	}
	o.chooseLinks()
	return o, o.Validate()
}

// chooseLinks takes namespaces where they can be made.
func (o *options) chooseLinks() {
	if o.Links != "" {
		return
	}
	o.Links = chaos.Namespaces
	if err := testenv.LackOfNetNS(); err != nil {
		o.Links = chaos.Proxies
		o.linksChosen = fmt.Sprintf("--links proxies, since there are no network namespaces here: %v", err)
	}
}

// again is the command that repeats a run of that seed.
func (o options) again(seed uint64) string {
	words := []string{"go run ./cmd/elector-chaos", fmt.Sprintf("--seed %d", seed), "--scenario " + o.Scenario, "--links " + o.Links}
	if o.Scenario == chaos.StormScenario || o.Scenario == chaos.SoakScenario {
		words = append(words, "--for "+o.For.String())
	}
	if o.TTL != 0 {
		words = append(words, "--ttl "+o.TTL.String())
	}
	if o.Electors != 0 {
		words = append(words, fmt.Sprintf("--electors %d", o.Electors))
	}
	if o.Kind != chaos.Elector {
		words = append(words, "--kind "+o.Kind)
	}
	if o.Etcd != "" {
		words = append(words, "--etcd "+o.Etcd)
	}
	if o.Members != 3 {
		words = append(words, fmt.Sprintf("--members %d", o.Members))
	}
	if o.Race {
		words = append(words, "--race")
	}
	if o.Program != "" {
		words = append(words, "--program "+o.Program)
	}
	return strings.Join(append(words, "--poll "+o.Poll.String()), " ")
}

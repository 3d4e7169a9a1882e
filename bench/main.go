// Command bench measures elector beside others and beside the floor, in one run, and writes what it found:
// bench/RESULTS.md and pictures for docs/. `make bench` builds what it needs and runs it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/elector-dev/elector/bench/report"
	"github.com/elector-dev/elector/bench/rig"
	"github.com/elector-dev/elector/internal/devetcd"
)

func main() {
	devetcd.MaybeRunMember()
	if len(os.Args) == 3 && os.Args[1] == holdVerb {
		os.Exit(hold(os.Args[2]))
	}
	if len(os.Args) == 6 && os.Args[1] == crowdVerb {
		os.Exit(crowd(os.Args[2:]))
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// lab is one run.
type lab struct {
	plan     plan
	programs rig.Programs
	image    string

	mu     sync.Mutex // guards found while measures run
	found  report.Found
	leases map[string]*rig.Member // by client-go's elections, one member of each
}

func (l *lab) put(measure, peer string, value float64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.found.Put(measure, peer, value)
}

func run(ctx context.Context) error {
	var l lab
	bin := flag.String("bin", "bin", "folder with elector, plain, bench-etcdctl, floor and clientgo")
	results := flag.String("results", "bench/RESULTS.md", "the file to write")
	pictures := flag.String("pictures", "docs", "the folder for pictures")
	size := flag.String("size", "short", "tiny, short or long")
	flag.StringVar(&l.image, "image", "elector", "the image to weigh, if Docker has it")
	flag.StringVar(&l.programs.Kubeconfig, "kubeconfig", "", "an API server, for client-go to be measured with; empty: its figures are those from elsewhere")
	kube := flag.String("kube-apiserver", "", "the program of an API server to start for that, instead")
	only := flag.String("only", "", "one measure alone, by its name; nothing is written")
	flag.Parse()
	var ok bool
	if l.plan, ok = plans[*size]; !ok {
		return fmt.Errorf("--size %q: use tiny, short or long", *size)
	}
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	at := func(name string) string { return filepath.Join(*bin, name) }
	l.programs = rig.Programs{
		Elector: at("elector"), Naive: at("plain"), Etcdctl: at("bench-etcdctl"), Floor: at("floor"), ClientGo: at("clientgo"),
		Kubeconfig: l.programs.Kubeconfig, Dir: dir,
	}
	l.found = report.Found{}
	if *kube != "" {
		server, err := rig.StartAPIServer(ctx, *kube, dir)
		if err != nil {
			return err
		}
		defer server.Close()
		l.programs.Kubeconfig = server.Kubeconfig
	}
	began := time.Now()
	var failed error // a measure that failed does not cost the others
	for _, m := range l.measures() {
		if *only != "" && *only != m.name {
			continue
		}
		fmt.Fprintf(os.Stderr, "%5.0f s  %s\n", time.Since(began).Seconds(), m.name)
		bounded, cancel := context.WithTimeoutCause(ctx, 20*time.Minute, errors.New("a measure takes too long"))
		err := m.take(bounded)
		cancel()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			log, _ := os.ReadFile(filepath.Join(dir, "log")) // what the candidates said last
			failed = errors.Join(failed, fmt.Errorf("%s: %w\n%s", m.name, err, log[max(0, len(log)-2000):]))
		}
	}
	failed = errors.Join(failed, l.forget(context.WithoutCancel(ctx)))
	fmt.Fprintf(os.Stderr, "%5.0f s  done\n", time.Since(began).Seconds())
	if *only != "" {
		fmt.Print(l.found.Dump())
		return failed
	}
	l.put("minutes", "run", time.Since(began).Minutes())
	table, err := report.Write(*results, *pictures, *size, l.found, report.Machine(ctx, l.programs))
	fmt.Println(table)
	return errors.Join(failed, err)
}

// measure is one part of a run.
type measure struct {
	name string
	take func(context.Context) error
}

func (l *lab) measures() []measure {
	return []measure{
		{"sizes", l.sizes},
		{"handover", l.handover},
		{"crowds", l.crowds},
		{"pollers", l.pollers},
		{"start", l.start},
		{"crash", l.crash},
		{"worker", l.workerDeath},
		{"overlap", l.overlap},
		{"client-go", l.clientGo},
		{"idle", l.idle},
		{"load", l.load},
		{"streams", l.streams},
		{"changes", l.changes},
	}
}

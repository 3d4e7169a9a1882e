package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/elector-dev/elector/bench/report"
	"github.com/elector-dev/elector/bench/rig"
)

// write is the page of figures.
func write(ctx context.Context, runs []*run, took time.Duration) string {
	var b strings.Builder
	m := report.Machine(ctx, rig.Programs{Etcdctl: "etcdctl"})
	fmt.Fprintf(&b, "# A herd of electors\n\n")
	fmt.Fprintf(&b, "Written by `make herd`, in one run of %.0f minutes; not edited. %d cores (%s), %s of memory, Linux %s; load average %s at\nthe end. ", took.Minutes(), m.Cores, m.CPU, m.Memory, m.Kernel, m.Load)
	fmt.Fprintf(&b, "Three members of etcd, each a process, and all electors in one other process, each with its own client and\nconnection as in production, at a TTL of %v. All share the cores, so etcd has less of them than in life. Every elector is\nasked every %v; each yes is a promise of up to %v, and is compared with all others.\n", ttl, sweepEvery, answerMax)
	for _, r := range runs {
		r.table(&b)
	}
	b.WriteString(legend)
	return b.String()
}

const legend = `
**without a leader**: the most elections in which nobody said yes. **first, all**: the time until the first and until every
election had a leader again, from the beginning of the fault; in brackets from when etcd's processes ran again. Keys of dead
electors, and leases that a new leader of etcd has extended, take up to a TTL. **requests**: unary ones and messages on
streams, as etcd's members count them. **etcd**: the most processor time within a second, of all members together; how often
etcd changed or lost its own leader *after* the fault had been mended, and for how long it had none; entries that etcd called
slow to apply. **sessions**: that were lost, and attempts that failed.
`

func (r *run) table(b *strings.Builder) {
	fmt.Fprintf(b, "\n## %s\n\n", strings.ToUpper(r.shape.String()[:1])+r.shape.String()[1:])
	fmt.Fprintln(b, "| | without a leader | first, all | requests, peak of 0.1 s | of 1 s | in all | to clients | connections made | etcd: cores | leader lost | slow | sessions |")
	fmt.Fprintln(b, "|---|---|---|---|---|---|---|---|---|---|---|---|")
	for _, t := range r.trials {
		f := r.figuresOf(t.began, t.mended, t.ended)
		fmt.Fprintf(b, "| %s | %s | %s | %.0f/s | %.0f/s | %.0f | %.1f MB | %.0f | %.1f | %s | %.0f | %d, %d |\n", t.name, count(f.most, r.elections()), times(f, t),
			f.requests.peak(1), f.requests.peak(10), f.requests.total(), f.sent.total()/1e6, f.fresh.total(), f.cpu.peak(10),
			lost(f), f.slow, f.sessions["lost"], f.sessions["failed"])
	}
	fmt.Fprintln(b)
	for _, t := range r.trials {
		f := r.figuresOf(t.began, t.mended, t.ended)
		var parts []string
		for _, m := range f.methods() {
			if n := f.by[m]; n >= float64(r.electors)/100 {
				parts = append(parts, fmt.Sprintf("%s %.0f", m, n))
			}
		}
		fmt.Fprintf(b, "* %s: %s\n", t.name, strings.Join(parts, ", "))
	}
	last := r.last()
	fmt.Fprintf(b, "\n%d answers, no two yes at once, no token twice. ", r.answers())
	fmt.Fprintf(b, "In peace the electors had %d MB of memory, and etcd's members %d MB together, with %d connections.\n", r.rss>>20, r.members>>20, r.peaceful())
	if last.Broken != "" {
		fmt.Fprintf(b, "\n**BROKEN: %s**\n", last.Broken)
	}
	if r.failed != nil {
		fmt.Fprintf(b, "\nIt ended early: %v.\n", r.failed)
	}
}

// answers is how many all crowds of the run have given.
func (r *run) answers() (n int64) {
	for i, w := range r.words {
		if i == len(r.words)-1 || r.words[i+1].Answers < w.Answers {
			n += w.Answers
		}
	}
	return n
}

// peaceful is how many connections there were in peace.
func (r *run) peaceful() int {
	for _, t := range r.trials {
		if t.name == peaceful {
			return r.figuresOf(t.began, t.mended, t.ended).connections
		}
	}
	return 0
}

func count(most, of int) string {
	if most == 0 {
		return "none"
	}
	return fmt.Sprintf("%d of %d", most, of)
}

func times(f figures, t trial) string {
	if f.most == 0 {
		return ""
	}
	all := fmt.Sprintf("%.1f s", f.all.Seconds())
	if f.gone {
		all = fmt.Sprintf("%.1f, %s", f.first.Seconds(), all)
	} else {
		all = "–, " + all
	}
	if back := t.mended - t.began; back > time.Second && f.all > back {
		all += fmt.Sprintf(" (%.1f s)", (f.all - back).Seconds())
	}
	return all
}

func lost(f figures) string {
	if f.changes == 0 && f.down == 0 {
		return "never"
	}
	return fmt.Sprintf("%.0f times, %.1f s", f.changes, f.down.Seconds())
}

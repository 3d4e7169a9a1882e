// Command picture draws docs/dashboard.png: it runs three electors, moves their lead in several ways, asks Prometheus the
// dashboard's queries and lays the answers out as the dashboard does. It is no Grafana, and says so in the picture.
//
//	go -C test/monitoring run ./picture
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/prometheus/common/model"

	"github.com/elector-dev/elector/internal/devetcd"
	"github.com/elector-dev/elector/test/monitoring/board"
	"github.com/elector-dev/elector/test/monitoring/lab"
)

const (
	ttl      = 6 * time.Second
	patience = time.Minute
	rate     = 10 * lab.ScrapeInterval // what stands for $__rate_interval
)

func main() {
	devetcd.MaybeRunMember()
	lab.MaybeRunElector()
	dashboard := flag.String("dashboard", "../../deploy/monitoring/dashboard.json", "the dashboard to draw")
	rules := flag.String("rules", "../../deploy/monitoring/rules.yaml", "the alerts to load")
	out := flag.String("out", "../../docs/dashboard.png", "the picture")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *dashboard, *rules, *out); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// answers are what Prometheus said to the targets of a panel, in their order.
type answers []model.Matrix

// run is the whole of it.
func run(ctx context.Context, dashboard, rules, out string) error {
	b, err := board.Read(dashboard)
	if err != nil {
		return err
	}
	l, err := lab.Start(ctx, 3, ttl, rules)
	if err != nil {
		return err
	}
	defer l.Close()
	if err := l.AwaitSample(ctx, `sum(elector_registered) == 3`); err != nil {
		return err
	}
	began := time.Now()
	events, err := (&story{Lab: l}).tell(ctx)
	if err != nil {
		return err
	}
	p := &page{began: began, ended: time.Now(), events: events}
	for _, panel := range b.Panels {
		var a answers
		for _, t := range panel.Targets {
			m, err := l.AskSince(ctx, t.Query(rate), began)
			if err != nil {
				return err
			}
			a = append(a, m)
		}
		p.panels = append(p.panels, drawn{panel, a})
	}
	return p.write(out)
}

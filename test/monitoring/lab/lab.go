// Package lab runs what alerts and dashboards are about, for tests and for the picture: etcd, electors as processes of
// their own, and a Prometheus that scrapes them every second and has the alerts loaded.
package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/elector-dev/elector/internal/devetcd"
)

// ScrapeInterval is the time between two scrapes and between two evaluations of the alerts.
const ScrapeInterval = time.Second

// Lab is all of it. Methods are for one goroutine.
type Lab struct {
	Etcd     *devetcd.Cluster // one member, which wants certificates
	Electors []*Elector
	*Prometheus
	dir string
}

// Start runs n electors, w1 and so on, and returns when Prometheus can be asked; ctx bounds the start alone. The rules
// are a file's path. Close it. The program calls devetcd.MaybeRunMember and MaybeRunElector first thing.
func Start(ctx context.Context, n int, ttl time.Duration, rules string) (l *Lab, err error) {
	l = &Lab{}
	defer func() {
		if err != nil {
			l.Close()
		}
	}()
	if l.dir, err = os.MkdirTemp("", "elector-lab-"); err != nil {
		return l, err
	}
	if l.Etcd, err = devetcd.StartProcesses(ctx, 1, devetcd.Options{TLS: true}); err != nil {
		return l, err
	}
	for i := range n {
		e, err := newElector(fmt.Sprintf("w%d", i+1), l.dir, ttl, l.Etcd)
		if err != nil {
			return l, err
		}
		l.Electors = append(l.Electors, e)
		if err := e.Start(); err != nil {
			return l, err
		}
	}
	config, err := l.scrapeConfig(rules)
	if err != nil {
		return l, err
	}
	l.Prometheus, err = startPrometheus(ctx, l.dir, config)
	return l, err
}

// scrapeConfig is Prometheus' configuration, in JSON, which is YAML too.
func (l *Lab) scrapeConfig(rules string) ([]byte, error) {
	rules, err := filepath.Abs(rules)
	if err != nil {
		return nil, err
	}
	type object = map[string]any
	var targets []object
	for _, e := range l.Electors {
		targets = append(targets, object{"targets": []string{e.addr}, "labels": object{"instance": e.Name}})
	}
	every := ScrapeInterval.String()
	return json.Marshal(object{
		"global":         object{"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every},
		"rule_files":     []string{rules},
		"scrape_configs": []object{{"job_name": "elector", "static_configs": targets}},
	})
}

// Close ends everything and removes what it wrote.
func (l *Lab) Close() {
	if l.Prometheus != nil {
		l.Prometheus.close()
	}
	for _, e := range l.Electors {
		e.close()
	}
	if l.Etcd != nil {
		l.Etcd.Close()
	}
	_ = os.RemoveAll(l.dir)
}

// Leader waits until one of the electors leads.
func (l *Lab) Leader(ctx context.Context) (leader *Elector, err error) {
	err = Await(ctx, "somebody leads", func(ctx context.Context) (bool, error) {
		for _, e := range l.Electors {
			if e.leads(ctx) {
				leader = e
			}
		}
		return leader != nil, nil
	})
	return leader, err
}

// Others are all electors but one.
func (l *Lab) Others(e *Elector) []*Elector {
	return slices.DeleteFunc(slices.Clone(l.Electors), func(o *Elector) bool { return o == e })
}

// Await asks five times a second until the answer is yes or an error, or ctx ends.
func Await(ctx context.Context, what string, is func(context.Context) (bool, error)) error {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		yes, err := is(ctx)
		if yes || err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("wait until %s: %w", what, context.Cause(ctx)), err)
		}
	}
}

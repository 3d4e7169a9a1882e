package lab

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/api"
	prometheus "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"

	"github.com/elector-dev/elector/internal/devetcd"
	"github.com/elector-dev/elector/internal/devetcd/proc"
)

// Prometheus is a server that answers for what it scrapes.
type Prometheus struct {
	prometheus.API
	process   *proc.Process
	transport *http.Transport
	Began     time.Time
}

func startPrometheus(ctx context.Context, dir string, config []byte) (*Prometheus, error) {
	addr, err := devetcd.FreeAddress("127.0.0.1")
	if err != nil {
		return nil, err
	}
	file, log := filepath.Join(dir, "prometheus.yml"), filepath.Join(dir, "prometheus.log")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		return nil, err
	}
	said, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer said.Close() // the child has its own
	cmd := exec.Command("prometheus", "--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "tsdb"), "--web.listen-address="+addr)
	cmd.Stdout, cmd.Stderr = said, said
	p := &Prometheus{transport: &http.Transport{}, Began: time.Now()}
	c, err := api.NewClient(api.Config{Address: "http://" + addr, RoundTripper: p.transport})
	if err != nil {
		return nil, err
	}
	p.API = prometheus.NewAPI(c)
	if p.process, err = proc.Start(cmd); err != nil {
		return nil, fmt.Errorf("start prometheus: %w", err)
	}
	err = Await(ctx, "prometheus answers", func(ctx context.Context) (bool, error) {
		if p.process.Ended() {
			text, err := os.ReadFile(log)
			return false, errors.Join(fmt.Errorf("prometheus has ended (%s): %s", p.process.Exit(), text), err)
		}
		_, err := p.Buildinfo(ctx)
		return err == nil, nil
	})
	if err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

// Ask is a query for this instant.
func (p *Prometheus) Ask(ctx context.Context, query string) (model.Vector, error) {
	v, _, _, err := p.Query(ctx, query, time.Now())
	if err != nil {
		return nil, fmt.Errorf("query %s: %w", query, err)
	}
	vector, ok := v.(model.Vector)
	if !ok {
		return nil, fmt.Errorf("query %s: the answer is a %s, not a vector", query, v.Type())
	}
	return vector, nil
}

// AskSince is a query for each second from an instant until now.
func (p *Prometheus) AskSince(ctx context.Context, query string, from time.Time) (model.Matrix, error) {
	v, _, _, err := p.QueryRange(ctx, query, prometheus.Range{Start: from, End: time.Now(), Step: ScrapeInterval})
	if err != nil {
		return nil, fmt.Errorf("query %s: %w", query, err)
	}
	matrix, ok := v.(model.Matrix)
	if !ok {
		return nil, fmt.Errorf("query %s: the answer is a %s, not a matrix", query, v.Type())
	}
	return matrix, nil
}

// AwaitSample waits until a query has an answer.
func (p *Prometheus) AwaitSample(ctx context.Context, query string) error {
	return Await(ctx, "prometheus has an answer to "+query, func(ctx context.Context) (bool, error) {
		v, err := p.Ask(ctx, query)
		return len(v) > 0, err
	})
}

func (p *Prometheus) close() {
	_ = p.process.Kill()
	p.transport.CloseIdleConnections()
}

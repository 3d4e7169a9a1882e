//go:build e2e

// Package compose runs deploy/compose.yaml.
package compose

import (
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/elector-dev/elector/internal/dockertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestHAProxyServesThroughTheOneLeaderOfTheComposition(t *testing.T) {
	p := up(t)
	entry, prometheus := p.port("haproxy", "8000"), p.port("prometheus", "9090")
	for _, worker := range []string{"worker-1", "worker-2", "worker-3"} {
		t.Cleanup(p.watch(worker))
	}
	var leader string
	var token int64
	next := func() {
		t.Helper()
		old, after := leader, token
		p.until("HAProxy serves through a new leader", func() bool {
			leader, token = p.served(entry)
			return token > after
		})
		if leader == old {
			t.Errorf("%s leads again, which was killed", leader)
		}
	}
	next()
	t.Logf("HAProxy serves through %s, token %d", leader, token)
	for _, worker := range []string{"worker-1", "worker-2", "worker-3"} {
		if worker != leader {
			p.stands(worker)
		}
	}
	p.until("Prometheus sees three electors, one of which leads", func() bool {
		return p.query(prometheus, "count(up == 1)") == "3" && p.query(prometheus, "sum(elector_leading)") == "1"
	})
	p.until("Prometheus has gone through all alerts, of which none fires", func() bool {
		evaluated, firing := p.alerts(prometheus)
		return evaluated["ElectorNoLeader"] && len(evaluated) >= 10 && len(firing) == 0
	})

	for _, what := range []string{"elector", "worker"} {
		old, began := leader, time.Now()
		elector := strings.Replace(old, "worker", "elector", 1)
		victim := strings.Replace(old, "worker", what, 1)
		p.compose("kill", victim)
		next()
		t.Logf("%s killed: HAProxy serves through %s, token %d, %v later", victim, leader, token, time.Since(began).Round(100*time.Millisecond))
		p.compose("start", old)
		p.compose("restart", elector)
		p.stands(old)
	}

	p.mu.Lock()
	defer p.mu.Unlock()
	terms, wrong := dockertest.Judge(p.told)
	for _, w := range wrong {
		t.Error(w)
	}
	if terms < 3 {
		t.Errorf("%d terms were seen of three at least", terms)
	}
	t.Logf("%d answers of %d terms", len(p.told), terms)
}

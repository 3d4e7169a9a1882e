// Package monitoring tests the alerts, the dashboard and the runbook: against promtool's cases, against Grafana's schema,
// and against a Prometheus that scrapes real electors while the lead moves.
package monitoring

import (
	"context"
	"fmt"
	"math"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"go.uber.org/goleak"

	"github.com/elector-dev/elector/internal/devetcd"
	"github.com/elector-dev/elector/internal/testenv"
	"github.com/elector-dev/elector/test/monitoring/lab"
)

func TestMain(m *testing.M) {
	devetcd.MaybeRunMember()
	lab.MaybeRunElector()
	goleak.VerifyTestMain(m)
}

// The TTL of the electors under test, and the longest that a test waits for anything.
const (
	ttl      = 4 * time.Second
	patience = time.Minute
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// metric is the beginning of a selector. All that is asked for is an elector's, or an alert.
var metric = regexp.MustCompile(`\b(?:elector_\w+|leader_election_\w+|ALERTS)\b(?:{[^}]*})?`)

// selectors are the series that an expression asks for.
func selectors(expr string) []string { return metric.FindAllString(expr, -1) }

// live is a lab whose waits fail the test.
type live struct {
	*lab.Lab
	t *testing.T
}

func start(t *testing.T) live {
	testenv.Command(t, "prometheus")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	l, err := lab.Start(ctx, 3, ttl, rulesFile)
	must(t, err)
	t.Cleanup(l.Close)
	t.Cleanup(func() {
		for _, e := range l.Electors {
			if t.Failed() {
				t.Logf("%s:\n%s", e.Name, e.Log())
			}
		}
	})
	return live{l, t}
}

// within bounds what is done.
func (l live) within(do func(ctx context.Context) error) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), patience)
	defer cancel()
	must(l.t, do(ctx))
}

// seen waits until a query has an answer.
func (l live) seen(query string, args ...any) {
	l.t.Helper()
	l.within(func(ctx context.Context) error { return l.AwaitSample(ctx, fmt.Sprintf(query, args...)) })
}

func (l live) ask(query string) (v model.Vector) {
	l.t.Helper()
	l.within(func(ctx context.Context) (err error) {
		v, err = l.Ask(ctx, query)
		return err
	})
	return v
}

// leader is who leads, as Prometheus has seen too.
func (l live) leader() (leader *lab.Elector) {
	l.t.Helper()
	l.within(func(ctx context.Context) error {
		return lab.Await(ctx, "prometheus sees a leader", func(ctx context.Context) (seen bool, err error) {
			if leader, err = l.Leader(ctx); err != nil {
				return false, err
			}
			v, err := l.Ask(ctx, fmt.Sprintf(`elector_leading{instance=%q} == 1`, leader.Name))
			return len(v) > 0, err
		})
	})
	return leader
}

// whole waits until all stand in the queue and one leads.
func (l live) whole() {
	l.t.Helper()
	l.seen(`sum(elector_registered) == %d and sum(elector_leading) == 1 and sum(elector_state{state="follower"}) == %[2]d`, len(l.Electors), len(l.Electors)-1)
}

func TestQueriesOfDashboardAndAlertsHaveAnswersOverHandovers(t *testing.T) {
	t.Parallel()
	l := start(t)
	l.whole()
	all := rules(t)
	l.moveTheLead()

	for _, p := range readBoard(t).Panels {
		for _, target := range p.Targets {
			query := target.Query(10 * lab.ScrapeInterval)
			var m model.Matrix
			l.within(func(ctx context.Context) (err error) {
				m, err = l.AskSince(ctx, query, l.Began)
				return err
			})
			if !slices.ContainsFunc(m, finite) {
				t.Errorf("%q has nothing to show for %s", p.Title, query)
			}
		}
	}
	for _, r := range all {
		for _, s := range selectors(r.Expr) {
			if len(l.ask(fmt.Sprintf("count_over_time(%s[5m])", s))) == 0 {
				t.Errorf("%s asks for %s, which no elector has", r.Alert, s)
			}
		}
	}
	// Prometheus has evaluated the alerts all the time. The lab's certificates live for a day, and the lead has moved a lot.
	l.seen(`ALERTS{alertname="ElectorCertificateEnds",alertstate="firing",severity="ticket"}`)
	for _, a := range l.ask(`count_over_time(ALERTS{alertname!~"ElectorFlapping|ElectorCertificateEnds",alertstate="firing"}[5m])`) {
		t.Errorf("fired over ordinary handovers: %v", a.Metric)
	}
	l.judgeAScrape()
	l.beLeftWithoutALeader(all)
}

// moveTheLead passes the lead on in every way.
func (l live) moveTheLead() {
	l.t.Helper()
	old := l.leader()
	l.within(func(ctx context.Context) error {
		_, err := old.Transfer(ctx, l.Others(old)[0].Name, 0, patience/2)
		return err
	})

	old = l.leader()
	l.within(old.Stop)
	l.leader()
	must(l.t, old.Start())
	l.whole()

	old = l.leader()
	must(l.t, old.Kill())
	l.leader()
	must(l.t, old.Start())
	l.whole()

	old = l.leader()
	must(l.t, old.Freeze())
	l.leader()
	must(l.t, old.Thaw())
	l.whole()

	old = l.leader()
	must(l.t, old.Sicken())
	l.seen(`elector_check_up{instance=%q} == 0`, old.Name)
	l.seen(`sum(elector_leading{instance!=%q}) == 1`, old.Name)
	must(l.t, old.Cure())
	l.whole()
}

// judgeAScrape has promtool judge what a scrape brings, and holds the runbook against it.
func (l live) judgeAScrape() {
	l.t.Helper()
	var text []byte
	l.within(func(ctx context.Context) (err error) {
		text, err = l.Electors[0].Scrape(ctx)
		return err
	})
	if said := promtool(l.t, text, "check", "metrics"); said != "" {
		l.t.Errorf("promtool check metrics: %s", said)
	}
	told, err := os.ReadFile(runbook)
	must(l.t, err)
	for _, name := range metric.FindAllString(string(told), -1) {
		name, _, _ = strings.Cut(name, "{")
		if !strings.Contains(string(text), "\n# TYPE "+strings.TrimSuffix(name, "_bucket")+" ") {
			l.t.Errorf("the runbook has the metric %s, which no scrape brings", name)
		}
	}
}

// beLeftWithoutALeader has everybody kept from campaigning, and then everybody dead.
func (l live) beLeftWithoutALeader(all []rule) {
	l.t.Helper()
	expr := func(alert string) string {
		return all[slices.IndexFunc(all, func(r rule) bool { return r.Alert == alert })].Expr
	}
	for _, e := range l.Electors {
		must(l.t, e.Sicken())
	}
	l.seen("%s", expr("ElectorNobodyEligible"))
	l.seen("%s", expr("ElectorNoLeader"))
	for _, e := range l.Electors {
		must(l.t, e.Cure())
	}
	l.whole()
	for _, e := range l.Electors {
		must(l.t, e.Kill())
	}
	l.seen("absent(elector_leading) and on () (%s)", expr("ElectorNoLeader"))
}

func finite(s *model.SampleStream) bool {
	return slices.ContainsFunc(s.Values, func(v model.SamplePair) bool { return !math.IsNaN(float64(v.Value)) })
}

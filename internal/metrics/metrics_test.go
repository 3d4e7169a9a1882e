package metrics

import (
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"go.uber.org/goleak"

	"github.com/elector-dev/elector/internal/election"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// asBroken makes this test binary scrape a collector that panics.
const asBroken = "ELECTOR_TEST_AS_BROKEN"

func TestMain(m *testing.M) {
	if os.Getenv(asBroken) != "" {
		broken := New(Config{Election: "shop/billing", Name: "billing", Version: "v1.2.3"})
		broken.AttachWorkers(Workers{Holds: func() int { panic("nothing is known any more") }})
		broken.Handler().ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/metrics", nil))
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// The registry would recover it and go on.
func TestPanicOfTheCollectorEndsTheProcess(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), asBroken+"=1")
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "panic: nothing is known any more") {
		t.Errorf("%v, said:\n%s", err, out)
	}
}

// looks is an elector whose answers are scripted. It has no Answer: a scrape that promised something
// would not compile.
type looks struct {
	answer election.Answer
	age    time.Duration
}

func (l looks) Look() election.Answer  { return l.answer }
func (l looks) LoopAge() time.Duration { return l.age }

// clocks are both clocks of a Metrics under test.
type clocks struct {
	now       time.Time
	suspended time.Duration
}

func newTest(t *testing.T) (*Metrics, *clocks) {
	t.Helper()
	c := &clocks{now: time.Unix(1_700_000_000, 0), suspended: time.Hour}
	m := newMetrics(Config{Election: "shop/billing", Name: "billing", Version: "v1.2.3"},
		func() time.Time { return c.now }, func() time.Duration { return c.suspended })
	return m, c
}

// scrape returns the exposition as Prometheus gets it.
func scrape(t *testing.T, m *Metrics) string {
	t.Helper()
	rec := httptest.NewRecorder()
	m.Handler().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if rec.Code != http.StatusOK {
		t.Fatalf("scrape: %d: %s", rec.Code, rec.Body)
	}
	return rec.Body.String()
}

// own are the lines of the elector's metrics, without those of the runtime and the process and without
// what depends on the toolchain.
func own(exposition string) string {
	var b strings.Builder
	for line := range strings.Lines(exposition) {
		name := strings.TrimPrefix(strings.TrimPrefix(line, "# HELP "), "# TYPE ")
		if strings.HasPrefix(name, "elector_build_info{") {
			continue
		}
		if strings.HasPrefix(name, "elector_") || strings.HasPrefix(name, "leader_election_") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// wantSample fails unless the exposition has this very line.
func wantSample(t *testing.T, exposition, line string) {
	t.Helper()
	if !slices.Contains(strings.Split(exposition, "\n"), line) {
		name, _, _ := strings.Cut(line, "{")
		t.Errorf("no sample %q; there is:\n%s", line, grep(exposition, name))
	}
}

func grep(text, part string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if strings.Contains(line, part) {
			b.WriteString(line)
		}
	}
	return b.String()
}

func TestWorkersAreShown(t *testing.T) {
	m, _ := newTest(t)
	m.AttachWorkers(Workers{
		Holds:  func() int { return 2 },
		Checks: func() []Check { return []Check{{"http http://127.0.0.1:8080/", true}, {"file /run/\xff", false}} },
	})
	m.AttachCertificates(func() []Certificate { return []Certificate{{"/tls/tls.crt", time.Unix(1_800_000_000, 0)}} })
	m.AttachKube(func() []KubeObject { return []KubeObject{{"service", true}, {"pod-label", false}} })
	m.Hook("on-lead", "timeout", 2*time.Second)
	for phase, eligible := range map[election.Phase]string{
		election.Follower: "1", election.Connecting: "1", election.Ineligible: "0", election.Fenced: "0",
	} {
		m.Attach(looks{answer: election.Answer{State: election.State{Phase: phase}}})
		wantSample(t, scrape(t, m), `elector_eligible{election="shop/billing"} `+eligible)
	}
	stepping := election.State{Phase: election.SteppingDown, Bar: election.Bar{Cause: election.CauseDrained}}
	m.Attach(looks{answer: election.Answer{State: stepping}})
	out := scrape(t, m)
	for _, line := range []string{
		`elector_eligible{election="shop/billing"} 0`,
		`elector_holds{election="shop/billing"} 2`,
		`elector_check_up{check="http http://127.0.0.1:8080/",election="shop/billing"} 1`,
		"elector_check_up{check=\"file /run/\ufffd\",election=\"shop/billing\"} 0",
		`elector_tls_certificate_not_after_timestamp_seconds{election="shop/billing",file="/tls/tls.crt"} 1.8e+09`,
		`elector_kube_up{election="shop/billing",object="service"} 1`,
		`elector_kube_up{election="shop/billing",object="pod-label"} 0`,
		`elector_hook_duration_seconds_count{election="shop/billing",hook="on-lead",result="timeout"} 1`,
	} {
		wantSample(t, out, line)
	}
}

func leader() election.Answer {
	return election.Answer{
		State: election.State{
			Phase: election.Leader, Since: time.UnixMilli(1_700_000_001_500), Token: 42,
			Registered: true, LeaseTTL: 12 * time.Second,
			Leader: election.Candidate{Identity: "a", Token: 42},
		},
		Leading: true, Connected: true, LeaseLeft: 7500 * time.Millisecond,
	}
}

func TestScrapeBeforeAttachShowsEveryMetricAtItsStart(t *testing.T) {
	m, _ := newTest(t)
	golden(t, "testdata/before_attach.prom", own(scrape(t, m)))
}

func TestScrapeOfALeaderShowsTermLeaseAndCounts(t *testing.T) {
	m, c := newTest(t)
	m.Attach(looks{answer: leader()})
	m.TermStarted()
	m.TermEnded(election.CauseKeyDeleted)
	m.LeaderChanged()
	m.Session(election.SessionIsOpen)
	m.Renewal(election.RenewalConfirmed, 3*time.Millisecond, 20*time.Millisecond)
	m.Handover(300 * time.Millisecond)
	m.LoopLag(40 * time.Millisecond)
	m.Request("grant", "OK")
	m.Request("txn", "Unavailable")
	c.suspended += 90 * time.Second
	golden(t, "testdata/leader.prom", own(scrape(t, m)))
}

// golden compares with a file that -update writes.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("differs from %s; got:\n%s", file, got)
	}
}

func TestScrapeShowsWhatIsTrueAtTheScrape(t *testing.T) {
	m, _ := newTest(t)
	m.Attach(looks{answer: leader()})
	wantSample(t, scrape(t, m), `elector_leading{election="shop/billing"} 1`)

	lapsed := leader()
	lapsed.Leading, lapsed.Token, lapsed.LeaseLeft, lapsed.Phase = false, 0, 0, election.SteppingDown
	m.Attach(looks{answer: lapsed})
	got := scrape(t, m)
	wantSample(t, got, `elector_leading{election="shop/billing"} 0`)
	wantSample(t, got, `leader_election_master_status{election="shop/billing",name="billing"} 0`)
	wantSample(t, got, `elector_fencing_token{election="shop/billing"} 0`)
	wantSample(t, got, `elector_state{election="shop/billing",state="leader"} 0`)
	wantSample(t, got, `elector_state{election="shop/billing",state="stepping-down"} 1`)
}

func TestEveryMetricCarriesTheElectionAndPassesTheLinter(t *testing.T) {
	m, _ := newTest(t)
	m.Attach(looks{answer: leader()})
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if !strings.HasPrefix(p.Metric, "go_") && !strings.HasPrefix(p.Metric, "process_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
	for line := range strings.Lines(scrape(t, m)) {
		if !strings.HasPrefix(line, "#") && !strings.Contains(line, `election="shop/billing"`) {
			t.Errorf("without the election: %s", line)
		}
	}
}

func TestScrapeHasTheRuntimeAndTheProcess(t *testing.T) {
	m, _ := newTest(t)
	got := scrape(t, m)
	for _, name := range []string{"go_goroutines", "process_resident_memory_bytes", "elector_build_info"} {
		if !strings.Contains(got, "\n"+name+"{") {
			t.Errorf("no %s", name)
		}
	}
	if build := grep(got, "elector_build_info{"); !strings.Contains(build, `version="v1.2.3"`) {
		t.Errorf("build info is %s", build)
	}
}

func TestNamesThatAreNotUTF8DoNotStopTheStart(t *testing.T) {
	m := New(Config{Election: "shop/\xff", Name: "\xff", Version: "\xff"})
	wantSample(t, scrape(t, m), "leader_election_master_status{election=\"shop/\ufffd\",name=\"\ufffd\"} 0")
}

func TestUnconfirmedRenewalIsTimedOnceOnly(t *testing.T) {
	m, _ := newTest(t)
	m.Renewal(election.RenewalUnconfirmed, time.Millisecond, 0)
	m.Renewal(election.RenewalConfirmed, time.Millisecond, time.Millisecond)
	got := scrape(t, m)
	wantSample(t, got, `elector_renewals_total{election="shop/billing",result="unconfirmed"} 1`)
	wantSample(t, got, `elector_renewal_duration_seconds_count{election="shop/billing"} 1`)
	wantSample(t, got, `elector_confirmation_duration_seconds_count{election="shop/billing"} 1`)
}

func TestLoopLagIsTheWorstOfTheLastMinutes(t *testing.T) {
	m, c := newTest(t)
	m.LoopLag(2 * time.Second)
	m.LoopLag(time.Millisecond)
	lag := func(want string) {
		t.Helper()
		wantSample(t, scrape(t, m), `elector_loop_lag_seconds{election="shop/billing"} `+want)
	}
	lag("2")
	c.now = c.now.Add(lagSpan)
	m.LoopLag(time.Second)
	lag("2")
	c.now = c.now.Add(lagSpan)
	lag("1")
	m.LoopLag(time.Second)
	c.now = c.now.Add(5 * lagSpan) // nobody scraped
	lag("0")
}

func TestLoopLagGrowsWhileTheLoopIsStarved(t *testing.T) {
	m, _ := newTest(t)
	m.LoopLag(time.Millisecond)
	m.Attach(looks{answer: leader(), age: time.Second}) // as it may: a twelfth of 12 s
	wantSample(t, scrape(t, m), `elector_loop_lag_seconds{election="shop/billing"} 0.001`)
	m.Attach(looks{answer: leader(), age: 9 * time.Second})
	wantSample(t, scrape(t, m), `elector_loop_lag_seconds{election="shop/billing"} 8`)
	m.Attach(looks{age: 3 * time.Second}) // no lease: the longest interval there is, two seconds
	wantSample(t, scrape(t, m), `elector_loop_lag_seconds{election="shop/billing"} 1`)
}

func TestSuspendedSecondsNeverFall(t *testing.T) {
	m, c := newTest(t)
	suspended := func(want string) {
		t.Helper()
		wantSample(t, scrape(t, m), `elector_suspended_seconds_total{election="shop/billing"} `+want)
	}
	suspended("0")
	c.suspended += 5 * time.Millisecond
	suspended("0")
	c.suspended += 3 * time.Second
	suspended("3")
	c.suspended -= 20 * time.Millisecond
	suspended("3")
}

func TestScrapesAndCountsMayRunTogether(t *testing.T) {
	m, _ := newTest(t)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			m.Attach(looks{answer: leader()})
			m.LoopLag(time.Millisecond)
			m.Request("put", "Internal")
			m.Renewal(election.RenewalLate, time.Second, time.Second)
			scrape(t, m)
		})
	}
	all.Wait()
	wantSample(t, scrape(t, m), `elector_etcd_errors_total{code="Internal",election="shop/billing",op="put"} 4`)
}

package metrics

import (
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/elector-dev/elector/internal/boottime"
	"github.com/elector-dev/elector/internal/election"
)

// Config names the elector in its metrics.
type Config struct {
	Election string // "<namespace>/<name>": the constant label of every metric
	Name     string // label of client-go's leader_election_master_status
	Version  string // of the build
}

// Elector is what a scrape asks. Its methods are called concurrently and must not block.
// *election.Elector is one.
type Elector interface {
	// Look evaluates leadership now and promises nothing.
	Look() election.Answer
	// LoopAge is how long ago the elector's loop last ran; zero before it first ran.
	LoopAge() time.Duration
}

var (
	_ Elector              = (*election.Elector)(nil)
	_ election.Recorder    = (*Metrics)(nil)
	_ prometheus.Collector = (*Metrics)(nil)
)

// Metrics is one elector's metrics in a registry of their own. It implements election.Recorder, and
// prometheus.Collector for what is computed at scrape. All methods may be called concurrently and
// none blocks.
type Metrics struct {
	registry *prometheus.Registry
	started  time.Time
	elector  atomic.Pointer[Elector]              // nil before Attach
	workers  atomic.Pointer[Workers]              // nil before AttachWorkers
	files    atomic.Pointer[func() []Certificate] // nil before AttachCertificates
	kube     atomic.Pointer[func() []KubeObject]  // nil before AttachKube
	lag      *lagWindow
	suspends *suspends
	counters
	now gauges
}

// New returns metrics that are ready to be scraped; until Attach they show an elector that connects.
// It starts nothing.
func New(cfg Config) *Metrics {
	return newMetrics(cfg, time.Now, boottime.Suspended)
}

// newMetrics is New with the clocks injected.
func newMetrics(cfg Config, now func() time.Time, suspended func() time.Duration) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		started:  now(),
		lag:      newLagWindow(now),
		suspends: newSuspends(suspended),
		counters: newCounters(),
		now:      newGauges(),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "elector_build_info",
		Help: "Always 1; the labels say which build this is.",
		ConstLabels: prometheus.Labels{
			"version": valid(cfg.Version), "goversion": runtime.Version(),
		},
	})
	build.Set(1)
	m.now.status = newDesc("leader_election_master_status",
		"Whether this elector leads (1) or not (0), under the name that client-go uses for it.",
		prometheus.Labels{"name": valid(cfg.Name)})
	labelled := prometheus.WrapRegistererWith(prometheus.Labels{"election": valid(cfg.Election)}, m.registry)
	labelled.MustRegister(m, build,
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	labelled.MustRegister(m.counters.all()...)
	return m
}

// valid makes a label value of s: Prometheus refuses anything but UTF-8.
func valid(s string) string { return strings.ToValidUTF8(s, "\ufffd") }

// Attach names the elector that scrapes look at from now on.
func (m *Metrics) Attach(e Elector) { m.elector.Store(&e) }

// Check is a check of the worker and what it says.
type Check struct {
	Name string // a label value, of those in the settings
	Up   bool
}

// Workers is what is known of the workers beside the elector. Its functions are called concurrently and must not block.
type Workers struct {
	Holds  func() int
	Checks func() []Check // names differ
}

// AttachWorkers names what scrapes ask about workers from now on.
func (m *Metrics) AttachWorkers(w Workers) { m.workers.Store(&w) }

// Certificate is a file of certificates, and when it is of no use any more.
type Certificate struct {
	File     string
	NotAfter time.Time
}

// AttachCertificates names what scrapes ask about certificates from now on. It is called concurrently and may read
// small local files; names differ.
func (m *Metrics) AttachCertificates(list func() []Certificate) { m.files.Store(&list) }

// KubeObject is what an API server is told of, and whether that has gone well.
type KubeObject struct {
	Name string // a label value, of a small set
	Up   bool
}

// AttachKube names what scrapes ask about objects at an API server from now on. It is called concurrently and must not
// block; names differ.
func (m *Metrics) AttachKube(list func() []KubeObject) { m.kube.Store(&list) }

// Handler answers scrapes. A collector that fails, such as the process collector without /proc, costs
// its own metrics only; more than four scrapes at a time are answered 503.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: 4,
	})
}

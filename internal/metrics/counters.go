package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/elector-dev/elector/internal/election"
)

// latencies are the bounds of every duration's buckets, in seconds: from a transaction on a quiet
// member to a request that outlived the default TTL.
var latencies = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}

// etcdOps and etcdCodes are the requests that an elector makes and the failures that a weak network or
// a missing permission leads to; they start at zero, so that the first one is an increase. Others
// appear when they first happen.
var (
	etcdOps   = []string{"authenticate", "grant", "keepalive", "range", "revoke", "txn", "watch"}
	etcdCodes = []string{"DeadlineExceeded", "PermissionDenied", "Unavailable"}
)

// counters are what the elector's loop and the store feed. They are safe for concurrent use.
type counters struct {
	leaderChanges prometheus.Counter
	termsStarted  prometheus.Counter
	termsEnded    *prometheus.CounterVec // cause
	renewals      *prometheus.CounterVec // result
	sessions      *prometheus.CounterVec // result
	requests      *prometheus.CounterVec // op
	errors        *prometheus.CounterVec // op, code

	twins prometheus.Gauge

	renewalTime      prometheus.Histogram
	confirmationTime prometheus.Histogram
	handoverTime     prometheus.Histogram
	hookTime         *prometheus.HistogramVec // hook, result
}

func newCounters() counters {
	c := counters{
		leaderChanges: counter("elector_leader_changes_total", "Leaders that this elector has seen, itself included, each term counted once."),
		termsStarted:  counter("elector_terms_started_total", "Terms that this elector has begun."),
		termsEnded:    counterVec("elector_terms_ended_total", "Terms of this elector that have ended, by cause.", "cause"),
		renewals: counterVec("elector_renewals_total",
			"What became of the lease renewals that were acknowledged while this elector stood first: only confirmed ones prolong a term.", "result"),
		sessions: counterVec("elector_sessions_total", "Sessions with etcd that were opened, could not be opened (failed), were lost or released.", "result"),
		requests: counterVec("elector_etcd_requests_total", "Requests to etcd that have finished, and messages received on streams, failures included.", "op"),
		errors:   counterVec("elector_etcd_errors_total", "Requests to etcd that failed, by gRPC code.", "op", "code"),

		twins: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "elector_identity_collisions",
			Help: "Other processes that stood under this elector's identity when the queue was last read.",
		}),

		renewalTime:      histogram("elector_renewal_duration_seconds", "From sending a keep-alive to its acknowledgement."),
		confirmationTime: histogram("elector_confirmation_duration_seconds", "From sending a renewal's confirming transaction to its reply."),
		handoverTime:     histogram("elector_handover_duration_seconds", "From seeing the predecessor's key deleted to the first own yes."),
	}
	c.hookTime = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "elector_hook_duration_seconds", Help: "Runs of hooks, by their result: ok, failed, timeout or cancelled.", Buckets: latencies,
	}, []string{"hook", "result"})
	for _, cause := range election.TermEndCauses {
		c.termsEnded.WithLabelValues(string(cause))
	}
	for _, result := range election.RenewalResults {
		c.renewals.WithLabelValues(string(result))
	}
	for _, result := range election.SessionResults {
		c.sessions.WithLabelValues(string(result))
	}
	for _, op := range etcdOps {
		c.requests.WithLabelValues(op)
		for _, code := range etcdCodes {
			c.errors.WithLabelValues(op, code)
		}
	}
	return c
}

func counter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
}

func counterVec(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}

func histogram(name, help string) prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: latencies})
}

// all lists the counters for registration.
func (c *counters) all() []prometheus.Collector {
	return []prometheus.Collector{
		c.leaderChanges, c.termsStarted, c.termsEnded, c.renewals, c.sessions, c.requests, c.errors,
		c.twins, c.renewalTime, c.confirmationTime, c.handoverTime, c.hookTime,
	}
}

// Renewal implements election.Recorder. An unconfirmed renewal will be told of again, with what comes
// of the next attempt, so its own duration is left for then.
func (m *Metrics) Renewal(result election.RenewalResult, renewal, confirmation time.Duration) {
	m.renewals.WithLabelValues(string(result)).Inc()
	if renewal > 0 && result != election.RenewalUnconfirmed {
		m.renewalTime.Observe(renewal.Seconds())
	}
	if confirmation > 0 {
		m.confirmationTime.Observe(confirmation.Seconds())
	}
}

// Handover implements election.Recorder.
func (m *Metrics) Handover(d time.Duration) { m.handoverTime.Observe(d.Seconds()) }

// Session implements election.Recorder.
func (m *Metrics) Session(result election.SessionResult) {
	m.sessions.WithLabelValues(string(result)).Inc()
}

// TermStarted implements election.Recorder.
func (m *Metrics) TermStarted() { m.termsStarted.Inc() }

// TermEnded implements election.Recorder.
func (m *Metrics) TermEnded(cause election.Cause) { m.termsEnded.WithLabelValues(string(cause)).Inc() }

// LeaderChanged implements election.Recorder.
func (m *Metrics) LeaderChanged() { m.leaderChanges.Inc() }

// LoopLag implements election.Recorder.
func (m *Metrics) LoopLag(d time.Duration) { m.lag.add(d) }

// Twins implements election.Recorder.
func (m *Metrics) Twins(n int) { m.twins.Set(float64(n)) }

// Hook counts a run of a hook. Both are label values and must come from small sets.
func (m *Metrics) Hook(hook, result string, took time.Duration) {
	m.hookTime.WithLabelValues(hook, result).Observe(took.Seconds())
}

// Request counts one finished request to etcd: its operation and its gRPC code as text, "OK" for a
// success. Both are label values and must come from small sets.
func (m *Metrics) Request(op, code string) {
	m.requests.WithLabelValues(op).Inc()
	if code != "OK" {
		m.errors.WithLabelValues(op, code).Inc()
	}
}

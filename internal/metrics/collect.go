package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/elector-dev/elector/internal/crash"
	"github.com/elector-dev/elector/internal/election"
)

// gauges describe what is computed at scrape.
type gauges struct {
	leading, state                 *prometheus.Desc
	leaseRemaining, leaseTTL       *prometheus.Desc
	fencingToken, observedToken    *prometheus.Desc
	registered, connected          *prometheus.Desc
	eligible, checkUp, holds       *prometheus.Desc
	certificateEnd                 *prometheus.Desc
	kubeUp                         *prometheus.Desc
	loopLag, suspended, transition *prometheus.Desc
	status                         *prometheus.Desc
}

func newGauges() gauges {
	plain := func(name, help string) *prometheus.Desc { return newDesc(name, help, nil) }
	return gauges{
		leading:        plain("elector_leading", "Whether this elector leads at the instant of the scrape (1) or not (0)."),
		state:          newDesc("elector_state", "1 for the state that the elector is in, 0 for all others.", nil, "state"),
		leaseRemaining: plain("elector_lease_remaining_seconds", "Time until the lease can expire; 0 without a lease. Certainty of leading ends a margin earlier."),
		leaseTTL:       plain("elector_lease_ttl_seconds", "Time to live of the lease, as etcd granted it; 0 without a lease."),
		fencingToken:   plain("elector_fencing_token", "Fencing token of the own term; 0 when not leading."),
		observedToken:  plain("elector_observed_token", "Fencing token of the leader as last observed; 0 when it is not known or there is none."),
		registered:     plain("elector_registered", "Whether the own key stands in the queue (1) or not (0)."),
		connected:      plain("elector_connected", "Whether the elector is in contact with etcd (1) or not (0)."),
		eligible:       plain("elector_eligible", "Whether this elector may campaign (1) or not (0), for a check, a missing hold, a drain, a cooldown or a fence. A sum of 0 over an election means that nobody can lead."),
		checkUp:        newDesc("elector_check_up", "Whether a check of the worker passes (1) or not (0).", nil, "check"),
		holds:          plain("elector_holds", "Workers that hold at this elector."),
		certificateEnd: newDesc("elector_tls_certificate_not_after_timestamp_seconds", "When a file of certificates for etcd is of no use any more, in Unix time: the latest end of those in it.", nil, "file"),
		kubeUp:         newDesc("elector_kube_up", "Whether the API server was told last what an object there is to say (1) or that failed (0); without --kube-* there is none.", nil, "object"),
		loopLag: plain("elector_loop_lag_seconds",
			"How late the elector's loop ran at worst in the last one to two minutes; a loop that is overdue at the scrape counts with what it is late by then."),
		suspended:  plain("elector_suspended_seconds_total", "Time that the host has spent suspended since this process started."),
		transition: plain("elector_last_transition_timestamp_seconds", "When the elector entered its state, in Unix time."),
	}
}

func newDesc(name, help string, constant prometheus.Labels, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, constant)
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(out chan<- *prometheus.Desc) {
	g := &m.now
	for _, d := range []*prometheus.Desc{
		g.leading, g.state, g.leaseRemaining, g.leaseTTL, g.fencingToken, g.observedToken, g.registered,
		g.connected, g.eligible, g.checkUp, g.holds, g.certificateEnd, g.kubeUp, g.loopLag, g.suspended, g.transition, g.status,
	} {
		out <- d
	}
}

// Collect implements prometheus.Collector: one look at the elector, and every gauge from that look, so
// that they agree with each other.
func (m *Metrics) Collect(out chan<- prometheus.Metric) {
	defer crash.OnPanic() // the registry would go on
	a, age := m.look()
	g := &m.now
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(g.leading, truth(a.Leading))
	gauge(g.status, truth(a.Leading))
	for _, phase := range election.Phases {
		gauge(g.state, truth(a.Phase == phase), string(phase))
	}
	gauge(g.leaseRemaining, a.LeaseLeft.Seconds())
	gauge(g.leaseTTL, a.LeaseTTL.Seconds())
	gauge(g.fencingToken, float64(a.Token))
	gauge(g.observedToken, float64(a.Leader.Token))
	gauge(g.registered, truth(a.Registered))
	gauge(g.connected, truth(a.Connected))
	gauge(g.eligible, truth(a.Eligible()))
	if w := m.workers.Load(); w != nil {
		gauge(g.holds, float64(w.Holds()))
		for _, c := range w.Checks() {
			gauge(g.checkUp, truth(c.Up), valid(c.Name))
		}
	}
	if list := m.files.Load(); list != nil {
		for _, c := range (*list)() {
			gauge(g.certificateEnd, float64(c.NotAfter.Unix()), valid(c.File))
		}
	}
	if list := m.kube.Load(); list != nil {
		for _, o := range (*list)() {
			gauge(g.kubeUp, truth(o.Up), o.Name)
		}
	}
	gauge(g.loopLag, max(m.lag.worst(), age-loopInterval(a)).Seconds())
	gauge(g.transition, float64(a.Since.UnixMilli())/1000)
	out <- prometheus.MustNewConstMetric(g.suspended, prometheus.CounterValue, m.suspends.total().Seconds())
}

// look asks the elector, or answers for one that is not there yet.
func (m *Metrics) look() (election.Answer, time.Duration) {
	e := m.elector.Load()
	if e == nil {
		return election.Answer{State: election.State{Phase: election.Connecting, Since: m.started}}, 0
	}
	return (*e).Look(), (*e).LoopAge()
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// loopInterval is the longest that a healthy loop sleeps, by the TTL that was granted, which is at least the one that was
// asked for. Without a lease the TTL is not known here, and nothing is held that a late loop could lose, so the longest
// there is will do.
func loopInterval(a election.Answer) time.Duration {
	switch {
	case a.Token != 0:
		return election.LoopInterval(a.LeaseTTL)
	case a.LeaseTTL != 0:
		return election.RestInterval(a.LeaseTTL)
	}
	return election.RestInterval(election.MaxTTL)
}

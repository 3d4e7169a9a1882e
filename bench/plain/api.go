package main

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sys/unix"
)

// routes are those of elector that a poller and a scraper ask.
func (d *daemon) routes() http.Handler {
	registry := prometheus.NewRegistry()
	labelled := prometheus.WrapRegistererWith(prometheus.Labels{"election": d.path()}, registry)
	labelled.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "elector_leading", Help: "Whether this daemon believes that it leads (1) or not (0).",
		}, func() float64 { return min(1, float64(d.token.Load())) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "elector_fencing_token", Help: "Fencing token of the leadership believed in; 0 when there is none.",
		}, func() float64 { return float64(d.token.Load()) }),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	mux := http.NewServeMux()
	mux.HandleFunc("/leader", d.leader)
	mux.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	return mux
}

// status is the body of /leader: elector's fields, without those that a flag cannot fill.
type status struct {
	Election    string `json:"election"` // "<namespace>/<name>"
	Identity    string `json:"identity"`
	Incarnation string `json:"incarnation"`
	State       string `json:"state"` // connecting, follower or leader
	Leading     bool   `json:"leading"`
	Token       int64  `json:"token"`
	ExpiresInMs int64  `json:"expires_in_ms"` // always 0: nobody knows how long a flag stays true

	// ExpiresBoottimeMs is, in a yes, the reading of the host's CLOCK_BOOTTIME just before the flag
	// was looked at, so that it can be told when the yes was meant. It promises nothing beyond.
	ExpiresBoottimeMs int64 `json:"expires_boottime_ms"`
}

// leader answers by its status whether this daemon believes that it leads.
func (d *daemon) leader(w http.ResponseWriter, _ *http.Request) {
	at := bootTime()
	s := status{
		Election: d.path(), Identity: d.id, Incarnation: d.incarnation, State: "connecting", Token: d.token.Load(),
	}
	code := http.StatusServiceUnavailable
	switch {
	case s.Token != 0:
		code, s.State, s.Leading, s.ExpiresBoottimeMs = http.StatusOK, "leader", true, at.Milliseconds()
	case d.standing.Load():
		s.State = "follower"
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(s) // an error means that the reader is gone
}

// bootTime is the time since the host booted, suspend included.
func bootTime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic("read the boot clock: " + err.Error())
	}
	return time.Duration(ts.Nano())
}

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"

	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// candidate is one.
type candidate struct {
	settings
	log           *slog.Logger
	elector       *leaderelection.LeaderElector
	reads, writes atomic.Int64 // requests to the API server

	mu    sync.Mutex // guards the fields below, for a comparison
	work  bool       // the library has said that it may go on
	ended bool       // this program is to end
}

func newCandidate(s settings, log *slog.Logger) (*candidate, error) {
	c := &candidate{settings: s, log: log}
	config, err := s.access()
	if err != nil {
		return nil, err
	}
	config.Wrap(func(rt http.RoundTripper) http.RoundTripper { return counter{rt, c} })
	lock, err := resourcelock.NewFromKubeconfig(resourcelock.LeasesResourceLock, s.namespace, s.election,
		resourcelock.ResourceLockConfig{Identity: s.id}, config, s.renewDeadline)
	if err != nil {
		return nil, fmt.Errorf("make a lock: %w", err)
	}
	c.elector, err = leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: lock, Name: s.election, LeaseDuration: s.leaseDuration, RenewDeadline: s.renewDeadline, RetryPeriod: s.retry,
		ReleaseOnCancel: true,
		Callbacks:       leaderelection.LeaderCallbacks{OnStartedLeading: c.started, OnStoppedLeading: c.stopped},
	})
	return c, err
}

// keepCampaigning takes part again when the lead was lost, until ctx ends.
func (c *candidate) keepCampaigning(ctx context.Context) {
	for ctx.Err() == nil {
		c.elector.Run(ctx)
	}
}

// started begins the work. The library calls it in a goroutine of its own, so it may come after stopped; then ctx has ended.
func (c *candidate) started(ctx context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.work = ctx.Err() == nil && !c.ended
	c.log.Info("leading", "work", c.work)
}

// stopped ends the work. The library calls it when it has tried to release the Lease.
func (c *candidate) stopped() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.work = false
}

// endWork ends the work for good.
func (c *candidate) endWork() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.work, c.ended = false, true
}

// leads is whether this candidate believes that it leads.
func (c *candidate) leads() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.isLeader {
		return c.elector.IsLeader() && !c.ended
	}
	return c.work
}

func (c *candidate) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/leader", c.answer)
	return mux
}

// status is the body of /leader: elector's fields as far as there is something to say, and what was asked of the API server.
type status struct {
	Election string `json:"election"` // "<namespace>/<name>"
	Identity string `json:"identity"`
	State    string `json:"state"` // connecting, follower or leader
	Leading  bool   `json:"leading"`
	Leader   string `json:"leader"` // who holds the Lease, as the library saw it last
	Reads    int64  `json:"reads"`
	Writes   int64  `json:"writes"`
}

// answer says by its status whether this candidate believes that it leads.
func (c *candidate) answer(w http.ResponseWriter, _ *http.Request) {
	s := status{
		Election: c.namespace + "/" + c.election, Identity: c.id, State: "connecting", Leading: c.leads(), Leader: c.elector.GetLeader(),
		Reads: c.reads.Load(), Writes: c.writes.Load(),
	}
	code := http.StatusServiceUnavailable
	switch {
	case s.Leading:
		code, s.State = http.StatusOK, "leader"
	case s.Leader != "":
		s.State = "follower"
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(s) // an error means that the reader is gone
}

// counter counts what is asked of the API server.
type counter struct {
	http.RoundTripper
	of *candidate
}

func (c counter) RoundTrip(rq *http.Request) (*http.Response, error) {
	if rq.Method == http.MethodGet {
		c.of.reads.Add(1)
	} else {
		c.of.writes.Add(1)
	}
	return c.RoundTripper.RoundTrip(rq)
}

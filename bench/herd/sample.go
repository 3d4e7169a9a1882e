package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/elector-dev/elector/bench/rig"
	"github.com/elector-dev/elector/internal/boottime"
)

// sampleEvery is the grid on which everything is shown.
const sampleEvery = 100 * time.Millisecond

// listEvery is how many samples have one list of connections. The kernel works for it: some 40 ms for 6000. A connection that
// comes and goes between two is not seen.
const listEvery = 10

// page is what a member said of itself at an instant. Its counters begin again with each of its processes.
type page struct {
	At       time.Duration // boot clock
	Asked    time.Duration // and when it was asked
	PID      int
	Requests map[string]float64 // by method
	Sent     float64            // bytes to clients
	Leads    bool               // it knows a leader
	Changes  float64            // of the leader, that it has seen
	Slow     float64            // entries that took long to apply
	Failed   float64            // proposals
	Pending  float64            // proposals
	Watchers float64
}

// moment is what the kernel says at an instant.
type moment struct {
	At          time.Duration
	By          map[int]time.Duration // processor time of each member's process since it began
	Connections int
	Fresh       int // connections that were not there at the moment before
}

// sampler looks at etcd all the time. Its fields below mu are read when it has ended.
type sampler struct {
	etcd *rig.Etcd

	mu      sync.Mutex // guards the fields below, for an assignment
	pages   [][]page   // by member
	moments []moment
}

// run samples until ctx ends.
func (s *sampler) run(ctx context.Context) {
	s.pages = make([][]page, s.etcd.Size())
	var all sync.WaitGroup
	for i := range s.etcd.Size() {
		all.Go(func() { s.read(ctx, i) })
	}
	all.Go(func() { s.watch(ctx) })
	all.Wait()
}

// read asks one member for its metrics. A member that is frozen, dead or too busy says nothing.
func (s *sampler) read(ctx context.Context, i int) {
	c := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 1}}
	defer c.CloseIdleConnections()
	m := s.etcd.Member(i)
	tick(ctx, func() {
		pid := m.PID()
		p, err := scrape(ctx, c, m.Endpoint()+"/metrics?"+wanted)
		if err != nil || m.PID() != pid {
			return
		}
		p.PID = pid
		s.mu.Lock()
		s.pages[i] = append(s.pages[i], p)
		s.mu.Unlock()
	})
}

// tick calls do at each instant of the grid, until ctx ends.
func tick(ctx context.Context, do func()) {
	t := time.NewTicker(sampleEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			do()
		case <-ctx.Done():
			return
		}
	}
}

func scrape(ctx context.Context, c *http.Client, address string) (page, error) {
	rq, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return page{}, err
	}
	asked := boottime.Now()
	resp, err := c.Do(rq)
	if err != nil {
		return page{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	p := page{At: boottime.Now(), Asked: asked, Requests: map[string]float64{}}
	for line := range bytes.Lines(body) {
		p.take(line)
	}
	return p, err
}

// wanted names the metrics that are read. All of them, ten times a second, would keep etcd busier than the electors do.
var wanted = url.Values{"name[]": {
	"grpc_server_msg_received_total", "etcd_network_client_grpc_sent_bytes_total", "etcd_server_has_leader",
	"etcd_server_leader_changes_seen_total", "etcd_server_slow_apply_total", "etcd_server_proposals_failed_total",
	"etcd_server_proposals_pending", "etcd_debugging_mvcc_watcher_total",
}}.Encode()

// take reads a line.
func (p *page) take(line []byte) {
	if len(line) == 0 || line[0] == '#' {
		return
	}
	name, rest, ok := bytes.Cut(line, []byte(" "))
	if !ok {
		return
	}
	number := func() float64 {
		v, _ := strconv.ParseFloat(string(bytes.TrimSpace(rest)), 64) // 0 when it cannot be read
		return v
	}
	switch {
	case bytes.HasPrefix(name, []byte("grpc_server_msg_received_total{")):
		if v := number(); v > 0 {
			_, after, _ := strings.Cut(string(name), `grpc_method="`)
			method, _, _ := strings.Cut(after, `"`)
			p.Requests[method] += v
		}
	case string(name) == "etcd_network_client_grpc_sent_bytes_total":
		p.Sent = number()
	case string(name) == "etcd_server_has_leader":
		p.Leads = number() == 1
	case string(name) == "etcd_server_leader_changes_seen_total":
		p.Changes = number()
	case string(name) == "etcd_server_slow_apply_total":
		p.Slow = number()
	case string(name) == "etcd_server_proposals_failed_total":
		p.Failed = number()
	case string(name) == "etcd_server_proposals_pending":
		p.Pending = number()
	case string(name) == "etcd_debugging_mvcc_watcher_total":
		p.Watchers = number()
	}
}

// watch asks the kernel.
func (s *sampler) watch(ctx context.Context) {
	ports := map[string]bool{}
	for _, e := range s.etcd.Endpoints() {
		n, _ := strconv.Atoi(e[strings.LastIndexByte(e, ':')+1:])
		ports[fmt.Sprintf("%04X", n)] = true
	}
	known := map[string]bool{}
	tick(ctx, func() {
		m := moment{At: boottime.Now(), By: map[int]time.Duration{}}
		for i := range s.etcd.Size() {
			pid := s.etcd.Member(i).PID()
			m.By[pid] = cpuOf(pid)
		}
		now := known
		if len(s.moments)%listEvery == 0 { // nobody else adds to them
			now = connections(ports)
		}
		m.Connections = len(now)
		for c := range now {
			if !known[c] {
				m.Fresh++
			}
		}
		known = now
		s.mu.Lock()
		s.moments = append(s.moments, m)
		s.mu.Unlock()
	})
}

// cpuOf is what a process has used, 0 when it has ended. /proc counts it in hundredths of a second.
func cpuOf(pid int) time.Duration {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(fields) < 13 {
		return 0
	}
	var ticks int64
	for _, f := range fields[11:13] {
		n, _ := strconv.ParseInt(f, 10, 64) // the kernel's own numbers
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// connections are those that stand to a port, each by its other end.
func connections(ports map[string]bool) map[string]bool {
	found := map[string]bool{}
	b, _ := os.ReadFile("/proc/net/tcp") // nothing where it cannot be read
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		const established = "01"
		if len(f) < 4 || f[3] != established {
			continue
		}
		if _, port, _ := strings.Cut(f[2], ":"); ports[port] {
			found[f[1]] = true
		}
	}
	return found
}

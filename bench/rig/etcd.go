package rig

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/elector-dev/elector/internal/devetcd"
)

// Etcd is a cluster of member processes with a client of its own.
type Etcd struct {
	*devetcd.Cluster
	Client *clientv3.Client
	own    float64 // Range requests of the rig itself, which are not counted
}

// StartEtcd starts members on loopback. A single one does not call fsync, so that the disk is not what is measured; several
// do, as those do that anybody depends on.
func StartEtcd(ctx context.Context, members int) (*Etcd, error) {
	c, err := devetcd.StartProcesses(ctx, members, devetcd.Options{Fsync: members > 1})
	if err != nil {
		return nil, err
	}
	client, err := c.NewClient(ctx)
	if err != nil {
		c.Close()
		return nil, err
	}
	return &Etcd{Cluster: c, Client: client}, nil
}

// Close ends the members.
func (e *Etcd) Close() {
	_ = e.Client.Close()
	e.Cluster.Close()
}

// Standing is how many keys stand below a prefix.
func (e *Etcd) Standing(ctx context.Context, prefix string) (int, error) {
	r, err := e.Client.Get(ctx, prefix, clientv3.WithPrefix(), clientv3.WithCountOnly())
	e.own++
	if err != nil {
		return 0, err
	}
	return int(r.Count), nil
}

// Counts are what etcd counts of its own work, summed over its members but for revisions.
type Counts struct {
	Requests  float64            // unary requests and messages received on streams
	By        map[string]float64 // the same by method
	Proposals float64            // entries of the raft log
	Revision  int64
	CPU       time.Duration // of the member processes
}

// Sub is what happened between two counts.
func (c Counts) Sub(before Counts) Counts {
	d := Counts{
		Requests: c.Requests - before.Requests, Proposals: c.Proposals - before.Proposals,
		Revision: c.Revision - before.Revision, CPU: c.CPU - before.CPU, By: map[string]float64{},
	}
	for method, n := range c.By {
		if n -= before.By[method]; n != 0 {
			d.By[method] = n
		}
	}
	return d
}

// Count reads the counters, without what the rig itself has asked for.
func (e *Etcd) Count(ctx context.Context) (Counts, error) {
	r, err := e.Client.Get(ctx, "none", clientv3.WithCountOnly())
	if err != nil {
		return Counts{}, err
	}
	e.own++
	c := Counts{Revision: r.Header.Revision}
	for i := range e.Size() {
		p, err := Usage(e.Member(i).PID())
		if err != nil {
			return Counts{}, err
		}
		c.CPU += p.CPU
	}
	err = CountRequests(ctx, e.Endpoints(), &c)
	c.Requests -= e.own
	c.By["Range"] -= e.own
	return c, err
}

// CountRequests adds what members count of requests and proposals.
func CountRequests(ctx context.Context, endpoints []string, c *Counts) error {
	c.By = map[string]float64{}
	for i, endpoint := range endpoints {
		err := Scrape(ctx, endpoint+"/metrics", func(name, labels string, value float64) {
			switch {
			case name == "grpc_server_msg_received_total":
				method := label(labels, "grpc_method")
				c.By[method] += value
				c.Requests += value
			case name == "etcd_server_proposals_committed_total" && i == 0:
				c.Proposals = value
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func label(labels, name string) string {
	_, after, _ := strings.Cut(labels, name+`="`)
	value, _, _ := strings.Cut(after, `"`)
	return value
}

// Scrape hands every sample of a Prometheus page to take.
func Scrape(ctx context.Context, url string, take func(name, labels string, value float64)) error {
	rq, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	rq.Close = true
	resp, err := http.DefaultClient.Do(rq)
	if err != nil {
		return fmt.Errorf("scrape: %w", err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		space := strings.LastIndexByte(line, ' ')
		if space < 0 || line[0] == '#' {
			continue
		}
		value, err := strconv.ParseFloat(line[space+1:], 64)
		if err != nil {
			continue
		}
		name, labels, _ := strings.Cut(line[:space], "{")
		take(name, labels, value)
	}
	return lines.Err()
}

package main

import (
	"context"
	"encoding/json"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/elector-dev/elector/internal/devetcd"
)

// queuePrefix is where the electors keep their keys; --prefix has its default.
const queuePrefix = "/elector/" + electionNamespace + "/" + electionName + "/"

// queueReader reads from etcd who stands in the queue.
type queueReader struct {
	client *clientv3.Client
}

func newQueueReader(ctx context.Context, etcd *devetcd.Cluster) (*queueReader, error) {
	client, err := etcd.NewClient(ctx)
	if err != nil {
		return nil, err
	}
	return &queueReader{client: client}, nil
}

func (q *queueReader) close() { _ = q.client.Close() }

// run reads the queue until the context ends.
func (q *queueReader) run(ctx context.Context, j *journal) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		if candidates, err := q.read(ctx); err == nil {
			j.lineUp(candidates)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// read returns the candidates' identities, the oldest first.
func (q *queueReader) read(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	resp, err := q.client.Get(ctx, queuePrefix, clientv3.WithPrefix(), clientv3.WithLimit(100),
		clientv3.WithSort(clientv3.SortByCreateRevision, clientv3.SortAscend))
	if err != nil {
		return nil, err
	}
	candidates := make([]string, len(resp.Kvs))
	for i, kv := range resp.Kvs {
		var record struct {
			Identity string `json:"identity"`
		}
		if json.Unmarshal(kv.Value, &record) == nil && record.Identity != "" {
			candidates[i] = record.Identity
		} else {
			candidates[i] = string(kv.Value) // as `etcdctl elect` writes it
		}
	}
	return candidates, nil
}

package etcdstore

import (
	"bytes"
	"context"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/elector-dev/elector/internal/election"
	"github.com/elector-dev/elector/internal/record"
)

// maxQueueAnswer is how long one answer of etcd with the whole queue may be: a thousand candidates have a third of a
// megabyte.
const maxQueueAnswer = 2 << 20

// queuePage is how many candidates are read at once where that is not enough. Who may write below the prefix can make each
// as large as etcd takes (--max-request-bytes, 1.5 MiB), so that a whole queue would not fit into memory.
const queuePage = 16

// maxQueueKey is how much is kept of a key. A longer one is no candidate's, and what is done to it by the rest fails.
const maxQueueKey = 4 << 10

// queued is the oldest keys of the election in their order, with as much of each as a candidate can have.
type queued struct {
	Kvs   []*mvccpb.KeyValue
	Total int64 // keys in the election
	More  bool  // there are more than were wanted
}

// queue reads the oldest keys of the election, at most so many, as they are at one revision: with one request, or, where
// others have written more than candidates do, page by page. It blocks until etcd has answered or ctx ends. The error is
// etcd's own.
func (ss *session) queue(ctx context.Context, most int) (queued, error) {
	q, err := ss.pages(context.WithValue(ctx, longestAnswer{}, maxQueueAnswer), most, int64(most))
	if status.Code(err) == codes.ResourceExhausted { // of which nothing was read (google.golang.org/grpc, rpc_util.go, recvMsg)
		return ss.pages(ctx, most, queuePage)
	}
	return q, err
}

// pages is queue with so many keys for each request.
func (ss *session) pages(ctx context.Context, most int, page int64) (queued, error) {
	var q queued
	var at, from int64        // the revision that is read; the create revision from which on
	told := map[string]bool{} // keys that were created at from, and read already
	for more := true; more; more = q.More && len(q.Kvs) < most {
		r, err := ss.client.Get(ctx, ss.store.prefix+"/", clientv3.WithPrefix(), clientv3.WithLimit(page), clientv3.WithRev(at),
			clientv3.WithMinCreateRev(from), clientv3.WithSort(clientv3.SortByCreateRevision, clientv3.SortAscend))
		if err != nil {
			return queued{}, err
		}
		if at == 0 {
			at, q.Total = r.Header.Revision, r.Count
		}
		q.More = r.More
		before := len(q.Kvs)
		for _, kv := range r.Kvs {
			if told[string(kv.Key)] {
				continue
			}
			if len(q.Kvs) == most {
				q.More = true
				return q, nil
			}
			if kv.CreateRevision != from {
				from = kv.CreateRevision
				clear(told)
			}
			told[string(kv.Key)] = true
			q.Kvs = append(q.Kvs, cut(kv))
		}
		if len(q.Kvs) == before {
			page *= 2 // one transaction has created more keys than fit
		}
	}
	return q, nil
}

// cut drops what no candidate has.
func cut(kv *mvccpb.KeyValue) *mvccpb.KeyValue {
	kv.Value = record.Cut(kv.Value)
	if len(kv.Key) > maxQueueKey {
		kv.Key = bytes.Clone(kv.Key[:maxQueueKey])
	}
	return kv
}

// Candidates implements election.Session.
func (ss *session) Candidates(ctx context.Context) (election.Queue, error) {
	r, err := ss.queue(ctx, election.MaxQueue)
	if err != nil {
		return election.Queue{}, ss.store.wrap("read the queue", err)
	}
	q := election.Queue{Total: int(r.Total)}
	for _, kv := range r.Kvs {
		q.Standings = append(q.Standings, standing(kv))
	}
	return q, nil
}

package etcdstore

import (
	"context"
	"fmt"
	"slices"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"

	"github.com/elector-dev/elector/internal/devetcd"
	"github.com/elector-dev/elector/internal/record"
)

// reader is a session that does nothing but read the queue, with all that it asks for.
type reader struct {
	session
	t      *testing.T
	asked  []*pb.RangeRequest
	before func() // the next request
}

// readerOf starts etcd with so many in the queue.
func readerOf(t *testing.T, candidates int) *reader {
	t.Helper()
	e, err := devetcd.Start(t.Context(), devetcd.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	cfg, err := e.ClientConfig()
	if err != nil {
		t.Fatal(err)
	}
	r := &reader{session: session{store: &Store{prefix: "/elector/default/pages"}}, t: t, before: func() {}}
	cfg.DialOptions = append(cfg.DialOptions, grpc.WithChainUnaryInterceptor(
		func(ctx context.Context, method string, req, rep any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			if q, ok := req.(*pb.RangeRequest); ok {
				r.before()
				r.asked = append(r.asked, q)
			}
			return invoke(ctx, method, req, rep, cc, opts...)
		}))
	if r.client, err = clientv3.New(cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.client.Close() })
	for i := range candidates {
		r.stand(i)
	}
	return r
}

func (r *reader) stand(i int) {
	r.t.Helper()
	if _, err := r.client.Put(r.t.Context(), fmt.Sprintf("%s/%03d", r.store.prefix, 999-i), ""); err != nil { // by age and not by name
		r.t.Fatal(err)
	}
}

func TestAQueueThatFitsIsReadWithOneRequest(t *testing.T) {
	r := readerOf(t, 3*queuePage)
	q, err := r.queue(t.Context(), 100)
	if err != nil || len(q.Kvs) != 3*queuePage || q.More || len(r.asked) != 1 {
		t.Errorf("%d of %d with %d requests, and more: %v; %v", len(q.Kvs), q.Total, len(r.asked), q.More, err)
	}
}

func TestThePagesOfAQueueAreReadAtOneRevisionAndEachBehindTheOneBefore(t *testing.T) {
	const stand, page = 40, 16
	r := readerOf(t, stand)
	r.before = func() {
		if len(r.asked) == 1 {
			r.stand(stand)
		}
	}
	q, err := r.pages(t.Context(), 100, page)
	if err != nil || len(q.Kvs) != stand || q.Total != stand || q.More {
		t.Fatalf("%d of %d, and more: %v; %v", len(q.Kvs), q.Total, q.More, err)
	}
	var from, sizes []int64
	for _, a := range r.asked {
		from, sizes = append(from, a.MinCreateRevision), append(sizes, a.Limit)
	}
	want := []int64{0, q.Kvs[page-1].CreateRevision, q.Kvs[2*page-2].CreateRevision}
	if !slices.Equal(from, want) || !slices.Equal(sizes, []int64{page, page, page}) {
		t.Errorf("pages of %v begin at %v, want %v", sizes, from, want)
	}
}

func TestNoMoreOfAQueueIsReadThanIsWanted(t *testing.T) {
	r := readerOf(t, 31)
	for most, more := range map[int]bool{16: true, 20: true, 30: true, 31: false, 40: false} {
		r.asked = nil
		q, err := r.pages(t.Context(), most, 16)
		if err != nil || len(q.Kvs) != min(most, 31) || q.More != more || q.Total != 31 || most == 16 && len(r.asked) != 1 {
			t.Errorf("of 31, %d are wanted and %d read with %d requests, and more: %v; %v", most, len(q.Kvs), len(r.asked), q.More, err)
		}
	}
}

func TestOfARecordNoMoreIsKeptThanACandidateHas(t *testing.T) {
	for _, size := range []int{1, 4 << 10, 1 << 20} {
		kv := cut(&mvccpb.KeyValue{Key: make([]byte, size), Value: make([]byte, size)})
		if want := min(size, maxQueueKey); len(kv.Key) != want || cap(kv.Key) > 2*want+8 {
			t.Errorf("of a key of %d bytes, %d in %d are kept", size, len(kv.Key), cap(kv.Key))
		}
		if want := min(size, record.MaxRecord+1); len(kv.Value) != want || cap(kv.Value) > 2*want+8 {
			t.Errorf("of a value of %d bytes, %d in %d are kept", size, len(kv.Value), cap(kv.Value))
		}
	}
}

package chaos

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
)

// canaryCount is how many further leases live. A leader that wakes among few leases hardly ever gets to
// revoke one before it learns that it was deposed.
const canaryCount = 48

// canaries are clients that believe every acknowledgement. Each talks to one member only, and counts the
// acknowledgements that came from an etcd leader of an older raft term than one already known to any.
type canaries struct {
	recorder *recorder
	ttl      time.Duration
	newest   atomic.Uint64 // raft term
	deaf     atomic.Bool   // while etcd is restored, which makes raft terms begin again
	leases   sync.Map      // clientv3.LeaseID → struct{}: all that were ever granted
}

// run keeps a share of the leases alive through one member until the context ends.
func (c *canaries) run(ctx context.Context, cfg clientv3.Config, share int) {
	cfg.DialOptions = append(cfg.DialOptions, grpc.WithChainStreamInterceptor(c.listen))
	cli, err := clientv3.New(cfg)
	for err != nil { // with a password it asks the member for a token, which may take it too long
		if !pause(ctx, 200*time.Millisecond) {
			return
		}
		cli, err = clientv3.New(cfg)
	}
	defer cli.Close()
	var leases sync.WaitGroup
	for range share {
		leases.Go(func() {
			for ctx.Err() == nil {
				c.live(ctx, cli)
				pause(ctx, 200*time.Millisecond)
			}
		})
	}
	leases.Wait()
}

// live grants one lease and keeps it alive until it is lost.
func (c *canaries) live(ctx context.Context, cli *clientv3.Client) {
	within, done := context.WithTimeout(ctx, c.ttl)
	g, err := cli.Grant(within, int64(c.ttl/time.Second))
	done()
	if err != nil {
		return
	}
	c.leases.Store(g.ID, struct{}{})
	acks, err := cli.KeepAlive(ctx, g.ID)
	if err != nil {
		return
	}
	for range acks { //nolint:revive // the stream's messages are looked at in RecvMsg
	}
}

// ids are the leases that were ever granted.
func (c *canaries) ids() map[clientv3.LeaseID]bool {
	ids := map[clientv3.LeaseID]bool{}
	c.leases.Range(func(id, _ any) bool {
		ids[id.(clientv3.LeaseID)] = true
		return true
	})
	return ids
}

// listen puts an ear into keep-alive streams.
func (c *canaries) listen(ctx context.Context, d *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	s, err := open(ctx, d, cc, method, opts...)
	if err != nil || method != pb.Lease_LeaseKeepAlive_FullMethodName {
		return s, err
	}
	return canaryStream{s, c}, nil
}

// restoring calls restore with the canaries deaf, and forgets the raft terms of the store that is gone.
func (c *canaries) restoring(restore func() error) error {
	c.deaf.Store(true)
	defer c.deaf.Store(false)
	defer c.newest.Store(0)
	return restore()
}

type canaryStream struct {
	grpc.ClientStream
	c *canaries
}

func (s canaryStream) RecvMsg(m any) error {
	if err := s.ClientStream.RecvMsg(m); err != nil {
		return err
	}
	r, ok := m.(*pb.LeaseKeepAliveResponse)
	if !ok || r.Header == nil || s.c.deaf.Load() {
		return nil
	}
	term := r.Header.RaftTerm
	for {
		newest := s.c.newest.Load()
		if term < newest {
			if r.TTL > 0 {
				s.c.recorder.staleAck()
			}
			return nil
		}
		if term == newest || s.c.newest.CompareAndSwap(newest, term) {
			return nil
		}
	}
}

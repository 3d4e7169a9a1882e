package etcdstore_test

import (
	"context"
	"net"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/proxy/grpcproxy"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// startGRPCProxy runs the part of etcd's grpc-proxy that serves leases, and returns its address.
func startGRPCProxy(t *testing.T, endpoints []string) string {
	t.Helper()
	client := dial(t, endpoints)
	ctx, stop := context.WithCancel(context.Background())
	leases, ended := grpcproxy.NewLeaseProxy(ctx, client)
	server := grpc.NewServer()
	pb.RegisterLeaseServer(server, leases)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	served := make(chan struct{})
	go func() { defer close(served); _ = server.Serve(l) }()
	t.Cleanup(func() {
		server.Stop()
		<-served
		stop()
		client.Close()
		<-ended
	})
	return l.Addr().String()
}

// askOnce sends one keep-alive for a lease and keeps the stream open, as a process does that was stopped
// just then.
func askOnce(t *testing.T, addr string, lease clientv3.LeaseID) {
	t.Helper()
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	stream, err := pb.NewLeaseClient(conn).LeaseKeepAlive(t.Context())
	must(t, err)
	must(t, stream.Send(&pb.LeaseKeepAliveRequest{ID: int64(lease)}))
	r, err := stream.Recv()
	must(t, err)
	if r.TTL <= 0 {
		t.Errorf("renewal %+v", r)
	}
}

// Behind etcd's grpc-proxy the key of a stopped elector lives on: the proxy renews a lease by itself for as
// long as its stream is open, and lets it go only when nobody has asked for a TTL. Its answers are those
// to renewals of its own, which it may have sent before it was asked. This is why nothing is promised
// through it.
func TestTheGRPCProxyRenewsALeaseThatNobodyAskedItToRenew(t *testing.T) {
	const ttl = 2 * time.Second
	b := trapEtcd(t)
	proxy := startGRPCProxy(t, b.client.Endpoints())
	grant := func(key string) (clientv3.LeaseID, int64) {
		g := within(t, func(ctx context.Context) (*clientv3.LeaseGrantResponse, error) {
			return b.client.Grant(ctx, int64(ttl/time.Second))
		})
		p := within(t, func(ctx context.Context) (*clientv3.PutResponse, error) {
			return b.client.Put(ctx, key, "", clientv3.WithLease(g.ID))
		})
		return g.ID, p.Header.Revision
	}
	direct, rev := grant("direct")
	directGone := b.gone("direct", rev)
	proxied, rev := grant("proxied")
	proxiedGone := b.gone("proxied", rev)
	asked := now()
	askOnce(t, b.client.Endpoints()[0][len("http://"):], direct)
	askOnce(t, proxy, proxied)
	answered := now()
	if lived := await(t, "the end of the lease at etcd", directGone).Sub(answered); lived > ttl+750*time.Millisecond { // it looks twice a second
		t.Errorf("asked once, etcd keeps the lease for %v", lived)
	}
	lived := await(t, "the end of the lease at the proxy", proxiedGone).Sub(asked)
	t.Logf("asked once, the proxy keeps a lease of %v alive for %v", ttl, lived)
	if lived < ttl+800*time.Millisecond {
		t.Errorf("asked once, the proxy keeps the lease for %v: nothing was shown", lived)
	}
}

package etcdstore

import (
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	grpcbackoff "google.golang.org/grpc/backoff"

	"github.com/elector-dev/elector/internal/election"
)

// newClient makes the client of one session. With a password it authenticates, which blocks until
// etcd answers or ctx ends.
//
// The library waits DialTimeout plus a second for the first reply on a new lease before it declares
// the session over (client/v3/lease.go, firstKeepAliveTimeout): set to the TTL, its verdict cannot
// come before ours. The interceptors are chained, since WithStreamInterceptor would replace etcd's own.
func (ss *session) newClient() (*clientv3.Client, error) {
	s := ss.store
	silence := s.cfg.silence()
	options := []grpc.DialOption{
		grpc.WithContextDialer(ss.conns.dialer(s.cfg.DialTimeout, silence)),
		grpc.WithChainUnaryInterceptor(ss.unary),
		grpc.WithChainStreamInterceptor(ss.stream),
		grpc.WithDisableServiceConfig(), // the library's, which asks for round robin
		grpc.WithDefaultServiceConfig(balancing),
		grpc.WithConnectParams(grpc.ConnectParams{
			MinConnectTimeout: s.cfg.DialTimeout,
			Backoff: grpcbackoff.Config{
				BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.5, MaxDelay: 3 * time.Second,
			},
		}),
	}
	if s.speaksTLS() { // in place of the library's, which would keep the certificates of now
		options = append(options, grpc.WithTransportCredentials(&handshakes{secrets: s.secrets}))
	}
	return clientv3.New(clientv3.Config{
		Context:              ss.ctx,
		Endpoints:            s.cfg.Endpoints,
		Username:             s.cfg.User,
		Password:             s.secrets.pass(),
		DialTimeout:          s.cfg.TTL,
		DialKeepAliveTime:    10 * time.Second, // the least that grpc-go sends
		DialKeepAliveTimeout: silence,
		MaxUnaryRetries:      uint(len(s.cfg.Endpoints)) + 1,
		Logger:               s.log,
		DialOptions:          options,
	})
}

// speaksTLS reports whether members are talked to by TLS. The first endpoint decides for all, as in the library
// (client/v3/client.go, dialWithBalancer; internal/endpoint): one without a scheme does if there are certificates.
func (s *Store) speaksTLS() bool {
	scheme, _, ok := strings.Cut(s.cfg.Endpoints[0], ":")
	switch {
	case ok && (scheme == "https" || scheme == "unixs"):
		return true
	case ok && scheme == "http":
		return false
	}
	return s.cfg.CACert != "" || s.cfg.Cert != "" || s.cfg.Key != ""
}

// silence is how long sent data may go unacknowledged before a connection is given up.
func (c Config) silence() time.Duration { return max(c.TTL/4, time.Second) }

// now reads the boot clock.
func (ss *session) now() election.Instant { return ss.store.cfg.Clock.Now() }

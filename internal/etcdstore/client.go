package etcdstore

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
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
	return clientv3.New(clientv3.Config{
		Context:              ss.ctx,
		Endpoints:            s.cfg.Endpoints,
		TLS:                  s.tls,
		Username:             s.cfg.User,
		Password:             s.password,
		DialTimeout:          s.cfg.TTL,
		DialKeepAliveTime:    10 * time.Second, // the least that grpc-go sends
		DialKeepAliveTimeout: silence,
		MaxUnaryRetries:      uint(len(s.cfg.Endpoints)) + 1,
		Logger:               s.log,
		DialOptions: []grpc.DialOption{
			grpc.WithContextDialer(ss.conns.dialer(s.cfg.DialTimeout, silence)),
			grpc.WithChainUnaryInterceptor(ss.unary),
			grpc.WithChainStreamInterceptor(ss.stream),
			grpc.WithConnectParams(grpc.ConnectParams{
				MinConnectTimeout: s.cfg.DialTimeout,
				Backoff: grpcbackoff.Config{
					BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.5, MaxDelay: 3 * time.Second,
				},
			}),
		},
	})
}

// silence is how long sent data may go unacknowledged before a connection is given up.
func (c Config) silence() time.Duration { return max(c.TTL/4, time.Second) }

// loadTLS reads what is needed to talk TLS. It returns nil when nothing was given: then https
// endpoints are verified against the system's authorities.
func loadTLS(cfg Config) (*tls.Config, error) {
	if cfg.CACert == "" && cfg.Cert == "" && cfg.Key == "" {
		return nil, nil
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if cfg.CACert != "" {
		pem, err := os.ReadFile(cfg.CACert)
		if err != nil {
			return nil, fmt.Errorf("read --etcd-cacert: %w", err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("--etcd-cacert %q holds no certificate in PEM form", cfg.CACert)
		}
	}
	if cfg.Cert != "" || cfg.Key != "" {
		pair, err := tls.LoadX509KeyPair(cfg.Cert, cfg.Key)
		if err != nil {
			return nil, fmt.Errorf("load --etcd-cert %q with --etcd-key %q: %w", cfg.Cert, cfg.Key, err)
		}
		t.Certificates = []tls.Certificate{pair}
	}
	return t, nil
}

// now reads the boot clock.
func (ss *session) now() election.Instant { return ss.store.cfg.Clock.Now() }

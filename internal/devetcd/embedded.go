package devetcd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"google.golang.org/grpc"
)

// Embedded is one member inside this process.
type Embedded struct {
	access
	member *member
	dir    string
	once   sync.Once // closes
}

// Start runs one member inside this process and returns when it serves. Close it. Wrap has no meaning
// here. The context bounds the start alone.
func Start(ctx context.Context, opts Options) (*Embedded, error) {
	dir, tls, err := prepare(1, opts)
	if err != nil {
		return nil, err
	}
	var e *Embedded
	for range 5 { // a port that was free a moment ago may be taken
		e, err = startEmbedded(ctx, dir, opts, tls)
		if err == nil || !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := e.protect(ctx, opts.Auth); err != nil {
		e.Close()
		return nil, err
	}
	return e, nil
}

func startEmbedded(ctx context.Context, dir string, opts Options, tls *TLSFiles) (*Embedded, error) {
	configs, err := newMemberConfigs(1, dir, opts, tls)
	if err != nil {
		return nil, err
	}
	m, err := runEtcd(ctx, configs[0])
	if err != nil {
		return nil, err
	}
	return &Embedded{access: access{endpoints: []string{configs[0].ClientURL}, tls: tls}, member: m, dir: dir}, nil
}

// member is a running etcd in this process.
type member struct {
	etcd *embed.Etcd
	grpc *grpc.Server
}

// runEtcd starts a member and waits until it serves.
func runEtcd(ctx context.Context, c memberConfig) (*member, error) {
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, err
	}
	cfg, err := c.embedConfig()
	if err != nil {
		return nil, err
	}
	serving := make(chan *grpc.Server, 1)
	cfg.ServiceRegister = func(s *grpc.Server) { serving <- s }
	etcd, err := embed.StartEtcd(cfg)
	if err != nil {
		return nil, fmt.Errorf("start etcd: %w", err)
	}
	select {
	case s := <-serving:
		return &member{etcd: etcd, grpc: s}, nil
	case err = <-etcd.Err():
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	etcd.Close()
	return nil, fmt.Errorf("wait for etcd: %w", err)
}

// close drops all clients, stops the member and joins it. Unless its clients are dropped, etcd waits for
// their streams to end for five seconds and two election timeouts. They are dropped again and again: with
// TLS etcd's streams come through an HTTP server, which may still pass one on while gRPC stops, and gRPC
// then waits for that one and closes it only when told again.
func (m *member) close() {
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		m.etcd.Close()
	}()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	var drops sync.WaitGroup
	defer drops.Wait()
	for {
		drops.Go(m.grpc.Stop)
		select {
		case <-again.C:
		case <-closed:
			return
		}
	}
}

// prepare makes the directory that n members live in, with certificates if the options ask for them.
func prepare(n int, opts Options) (dir string, tls *TLSFiles, err error) {
	dir, err = os.MkdirTemp(opts.Dir, "devetcd-")
	if err != nil || !opts.TLS {
		return dir, nil, err
	}
	ips := slices.Clone(opts.ServerIPs)
	for i := range n {
		ips = append(ips, opts.host(i))
	}
	cn := opts.ClientCN
	if cn == "" {
		cn = "elector"
	}
	tls, err = NewTLSFiles(dir, cn, ips...)
	if err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(dir))
	}
	return dir, tls, nil
}

// Close stops the member, joins it and removes its data, whether or not clients are connected. Later
// calls do nothing.
func (e *Embedded) Close() {
	e.once.Do(func() {
		e.member.close()
		_ = os.RemoveAll(e.dir)
	})
}

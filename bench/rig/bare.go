package rig

import (
	"context"
	"errors"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Bare is a handover with nothing around it: one client deletes a key, another sees that in a watch and reads
// linearizably.
type Bare struct {
	from, to *clientv3.Client
}

// NewBare opens both clients.
func NewBare(ctx context.Context, e *Etcd) (*Bare, error) {
	from, err := e.NewClient(ctx)
	if err != nil {
		return nil, err
	}
	to, err := e.NewClient(ctx)
	if err != nil {
		_ = from.Close()
		return nil, err
	}
	return &Bare{from, to}, nil
}

// HandOver returns the time from before the deletion to the end of the read.
func (b *Bare) HandOver(ctx context.Context) (time.Duration, error) {
	const key = "bare/key"
	put, err := b.from.Put(ctx, key, "")
	if err != nil {
		return 0, err
	}
	watching, cancel := context.WithCancel(ctx)
	defer cancel()
	events := b.to.Watch(watching, key, clientv3.WithRev(put.Header.Revision+1), clientv3.WithCreatedNotify())
	if r := <-events; !r.Created {
		return 0, errors.New("the watch does not begin")
	}
	start := time.Now()
	deleted := make(chan error, 1)
	go func() { _, err := b.from.Delete(ctx, key); deleted <- err }()
	if r := <-events; len(r.Events) == 0 {
		return 0, errors.New("the watch has ended")
	}
	if _, err := b.to.Get(ctx, key); err != nil {
		return 0, err
	}
	took := time.Since(start)
	return took, <-deleted
}

// Close closes both clients.
func (b *Bare) Close() { _ = b.from.Close(); _ = b.to.Close() }

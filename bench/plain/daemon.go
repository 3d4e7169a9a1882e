package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	"go.uber.org/zap"
)

// daemon is one candidate.
type daemon struct {
	settings
	incarnation string // random per process
	log         *slog.Logger
	token       atomic.Int64 // of the leadership that is believed in; 0: not leading
	standing    atomic.Bool  // a session is open
}

func newDaemon(s settings, log *slog.Logger) *daemon {
	b := make([]byte, 8)
	_, _ = rand.Read(b) // never returns an error
	return &daemon{settings: s, incarnation: hex.EncodeToString(b), log: log}
}

// keepCampaigning opens one session after the other. What fails is tried again after a second.
func (d *daemon) keepCampaigning(ctx context.Context) {
	for ctx.Err() == nil {
		if err := d.takePart(ctx); err != nil && ctx.Err() == nil {
			d.log.Warn("starting over", "err", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

// takePart makes a client and stands in the election, session after session, until one fails or ctx ends.
func (d *daemon) takePart(ctx context.Context) error {
	password, err := d.password()
	if err != nil {
		return err
	}
	client, err := clientv3.New(clientv3.Config{
		Endpoints: d.endpoints, Username: d.user, Password: password, Logger: zap.NewNop(),
		DialTimeout: 5 * time.Second, DialKeepAliveTime: 10 * time.Second, DialKeepAliveTimeout: 3 * time.Second,
	})
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer client.Close()
	for ctx.Err() == nil {
		if err := d.lead(ctx, client); err != nil {
			return err
		}
	}
	return nil
}

// lead stands in the election with one session, until that is lost or ctx ends. Everybody's heart of the
// matter: true after Campaign, false after Done.
func (d *daemon) lead(ctx context.Context, client *clientv3.Client) error {
	session, err := concurrency.NewSession(client, concurrency.WithTTL(int(d.ttl/time.Second)))
	if err != nil {
		return fmt.Errorf("open session: %w", err)
	}
	defer session.Close()
	d.standing.Store(true)
	defer d.standing.Store(false)
	election := concurrency.NewElection(session, d.prefix())
	waiting, cancel := context.WithCancel(session.Ctx()) // a lost session need not wait for its turn
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	if err := election.Campaign(waiting, d.id); err != nil {
		return fmt.Errorf("campaign: %w", err)
	}
	d.token.Store(election.Rev())
	defer d.token.Store(0)
	d.log.Info("leading", "token", election.Rev())
	select {
	case <-session.Done():
		d.log.Warn("session lost; campaigning again")
		return nil
	case <-ctx.Done():
	}
	d.token.Store(0)
	resigning, done := context.WithTimeout(context.Background(), stopTimeout)
	defer done()
	return election.Resign(resigning)
}

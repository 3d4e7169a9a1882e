package etcdstore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/elector-dev/elector/internal/devetcd"
	"github.com/elector-dev/elector/internal/etcdstore"
)

// A learner refuses reads, writes and streams alike; the library repeats no write, and ends every watch over it.
func TestALearnerAmongTheEndpointsCostsNoRequest(t *testing.T) {
	t.Parallel()
	etcd := startCluster(t, 1, devetcd.Options{})
	voter := etcd.Endpoints()
	at := within(t, etcd.AddLearner)
	learner := etcd.Member(at).Endpoint()
	b := newBed(t, voter)
	for _, endpoints := range [][]string{{learner, voter[0]}, {voter[0], learner}} {
		seat := b.seat(endpoints, time.Minute)
		won := await(t, "the win", seat.campaign(t.Context()))
		must(t, won.err)
		for range 20 {
			if c, err := seat.Confirm(b.ctx(), seat.claim(won.won)); err != nil || !c.Holds {
				t.Fatalf("confirmation %+v, %v", c, err)
			}
		}
		seat.Close(true, seat.claim(won.won))
	}
	refused(t, openWith(t, b, func(c *etcdstore.Config) { c.Endpoints = []string{learner} }), "name members that vote")
}

func TestAFullEtcdIsToldWithTheRemedy(t *testing.T) {
	t.Parallel()
	etcd := startEtcd(t, devetcd.Options{Quota: 8 << 20})
	b := newBed(t, etcd.Endpoints())
	seat := b.seat(nil, time.Minute)
	won := await(t, "the win", seat.campaign(t.Context()))
	must(t, won.err)
	junk, full := strings.Repeat("junk", 64<<10), error(nil)
	for i := 0; i < 100 && full == nil; i++ {
		_, full = b.client.Put(b.ctx(), fmt.Sprint("junk", i), junk)
	}
	if !errors.Is(full, rpctypes.ErrNoSpace) {
		t.Fatalf("etcd is not full: %v", full)
	}
	if c, err := seat.Confirm(b.ctx(), seat.claim(won.won)); err != nil || !c.Holds {
		t.Errorf("who holds a key is not confirmed: %+v, %v", c, err)
	}
	refused(t, openWith(t, b, func(*etcdstore.Config) {}), "etcdctl alarm disarm")
	within(t, func(ctx context.Context) (any, error) {
		_, err := seat.Rebind(ctx, seat.claim(won.won), seat.opened.Grant.Reply.RaftTerm)
		refused(t, err, "etcdctl alarm disarm")
		return nil, nil
	})
}

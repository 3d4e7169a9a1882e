package etcdstore_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/elector-dev/elector/internal/devetcd"
	"github.com/elector-dev/elector/internal/election"
	"github.com/elector-dev/elector/internal/etcdstore"
)

// Between the reading of the queue and the transaction the own key may go, and whoever was next leads.
func TestLeadIsNotPassedOnInAQueueThatHasChanged(t *testing.T) {
	etcd := startEtcd(t, devetcd.Options{})
	b := newBed(t, etcd.Endpoints())
	var read atomic.Pointer[func()]
	b.change = func(c *etcdstore.Config) {
		c.Requests = func(op, _ string) {
			if f := read.Load(); f != nil && op == "range" {
				read.Store(nil)
				(*f)()
			}
		}
	}
	s := b.seat(etcd.Endpoints(), 5*time.Second)
	own := s.claim(await(t, "the win", s.campaign(b.ctx())).won)
	b.Stand("next", "1")
	b.Stand("last", "1")
	removed := func() { b.Delete(s.opened.Key) }
	read.Store(&removed)
	if err := s.Pass(b.ctx(), own, election.Candidate{Identity: "last", Incarnation: "1"}); err == nil {
		t.Error("passed on by one that does not lead any more")
	}
	if !b.stands(b.prefix() + "/stand-in-1") {
		t.Error("the one that leads by now was removed")
	}
}

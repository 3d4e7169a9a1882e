package etcdstore_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

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

func TestTheLeadStaysWhenItCannotBePassedOn(t *testing.T) {
	for name, row := range map[string]struct {
		meanwhile func(*bed) error // between the reading of the queue and the transaction
		says      string
	}{
		"etcd refuses":    {func(*bed) error { return errNo }, "pass the lead on"},
		"the heir leaves": {func(b *bed) error { b.Delete(b.prefix() + "/stand-in-1"); return nil }, election.ErrNotStanding.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			b, way, endpoints := behind(t)
			s := b.seat(endpoints, time.Minute)
			own := s.claim(await(t, "the win", s.campaign(b.ctx())).won)
			b.Stand("heir", "1")
			way.deny(func(request any) error {
				if removes(request) {
					return row.meanwhile(b)
				}
				return nil
			})
			if err := s.Pass(b.ctx(), own, election.Candidate{Identity: "heir", Incarnation: "1"}); err == nil || !strings.Contains(err.Error(), row.says) {
				t.Errorf("%v", err)
			}
			if !b.stands(s.opened.Key) {
				t.Error("nobody leads")
			}
		})
	}
}

// removes reports whether a request is a transaction that deletes something first.
func removes(request any) bool {
	r, ok := request.(*pb.TxnRequest)
	return ok && len(r.Success) > 0 && r.Success[0].GetRequestDeleteRange() != nil
}

func TestTheLeadIsPassedOnThoughACandidateLeavesMeanwhile(t *testing.T) {
	b, way, endpoints := behind(t)
	s := b.seat(endpoints, time.Minute)
	own := s.claim(await(t, "the win", s.campaign(b.ctx())).won)
	b.Stand("between", "1")
	b.Stand("heir", "1")
	tries := 0
	way.deny(func(request any) error {
		if removes(request) {
			if tries++; tries == 1 {
				b.Delete(b.prefix() + "/stand-in-1")
			}
		}
		return nil
	})
	if err := s.Pass(b.ctx(), own, election.Candidate{Identity: "heir", Incarnation: "1"}); err != nil || tries != 2 {
		t.Errorf("after %d tries: %v", tries, err)
	}
	if b.stands(s.opened.Key) || !b.stands(b.prefix()+"/stand-in-2") {
		t.Error("the heir does not lead")
	}
}

// Whoever stands without an incarnation may hold what it does not know how to give up. It may get the lead, and not lose its
// place. The elector has looked as well, in an older reading of the queue.
func TestTheLeadIsPassedOnToAForeignCandidateAndNotOverOne(t *testing.T) {
	etcd := startEtcd(t, devetcd.Options{})
	b := newBed(t, etcd.Endpoints())
	s := b.seat(etcd.Endpoints(), time.Minute)
	own := s.claim(await(t, "the win", s.campaign(b.ctx())).won)
	b.Stand("foreign", "")
	b.Stand("heir", "1")
	if err := s.Pass(b.ctx(), own, election.Candidate{Identity: "heir", Incarnation: "1"}); err != election.ErrForeignBetween {
		t.Errorf("over a foreign candidate: %v", err)
	}
	if err := s.Pass(b.ctx(), election.Claim{Token: own.Token - 1}, election.Candidate{Identity: "foreign"}); err != election.ErrTokenMismatch {
		t.Errorf("of another term: %v", err)
	}
	must(t, s.Pass(b.ctx(), own, election.Candidate{Identity: "foreign"}))
	if !b.stands(b.prefix()+"/stand-in-1") || b.stands(s.opened.Key) {
		t.Error("the foreign candidate does not lead")
	}
	b.Delete(b.prefix() + "/stand-in-1")
	b.Delete(b.prefix() + "/stand-in-2")
	if err := s.Pass(b.ctx(), own, election.Candidate{Identity: "heir", Incarnation: "1"}); err != election.ErrTokenMismatch {
		t.Errorf("where nobody stands: %v", err)
	}
}

// The heir may have lost its place and come back, and stands a second time for a while.
func TestPassingOnRemovesAllBeforeTheHeirAndNotTheHeir(t *testing.T) {
	etcd := startEtcd(t, devetcd.Options{})
	b := newBed(t, etcd.Endpoints())
	s := b.seat(etcd.Endpoints(), time.Minute)
	own := s.claim(await(t, "the win", s.campaign(b.ctx())).won)
	for _, incarnation := range []string{"1", "2", "3"} {
		b.Stand("heir", incarnation)
	}
	if err := s.Pass(b.ctx(), own, election.Candidate{Identity: "heir", Incarnation: "4"}); err != election.ErrNotStanding {
		t.Errorf("passed on to one that is not there: %v", err)
	}
	ended, cancel := context.WithCancel(b.ctx())
	cancel()
	if err := s.Pass(ended, own, election.Candidate{Identity: "heir", Incarnation: "2"}); !errors.Is(err, context.Canceled) {
		t.Errorf("that the queue could not be read is told as %v", err)
	}
	must(t, s.Pass(b.ctx(), own, election.Candidate{Identity: "heir", Incarnation: "2"}))
	var left []string
	for _, key := range []string{s.opened.Key, b.prefix() + "/stand-in-1", b.prefix() + "/stand-in-2", b.prefix() + "/stand-in-3"} {
		if b.stands(key) {
			left = append(left, key)
		}
	}
	if want := []string{b.prefix() + "/stand-in-2", b.prefix() + "/stand-in-3"}; !slices.Equal(left, want) {
		t.Errorf("left are %q, want %q", left, want)
	}
}

package etcdstore_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/elector-dev/elector/internal/devetcd"
	"github.com/elector-dev/elector/internal/election"
	"github.com/elector-dev/elector/internal/etcdstore"
)

// dead is a process of identity "a" that died and left its key, with a lease of a minute.
type dead struct {
	election.Predecessor
	bed     *bed
	forgot  chan struct{}
	told    chan string // what the log of its successor says
	stopped atomic.Bool
	asked   chan struct{}    // whether its work has stopped
	created int64            // revision
	valued  clientv3.LeaseID // that the key is on
}

func (b *bed) leaveKey() *dead {
	b.t.Helper()
	r, err := b.client.Grant(b.ctx(), 60)
	must(b.t, err)
	d := &dead{bed: b, forgot: make(chan struct{}, 1), told: make(chan string, 64), asked: make(chan struct{}), valued: r.ID}
	d.stopped.Store(true)
	key := fmt.Sprintf("/elector/default/%s/%x", b.election, int64(r.ID))
	put, err := b.client.Put(b.ctx(), key, `{"identity":"a","incarnation":"a-dead"}`, clientv3.WithLease(r.ID))
	must(b.t, err)
	d.created = put.Header.Revision
	d.Predecessor = election.Predecessor{
		Candidacy: election.Candidacy{
			ClusterID: r.ResponseHeader.ClusterId, Key: key, Lease: election.LeaseID(r.ID), Token: d.created,
		},
		Incarnation: "a-dead",
		FreeAt:      now(),
		Stopped: func() (bool, error) {
			select {
			case d.asked <- struct{}{}:
			default:
			}
			return d.stopped.Load(), nil
		},
		Forget: func() { d.forgot <- struct{}{} },
	}
	return d
}

// Handle sends what is logged of a dead process.
func (d *dead) Handle(_ context.Context, r slog.Record) error {
	if r.Level == slog.LevelInfo {
		d.told <- r.Message
	}
	return nil
}

func (d *dead) Enabled(context.Context, slog.Level) bool { return true }
func (d *dead) WithAttrs([]slog.Attr) slog.Handler       { return d }
func (d *dead) WithGroup(string) slog.Handler            { return d }

// succeed starts the next process of the identity.
func (d *dead) succeed() *candidate {
	d.bed.change = func(c *etcdstore.Config) {
		c.Predecessors, c.Logger = []election.Predecessor{d.Predecessor}, slog.New(d)
	}
	return d.bed.join("a", 3*time.Second, nil)
}

// gone tells when the key's deletion is seen.
func (d *dead) gone() <-chan election.Instant { return d.bed.gone(d.Key, d.created+1) }

// stands reports whether the key and the lease are as they were left.
func (d *dead) stands() bool {
	d.bed.t.Helper()
	r, err := d.bed.client.Get(d.bed.ctx(), d.Key)
	must(d.bed.t, err)
	return len(r.Kvs) == 1 && !d.leaseGone(d.valued)
}

func (d *dead) leaseGone(id clientv3.LeaseID) bool {
	d.bed.t.Helper()
	r, err := d.bed.client.TimeToLive(d.bed.ctx(), id)
	must(d.bed.t, err)
	return r.TTL <= 0
}

func TestKeyOfADeadProcessIsReleasedWhenItsPromisesHaveRunOut(t *testing.T) {
	etcd := startEtcd(t, devetcd.Options{})
	for name, change := range map[string]func(*bed, *dead){
		"with its token":  func(*bed, *dead) {},
		"token not known": func(_ *bed, d *dead) { d.Token = 0 },
		"overwritten":     func(b *bed, d *dead) { b.Overwrite(d.Key) },
		"rebound": func(b *bed, d *dead) {
			r, err := b.client.Grant(b.ctx(), 60)
			must(b.t, err)
			d.valued = r.ID
			_, err = b.client.Put(b.ctx(), d.Key, "", clientv3.WithIgnoreValue(), clientv3.WithLease(r.ID))
			must(b.t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t, etcd.Endpoints())
			d := b.leaveKey()
			change(b, d)
			d.FreeAt = now().Add(700 * time.Millisecond)
			gone := d.gone()
			a := d.succeed()
			if gone := await(t, "the key's end", gone); gone < d.FreeAt {
				t.Errorf("gone at %v, promised until %v", gone, d.FreeAt)
			}
			await(t, "forgetting it", d.forgot)
			s := a.awaitPhase(election.Leader)
			if s.Token <= d.Token || !d.leaseGone(clientv3.LeaseID(d.Lease)) || !d.leaseGone(d.valued) {
				t.Errorf("token %d after %d; its lease is gone: %v, %v", s.Token, d.Token, d.leaseGone(clientv3.LeaseID(d.Lease)), d.leaseGone(d.valued))
			}
		})
	}
}

func TestKeyOfADeadProcessStaysWhileItsWorkRuns(t *testing.T) {
	d := newBed(t, startEtcd(t, devetcd.Options{}).Endpoints()).leaveKey()
	d.stopped.Store(false)
	gone := d.gone()
	a := d.succeed()
	for range 5 {
		select {
		case <-d.asked:
		case <-gone:
			t.Fatal("gone before its work")
		}
	}
	d.stopped.Store(true)
	a.awaitPhase(election.Leader)
	await(t, "forgetting it", d.forgot)
}

func TestKeyThatIsNotKnownToBeOfADeadProcessIsLeftAlone(t *testing.T) {
	etcd := startEtcd(t, devetcd.Options{})
	for name, row := range map[string]struct {
		change func(*dead)
		says   string
	}{
		"another token":       {func(d *dead) { d.Token-- }, "another's by now"},
		"another incarnation": {func(d *dead) { d.Token, d.Incarnation = 0, "a-1" }, "another's by now"},
		"another cluster":     {func(d *dead) { d.ClusterID++ }, "in another etcd"},
		"work unseen": {func(d *dead) {
			d.Stopped = func() (bool, error) { return false, errors.New("cannot be looked into") }
		}, "left to its lease"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newBed(t, etcd.Endpoints()).leaveKey()
			row.change(d)
			a := d.succeed()
			for said := ""; !strings.Contains(said, row.says); {
				if said = await(t, "a word about the key", d.told); strings.HasPrefix(said, "released") {
					t.Fatal("released")
				}
			}
			a.leave() // joins what looked at the key
			if !d.stands() || len(d.forgot) > 0 {
				t.Errorf("stands: %v, forgotten: %v", d.stands(), len(d.forgot) > 0)
			}
		})
	}
}

func TestKeyThatIsGoneAlreadyIsForgotten(t *testing.T) {
	etcd := startEtcd(t, devetcd.Options{})
	for name, stopped := range map[string]func() (bool, error){
		"work ended":  func() (bool, error) { return true, nil },
		"work unseen": func() (bool, error) { return false, errors.New("cannot be looked into") },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t, etcd.Endpoints())
			d := b.leaveKey()
			b.Delete(d.Key)
			d.Stopped = stopped
			d.succeed().awaitPhase(election.Leader)
			await(t, "forgetting it", d.forgot)
		})
	}
}

func TestKeyOfADeadProcessIsReleasedByALaterSessionWhenTheFirstIsLost(t *testing.T) {
	d := newBed(t, startEtcd(t, devetcd.Options{}).Endpoints()).leaveKey()
	d.stopped.Store(false)
	a := d.succeed()
	first := a.awaitPhase(election.Follower)
	d.bed.Revoke(first.Lease)
	a.await("another session", func(s election.State) bool { return s.Lease != 0 && s.Lease != first.Lease && s.Registered })
	d.stopped.Store(true)
	a.awaitPhase(election.Leader)
	await(t, "forgetting it", d.forgot)
}

// Whoever wrote to the key of a dead process under a lease of its own has that lease for other things too.
func TestOnlyTheLeasesOfADeadProcessGoWithItsKey(t *testing.T) {
	for name, row := range map[string]struct {
		change func(*bed, *dead) clientv3.LeaseID // the other lease
		kept   bool
	}{
		"overwritten by another": {func(b *bed, d *dead) clientv3.LeaseID { return b.onALease(d, "foreign") }, true},
		"rebound": {func(b *bed, d *dead) clientv3.LeaseID {
			return b.onALease(d, `{"identity":"a","incarnation":"a-dead"}`)
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			b, way, endpoints := behind(t)
			d := b.leaveKey()
			other := row.change(b, d)
			// Each request about it fails once, and is made again.
			failed := map[string]bool{}
			once := func(what string) error {
				if failed[what] {
					return nil
				}
				failed[what] = true
				return errNo
			}
			way.deny(func(q any) error {
				switch q := q.(type) {
				case *pb.RangeRequest:
					if string(q.Key) == d.Key {
						return once("read")
					}
				case *pb.TxnRequest:
					if p := q.Success[0].GetRequestDeleteRange(); p != nil && string(p.Key) == d.Key {
						return once("delete")
					}
				}
				return nil
			})
			b.change = func(c *etcdstore.Config) {
				c.Predecessors, c.Logger = []election.Predecessor{d.Predecessor}, slog.New(d)
			}
			b.seat(endpoints, time.Minute)
			await(t, "its end", d.forgot)
			if b.stands(d.Key) || b.alive(d.Lease) || b.alive(election.LeaseID(other)) != row.kept || len(failed) != 2 {
				t.Errorf("the key stands: %v; its lease: %v; the other lease: %v; failed %v", b.stands(d.Key), b.alive(d.Lease), b.alive(election.LeaseID(other)), failed)
			}
			if got := await(t, "a word", d.told); got != "released the key that a dead process of this elector had left" {
				t.Errorf("said %q", got)
			}
		})
	}
}

func TestALeaseOfADeadProcessThatCannotBeRevokedIsLeftToTheNextSession(t *testing.T) {
	b, way, endpoints := behind(t)
	d := b.leaveKey()
	way.deny(func(q any) error {
		if r, ok := q.(*pb.LeaseRevokeRequest); ok && r.ID == int64(d.Lease) {
			return errNo
		}
		return nil
	})
	b.change = func(c *etcdstore.Config) { c.Predecessors = []election.Predecessor{d.Predecessor} }
	s := b.seat(endpoints, time.Minute)
	await(t, "its end", d.forgot)
	if b.stands(d.Key) || !b.alive(d.Lease) {
		t.Errorf("the key stands: %v; its lease, which could not be revoked: %v", b.stands(d.Key), b.alive(d.Lease))
	}
	way.deny(func(any) error { return nil })
	if s.removes(); b.alive(d.Lease) {
		t.Error("its lease is left")
	}
}

func TestASessionEndsThoughItCannotReleaseTheKeyOfADeadProcess(t *testing.T) {
	b, way, endpoints := behind(t)
	d := b.leaveKey()
	tried := make(chan struct{}, 1)
	way.deny(func(q any) error {
		if r, ok := q.(*pb.RangeRequest); !ok || string(r.Key) != d.Key {
			return nil
		}
		select {
		case tried <- struct{}{}:
		default:
		}
		return errNo
	})
	b.change = func(c *etcdstore.Config) { c.Predecessors = []election.Predecessor{d.Predecessor} }
	s := b.seat(endpoints, time.Minute)
	await(t, "a try", tried)
	ended := make(chan struct{})
	go func() {
		s.Close(true, election.Claim{})
		close(ended)
	}()
	await(t, "the session's end", ended)
	still(t, "forgotten", d.forgot)
}

// onALease writes to the key of a dead process under another lease.
func (b *bed) onALease(d *dead, text string) clientv3.LeaseID {
	b.t.Helper()
	r, err := b.client.Grant(b.ctx(), 60)
	must(b.t, err)
	_, err = b.client.Put(b.ctx(), d.Key, text, clientv3.WithLease(r.ID))
	must(b.t, err)
	return r.ID
}

func TestKeyOfAProcessOfWhichNothingIsKnownIsLeftToItsLease(t *testing.T) {
	const left = "the key of a dead process of this elector is left to its lease"
	for name, row := range map[string]struct {
		gone, unread bool
		forgot       bool
	}{"it stands": {}, "it is gone": {gone: true, forgot: true}, "it cannot be read": {gone: true, unread: true}} {
		t.Run(name, func(t *testing.T) {
			b, way, endpoints := behind(t)
			d := b.leaveKey()
			d.Stopped = func() (bool, error) { return false, errNo }
			if row.gone {
				b.Delete(d.Key)
			}
			read := make(chan struct{}, 1)
			way.deny(func(q any) error {
				if r, ok := q.(*pb.RangeRequest); ok && string(r.Key) == d.Key {
					read <- struct{}{}
					if row.unread {
						return errNo
					}
				}
				return nil
			})
			b.change = func(c *etcdstore.Config) {
				c.Predecessors, c.Logger = []election.Predecessor{d.Predecessor}, slog.New(d)
			}
			s := b.seat(endpoints, time.Minute)
			await(t, "a look", read)
			if row.forgot {
				await(t, "forgetting it", d.forgot)
			} else if got := await(t, "a word", d.told); got != left {
				t.Errorf("said %q", got)
			}
			s.Close(true, election.Claim{})
			still(t, "said", d.told)
			still(t, "forgotten", d.forgot)
		})
	}
}

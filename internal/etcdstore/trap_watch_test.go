package etcdstore_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	"github.com/elector-dev/elector/internal/devetcd"
	"github.com/elector-dev/elector/internal/election"
	"github.com/elector-dev/elector/internal/etcdstore"
	"github.com/elector-dev/elector/internal/record"
)

// The library's Observe goes on showing the last leader when there is none.
func TestObserveNeverSaysNobodyAndTheStoreDoes(t *testing.T) {
	b := trapEtcd(t)
	seat := b.seat(nil, time.Minute)
	first := b.naive(nil, time.Minute).win()
	observer := b.naive(nil, time.Minute)
	seen := observer.Observe(t.Context())
	if r := await(t, "the observed leader", seen); string(r.Kvs[0].Key) != first.key(b) {
		t.Errorf("observed %v", r.Kvs)
	}
	event(seat, func(e election.Observed) bool { return e.Leader.Identity == "naive" })
	must(t, first.Resign(t.Context()))
	event(seat, func(e election.Observed) bool { return e.Leader == (election.Candidate{}) })
	second := b.naive(nil, time.Minute).win()
	if r := await(t, "the next leader", seen); string(r.Kvs[0].Key) != second.key(b) {
		t.Errorf("between two leaders Observe shows %v", r.Kvs)
	}
}

// While nobody leads, Observe takes the first key that it is told of for the leader's, however long it was
// on its way (etcd-io/etcd#18163). The store takes it for a reason to read.
func TestObserveNamesALeaderOfLongAgoAndTheStoreTheOneOfNow(t *testing.T) {
	b := trapEtcd(t)
	l, through := linked(t, b.client.Endpoints()[0])
	asked := make(chan struct{}, 64)
	client, err := clientv3.New(clientv3.Config{
		Endpoints: through, Logger: zap.NewNop(),
		DialOptions: []grpc.DialOption{grpc.WithChainUnaryInterceptor(
			func(ctx context.Context, method string, req, rep any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
				err := invoke(ctx, method, req, rep, cc, opts...)
				asked <- struct{}{}
				return err
			})},
	})
	must(t, err)
	defer client.Close()
	session, err := concurrency.NewSession(client)
	must(t, err)
	await(t, "the grant", asked)
	seen := concurrency.NewElection(session, b.prefix()).Observe(t.Context())
	await(t, "Observe's reading", asked)
	seat := b.seat(through, time.Minute)
	event(seat, func(e election.Observed) bool { return e.Leader == (election.Candidate{}) })

	l.Hold(false, true)
	passing := b.naive(nil, time.Minute).win()
	must(t, passing.Resign(t.Context()))
	lasting := b.naive(nil, time.Minute).win()
	l.Release()
	if r := await(t, "the observed leader", seen); string(r.Kvs[0].Key) != passing.key(b) {
		t.Errorf("Observe shows %v: nothing was shown", r.Kvs)
	}
	if e := event(seat, func(e election.Observed) bool { return e.Leader != (election.Candidate{}) }); e.Leader.Token != lasting.Rev() {
		t.Errorf("the store names %+v while %d leads", e.Leader, lasting.Rev())
	}
}

// Observe ends without a reason when what it watches was compacted away; the store reads anew.
func TestObserveEndsSilentlyOnCompactionAndTheStoreGoesOn(t *testing.T) {
	b := trapEtcd(t)
	first := b.naive(nil, time.Minute).win()
	l, through := linked(t, b.client.Endpoints()[0])
	observer := b.naive(through, time.Minute)
	seen := observer.Observe(t.Context())
	await(t, "the observed leader", seen)
	seat := b.seat(through, time.Minute)
	event(seat, func(e election.Observed) bool { return e.Leader.Identity == "naive" })
	b.compactBehind(l)
	select {
	case r, open := <-seen:
		if open {
			t.Errorf("observed %v", r.Kvs)
		}
	case <-time.After(patience):
		t.Error("Observe goes on")
	}
	event(seat, func(e election.Observed) bool { return e.Leader.Token == first.Rev() }) // read once more
	must(t, first.Resign(t.Context()))
	event(seat, func(e election.Observed) bool { return e.Leader == (election.Candidate{}) })
}

// The watch of the own key ends alike. Before the key is put, its absence says nothing; later it is told how it stands.
func TestTheOwnKeyIsWatchedOnAfterCompaction(t *testing.T) {
	b := trapEtcd(t)
	l, through := linked(t, b.client.Endpoints()[0])
	var told requests
	b.change = func(c *etcdstore.Config) { c.Requests = told.tell }
	s := b.seat(through, time.Minute)
	ofKey := func(e election.Event) bool {
		switch e := e.(type) {
		case election.OwnKeyPut, election.OwnKeyDeleted:
			return true
		case election.InTouch:
			if e.Session != 1 {
				t.Errorf("told is %+v", e)
			}
		}
		return false
	}
	told.await(t, "range OK", 3) // who stands, who leads, and the value
	b.compactBehind(l)
	told.await(t, "range OK", 6) // who leads, the value, and the own key
	won := await(t, "the win", s.campaign(b.ctx())).won
	for range 2 {
		if put, ok := event(s, ofKey).(election.OwnKeyPut); !ok || put.Session != 1 || put.Key.Token != won.Token {
			t.Fatalf("told is %+v, of token %d", put, won.Token)
		}
		b.compactBehind(l)
	}
	event(s, anyOf[election.OwnKeyPut])
	b.compactBehind(l, func() { b.Delete(s.opened.Key) })
	if gone, ok := event(s, ofKey).(election.OwnKeyDeleted); !ok || gone.Session != 1 {
		t.Errorf("told is %+v", gone)
	}
	_, err := b.client.Put(b.ctx(), b.valueKey(), record.EncodeValue(election.ValuePut{Bytes: []byte("v"), Token: 7}))
	must(t, err)
	event(s, func(e election.ValueSeen) bool { return e.Session == 1 && e.Value != nil && e.Value.Token == 7 })
}

// The first that is heard of the key may be how it stands after a watch that failed, or a watch's word.
func TestAKeyThatWasSeenInOneWayAloneIsMissedWhenItGoes(t *testing.T) {
	b := trapEtcd(t)
	l, through := linked(t, b.client.Endpoints()[0])
	for _, read := range []bool{true, false} {
		s := b.seat(through, time.Minute)
		event(s, anyOf[election.Observed])
		put := func() {
			_, err := b.client.Put(b.ctx(), s.opened.Key, "")
			must(t, err)
		}
		if read {
			b.compactBehind(l, put)
		} else {
			put()
		}
		event(s, anyOf[election.OwnKeyPut])
		b.compactBehind(l, func() { b.Delete(s.opened.Key) })
		event(s, anyOf[election.OwnKeyDeleted])
	}
}

// After a watch that failed the key is read, and watched from there on: not from where etcd remembers nothing of any more.
func TestTheOwnKeyIsWatchedFromWhereItWasRead(t *testing.T) {
	b, way, endpoints := behind(t)
	way.blind.Store(true)
	s := b.seat(endpoints, time.Minute)
	if e := event(s, anyOf[election.InTouch]); e.Sent <= s.opened.First.Sent || e.Session != 1 { // by a read, since nothing else comes
		t.Errorf("told is %+v", e)
	}
	_, err := b.client.Put(b.ctx(), s.opened.Key, "")
	must(t, err)
	put, err := b.client.Put(b.ctx(), "filler", "")
	must(t, err)
	_, err = b.client.Compact(b.ctx(), put.Header.Revision)
	must(t, err)
	for range 2 { // the first may have been read before
		event(s, anyOf[election.OwnKeyPut])
	}
	failed := make(chan struct{}, 64)
	way.deny(func(request any) error {
		if r, ok := request.(*pb.RangeRequest); ok && string(r.Key) == s.opened.Key {
			failed <- struct{}{}
			return errNo
		}
		return nil
	})
	await(t, "a read that fails", failed)
	way.blind.Store(false)
	b.Delete(s.opened.Key)
	event(s, anyOf[election.OwnKeyDeleted])
	put, err = b.client.Put(b.ctx(), s.opened.Key, "") // by whom ever, which is nothing to a session whose key has gone
	must(t, err)
	event(s, func(e election.Event) bool {
		if own, ok := e.(election.OwnKeyPut); ok {
			t.Errorf("told is %+v", own)
		}
		seen, ok := e.(election.Observed)
		return ok && seen.Leader.Token == put.Header.Revision
	})
}

// A plain program may campaign with an empty value.
func TestWhoComesWithAnEmptyValueIsSeen(t *testing.T) {
	b := trapEtcd(t)
	s := b.seat(nil, time.Minute)
	event(s, anyOf[election.Observed])
	put, err := b.client.Put(b.ctx(), b.prefix()+"/plain", "")
	must(t, err)
	event(s, func(e election.Observed) bool { return e.Leader.Token == put.Header.Revision })
}

func TestTheOwnKeyIsNobodysPredecessor(t *testing.T) {
	b := trapEtcd(t)
	s := b.seat(nil, time.Minute)
	won := await(t, "the win", s.campaign(b.ctx())).won
	event(s, func(e election.Observed) bool { return e.Leader.Token == won.Token })
	b.Delete(s.opened.Key)
	if e := event(s, anyOf[election.Observed]); e.Predecessor != 0 || e.Leader.Token != 0 {
		t.Errorf("told is %+v", e)
	}
}

// Who is next, or stands alone, does not wait before it looks who leads.
func TestTheNextOneLooksAtOnceWhenTheLeaderHasGone(t *testing.T) {
	b := trapEtcd(t)
	s := b.seat(nil, time.Minute)
	event(s, anyOf[election.Observed])
	soon := 0
	for i := range 10 {
		put, err := b.client.Put(b.ctx(), fmt.Sprintf("%s/%03d", b.prefix(), i), "")
		must(t, err)
		event(s, func(e election.Observed) bool { return e.Leader.Token == put.Header.Revision })
		b.Delete(fmt.Sprintf("%s/%03d", b.prefix(), i))
		if e := event(s, func(e election.Observed) bool { return e.Predecessor != 0 }); e.Reply.Sent.Sub(e.Predecessor) < 20*time.Millisecond {
			soon++
		}
	}
	if soon < 5 {
		t.Errorf("%d of 10 times it looked at once", soon)
	}
}

// Whoever writes such a value may write many.
func TestAStrangeValueIsWarnedOfOnce(t *testing.T) {
	b := trapEtcd(t)
	var warned atomic.Int64
	b.change = func(c *etcdstore.Config) { c.Logger = slog.New(counting{slog.DiscardHandler, &warned}) }
	s := b.seat(nil, time.Minute)
	event(s, anyOf[election.ValueSeen])
	_, err := b.client.Put(b.ctx(), b.valueKey(), record.EncodeValue(election.ValuePut{Bytes: []byte("v"), Token: 7}))
	must(t, err)
	event(s, func(e election.ValueSeen) bool { return e.Value != nil })
	b.Delete(b.valueKey())
	event(s, func(e election.ValueSeen) bool { return e.Value == nil })
	if n := warned.Load(); n != 0 {
		t.Errorf("a value that goes is warned of")
	}
	for i, row := range []struct {
		value string
		want  int64
	}{{"none", 1}, {"none either", 1}, {record.EncodeValue(election.ValuePut{Bytes: []byte("v"), Token: 7}), 1}, {"none again", 2}} {
		_, err := b.client.Put(b.ctx(), b.valueKey(), row.value)
		must(t, err)
		event(s, anyOf[election.ValueSeen])
		if n := warned.Load(); n != row.want {
			t.Errorf("after value %d: %d warnings, want %d", i, n, row.want)
		}
	}
}

// All see at the same instant that the leader's key has gone, and etcd sorts the whole queue for each that looks who is next.
func TestThoseThatAreNotNextTakeTheirTimeToLook(t *testing.T) {
	b := trapEtcd(t)
	const others = 60 // so they look within 0.12 s
	for i := range others {
		_, err := b.client.Put(b.ctx(), fmt.Sprintf("%s/%03d", b.prefix(), i), "")
		must(t, err)
	}
	s := b.seat(nil, time.Minute)
	event(s, anyOf[election.Observed])
	for i := range 10 {
		b.Delete(fmt.Sprintf("%s/%03d", b.prefix(), i))
		e := event(s, func(e election.Observed) bool { return e.Predecessor != 0 })
		if e.Reply.Sent.Sub(e.Predecessor) > 20*time.Millisecond {
			_, err := b.client.Put(b.ctx(), fmt.Sprintf("%s/%03d", b.prefix(), i+1), "changed")
			must(t, err)
			if next := event(s, anyOf[election.Observed]); next.Predecessor != 0 {
				t.Errorf("nobody has gone, and told is %+v", next)
			}
			return
		}
	}
	t.Error("ten times it looked at once")
}

// etcd tells everybody who watches a key that it has gone, before it serves the next one: a large election must not watch.
func TestInALargeElectionOnlyTheNextOneWatchesTheLeader(t *testing.T) {
	t.Parallel()
	b, way, endpoints := behind(t)
	key := func(i int) string { return fmt.Sprintf("%s/%03d", b.prefix(), i) }
	watched, looks := make(chan string, 64), make(chan bool, 64)
	var fail atomic.Bool // looks
	way.deny(func(request any) error {
		switch r := request.(type) {
		case *pb.WatchRequest:
			if c := r.GetCreateRequest(); c != nil && strings.HasPrefix(string(c.Key), b.prefix()+"/0") {
				watched <- string(c.Key)
			}
		case *pb.RangeRequest:
			if r.Serializable || len(r.RangeEnd) == 0 && strings.HasPrefix(string(r.Key), b.prefix()+"/0") {
				looks <- r.Serializable
				if fail.Load() {
					return errNo
				}
			}
		}
		return nil
	})
	const ttl = 2 * time.Second
	for i := range 70 {
		_, err := b.client.Put(b.ctx(), key(i), "")
		must(t, err)
	}
	fail.Store(true)
	s := b.seat(endpoints, ttl)
	event(s, anyOf[election.Observed])
	_, err := b.client.Put(b.ctx(), "filler", "")
	must(t, err)
	await(t, "a first look, which fails", looks)
	fail.Store(false)
	await(t, "a look after it", looks)
	for len(looks) > 0 {
		<-looks
	}
	untold := func() {
		t.Helper()
		for renewals := 0; renewals < 3; {
			switch e := await(t, "a renewal", s.events).(type) {
			case election.Renewed:
				renewals++
			case election.Observed:
				t.Errorf("nothing has changed, and told is %+v", e)
			}
		}
	}
	quiet := func() {
		t.Helper()
		untold()
		still(t, "a look when etcd says that nothing has changed", looks)
	}
	quiet()
	for range 2 {
		_, err := b.client.Put(b.ctx(), "filler", "")
		must(t, err)
		if !await(t, "a look", looks) {
			t.Error("a look asks more than one member")
		}
		quiet()
	}
	for n := 0; n < 3; { // in a row
		_, err := b.client.Put(b.ctx(), "filler", "")
		must(t, err)
		select {
		case <-looks:
			n++
		case e := <-s.events:
			if _, ok := e.(election.Observed); ok {
				t.Errorf("nothing has changed, and told is %+v", e)
			}
		case <-time.After(patience):
			t.Fatal("no look")
		}
	}
	told := func(what string, standing int) {
		t.Helper()
		if e := event(s, anyOf[election.Observed]); e.Standing != standing {
			t.Errorf("%s: told is %+v", what, e)
		}
		for len(looks) > 0 {
			<-looks
		}
	}
	b.Delete(key(0))
	told("the leader has gone", 69)
	_, err = b.client.Put(b.ctx(), key(1), "changed")
	must(t, err)
	told("the leader has written", 69)
	b.Delete(key(1))
	_, err = b.client.Put(b.ctx(), key(1), "changed") // the last one now, if nothing was read between the two
	must(t, err)
	event(s, func(e election.Observed) bool { return e.Standing == 69 })
	_, err = b.client.Put(b.ctx(), "filler", "")
	must(t, err)
	await(t, "a look", looks)
	untold()
	for len(looks) > 0 {
		<-looks
	}
	fail.Store(true)
	_, err = b.client.Put(b.ctx(), "filler", "")
	must(t, err)
	await(t, "a look that fails", looks)
	untold()
	fail.Store(false)
	b.Delete(key(2))
	_, err = b.client.Put(b.ctx(), key(2), "changed")
	must(t, err)
	told("the leader has gone after looks that failed", 69)
	still(t, "a watch in a large election", watched)

	for i := 65; i < 70; i++ { // a small one is watched, from the next look on
		b.Delete(key(i))
	}
	_, err = b.client.Put(b.ctx(), key(3), "changed")
	must(t, err)
	event(s, func(e election.Observed) bool { return e.Standing == 64 })
	if k := await(t, "a watch in a small election", watched); k != key(3) {
		t.Errorf("it watches %s", k)
	}
}

// etcd would go on looking after it, and the client too.
func TestAWatchThatHasSeenItsChangeIsCancelled(t *testing.T) {
	t.Parallel()
	b, way, endpoints := behind(t)
	var open atomic.Int64
	way.deny(func(request any) error {
		if r, ok := request.(*pb.WatchRequest); ok {
			if r.GetCreateRequest() != nil {
				open.Add(1)
			} else if r.GetCancelRequest() != nil {
				open.Add(-1)
			}
		}
		return nil
	})
	s := b.seat(endpoints, time.Minute)
	for i := range 20 {
		_, err := b.client.Put(b.ctx(), b.prefix()+"/first", fmt.Sprint(i))
		must(t, err)
		event(s, func(e election.Observed) bool { return e.Leader.Identity == fmt.Sprint(i) })
	}
	if n := open.Load(); n > 6 { // the leader's key, the own one, the value, a sign of life
		t.Errorf("%d watches are open", n)
	}
}

// A watch says nothing for as long as nothing happens, and so does the member that it has died with.
func TestASignOfLifeIsAskedForOnceATTL(t *testing.T) {
	t.Parallel()
	b, way, endpoints := behind(t)
	signs := make(chan struct{}, 64)
	var ofValue atomic.Int64
	way.deny(func(request any) error {
		if r, ok := request.(*pb.WatchRequest); ok {
			switch key := string(r.GetCreateRequest().GetKey()); {
			case strings.HasSuffix(key, "/never"):
				signs <- struct{}{}
			case key == b.valueKey():
				ofValue.Add(1)
			}
		}
		return nil
	})
	s := b.seat(endpoints, 2*time.Second)
	await(t, "the first sign", signs)
	renewals := 0 // three in a TTL
	for n := 0; n < 4; {
		select {
		case <-signs:
			n++
		case ev := <-s.events:
			if _, ok := ev.(election.Renewed); ok {
				renewals++
			}
		case <-time.After(patience):
			t.Fatal("there was no other")
		}
	}
	if renewals < 7 || renewals > 24 {
		t.Errorf("the lease was renewed %d times beside four more signs of life, not 12 times", renewals)
	}
	if n := ofValue.Load(); n != 1 {
		t.Errorf("the value's key is watched %d times where there is none", n)
	}
}

func TestASessionEndsInALargeElectionToo(t *testing.T) {
	b := trapEtcd(t)
	for i := range 70 {
		_, err := b.client.Put(b.ctx(), fmt.Sprintf("%s/%03d", b.prefix(), i), "")
		must(t, err)
	}
	s := b.seat(nil, time.Minute) // whose renewals are far apart
	event(s, anyOf[election.Observed])
	event(s, anyOf[election.Renewed])
	ended := make(chan struct{})
	go func() {
		s.Close(true, election.Claim{})
		close(ended)
	}()
	await(t, "the session's end", ended)
}

func TestAReadThatFailsDoesNotEndTheWatchOfTheLeader(t *testing.T) {
	b, way, endpoints := behind(t)
	var denied atomic.Int64
	way.deny(func(request any) error {
		if r, ok := request.(*pb.RangeRequest); ok && !r.CountOnly && denied.Add(1) <= 2 {
			return errNo
		}
		return nil
	})
	s := b.seat(endpoints, time.Minute)
	event(s, anyOf[election.Observed])
	if n := denied.Load(); n < 3 {
		t.Errorf("observed after %d reads", n)
	}
}

func TestWatchesThatAlwaysFailAreTakenUpAfterAPause(t *testing.T) {
	b, way, endpoints := behind(t)
	way.blind.Store(true)
	var told requests
	b.change = func(c *etcdstore.Config) { c.Requests = told.tell }
	var ofOwn atomic.Int64
	way.deny(func(request any) error {
		if r, ok := request.(*pb.RangeRequest); ok && strings.HasPrefix(string(r.Key), b.prefix()+"/") && len(r.Key) > len(b.prefix()+"/") {
			ofOwn.Add(1)
		}
		return nil
	})
	s := b.seat(endpoints, time.Minute)
	began, looks := now(), int64(0)
	for told.count("range OK") < 40 { // three watches read before they begin anew
		event(s, anyOf[election.Observed])
		looks++
	}
	if took := now().Sub(began); took < 300*time.Millisecond {
		t.Errorf("forty reads in %v", took)
	}
	if n := ofOwn.Load(); n > 5*looks {
		t.Errorf("the own key is read %d times, and %d times who leads", n, looks)
	}
}

// A member that has lost the quorum keeps a watch open and silent, unless the watch says that it requires
// a leader. The store's watches do, end, and are taken up when there is a leader again.
func TestWatchOnAMemberWithoutLeaderIsSilentAndTheStoresEnds(t *testing.T) {
	t.Parallel()
	const ttl = 20 * time.Second // so long that nothing but the member ends a watch meanwhile
	etcd := startCluster(t, 3, devetcd.Options{})
	only := []string{etcd.Member(0).Endpoint()}
	b := newBed(t, etcd.Endpoints())
	plain := dial(t, only)
	open := plain.Watch(t.Context(), "/elsewhere", clientv3.WithCreatedNotify())
	await(t, "the plain watch", open)

	var told requests
	b.change = func(c *etcdstore.Config) { c.Requests = told.tell }
	holder := b.naive(nil, time.Minute).win()
	seat := b.seat(only, ttl)
	event(seat, func(e election.Observed) bool { return e.Leader.Token == holder.Rev() })
	for i := 1; i < 3; i++ {
		must(t, etcd.Member(i).Pause())
	}
	// The ended watch shows in the reading that the store does before it watches again, in vain for now.
	for limit := now().Add(30 * time.Second); told.count("range DeadlineExceeded")+told.count("range Unavailable") == 0; {
		if now() > limit {
			t.Fatalf("the store's watch does not end: %v", told.n)
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-t.Context().Done():
		}
	}
	still(t, "the plain watch spoke", open)
	for i := 1; i < 3; i++ {
		must(t, etcd.Member(i).Resume())
	}
	within(t, func(ctx context.Context) (any, error) { return nil, etcd.WaitHealthy(ctx) })
	b.Delete(holder.Key())
	event(seat, func(e election.Observed) bool { return e.Leader == (election.Candidate{}) })
}

// A new etcd leader gives every lease its whole TTL again, so whoever counts on a dead leader's lease to
// end by its old time is disappointed (etcd-io/etcd#9888).
func TestANewEtcdLeaderExtendsEveryLease(t *testing.T) {
	t.Parallel()
	etcd := startCluster(t, 3, devetcd.Options{})
	b := newBed(t, etcd.Endpoints())
	const ttl = 8
	g := within(t, func(ctx context.Context) (*clientv3.LeaseGrantResponse, error) { return b.client.Grant(ctx, ttl) })
	left := func() int64 {
		return within(t, func(ctx context.Context) (*clientv3.LeaseTimeToLiveResponse, error) {
			return b.client.TimeToLive(ctx, g.ID)
		}).TTL
	}
	for limit := now().Add(patience); left() > ttl/2; {
		if now() > limit {
			t.Fatal("the lease does not age")
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-t.Context().Done():
		}
	}
	next := (within(t, etcd.Leader) + 1) % 3
	within(t, func(ctx context.Context) (any, error) { return nil, etcd.MoveLeader(ctx, next) })
	if after := left(); after < ttl-1 {
		t.Errorf("%d s left after the change, of %d", after, ttl)
	}
}

package etcdstore_test

import (
	"context"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"

	"github.com/elector-dev/elector/internal/devetcd"
	"github.com/elector-dev/elector/internal/election"
	"github.com/elector-dev/elector/internal/etcdstore"
)

// The library's session counts its lease from when a reply arrived, so with replies that are late by a
// second its Done is a second late. Before a first reply it waits for as long as a dial may take. An
// elector counts from before its requests.
func TestSessionDoneComesAfterTheKeyHasGoneAndAnElectorsNoBefore(t *testing.T) {
	const ttl, late = 2 * time.Second, time.Second
	b := trapEtcd(t)
	toLate, lateThrough := linked(t, b.client.Endpoints()[0])
	toLate.Delay(0, late)
	believing := b.naive(lateThrough, ttl).win()

	toNothing, nothingThrough := linked(t, b.client.Endpoints()[0])
	toNothing.Sever(true, true)
	g := within(t, func(ctx context.Context) (*clientv3.LeaseGrantResponse, error) { return b.client.Grant(ctx, 2) })
	unheard := b.prefix() + "-unheard"
	put := within(t, func(ctx context.Context) (*clientv3.PutResponse, error) {
		return b.client.Put(ctx, unheard, "", clientv3.WithLease(g.ID))
	})
	deaf, err := concurrency.NewSession(dial(t, nothingThrough), concurrency.WithLease(g.ID))
	must(t, err)

	own := newBed(t, b.client.Endpoints())
	var told requests
	own.change = func(c *etcdstore.Config) { c.Requests = told.tell }
	toElector, electorThrough := linked(t, b.client.Endpoints()[0])
	elector := own.join("a", 8*time.Second, electorThrough) // with patience for replies of this kind
	leads := elector.awaitPhase(election.Leader)
	toElector.Delay(0, 600*time.Millisecond)

	gone := b.gone(believing.Key(), believing.Rev())
	unheardGone := b.gone(unheard, put.Header.Revision)
	ownGone := own.gone(own.prefix()+"/"+leads.Lease.String(), leads.Token)
	done := func(s *concurrency.Session) <-chan election.Instant {
		at := make(chan election.Instant, 1)
		go func() { <-s.Done(); at <- now() }()
		return at
	}
	libraryDone, deafDone := done(believing.session), done(deaf)
	toLate.Sever(true, false) // replies that are on their way still come
	told.awaitMore(t, "keepalive OK")
	toElector.Sever(true, false)
	elector.await("losing", func(s election.State) bool { return s.Phase != election.Leader })
	no := now()
	if went := await(t, "the elector's key's end", ownGone); no > went {
		t.Errorf("the elector says no %v after its key has gone", no.Sub(went))
	}
	if at, went := await(t, "Done", libraryDone), await(t, "the library's key's end", gone); at < went {
		t.Errorf("the library's session is done %v before its key goes", went.Sub(at))
	} else {
		t.Logf("replies late by %v: Done %v after the key has gone", late, at.Sub(went))
	}
	if at, went := await(t, "Done", deafDone), await(t, "the unheard key's end", unheardGone); at < went {
		t.Errorf("the session without a reply is done %v before its key goes", went.Sub(at))
	} else {
		t.Logf("no reply at all: Done %v after the key has gone", at.Sub(went))
	}
}

// However long a reply was on its way, the renewal counts from before its request.
func TestARenewalCountsFromBeforeItsRequestHoweverLateTheReply(t *testing.T) {
	const ttl, late = 6 * time.Second, 500 * time.Millisecond
	b := trapEtcd(t)
	l, through := linked(t, b.client.Endpoints()[0])
	l.Delay(0, late)
	seat := b.seat(through, ttl)
	if took := seat.opened.Grant.Reply.Received.Sub(seat.opened.Grant.Reply.Sent); took < late {
		t.Errorf("grant %+v took %v", seat.opened.Grant, took)
	}
	for range 2 {
		r := event(seat, anyOf[election.Renewed]).Renewal
		if took := r.Received.Sub(r.Sent); took < late || r.TTL <= 0 {
			t.Errorf("renewal %+v took %v; replies take %v at least", r, took, late)
		}
	}
}

// Replies that come after the deadline, in order and all at once, as when a network heals, find the term
// over. The lease may live by then, since its requests went through; the term does not come back.
func TestLateRepliesResurrectNoTerm(t *testing.T) {
	const ttl = 2 * time.Second
	b := trapEtcd(t)
	l, through := linked(t, b.client.Endpoints()[0])
	a := b.join("a", ttl, through)
	first := a.awaitPhase(election.Leader)
	rival := b.join("b", ttl, nil)
	rival.awaitPhase(election.Follower)
	neverBoth(t, a, rival)
	l.Hold(false, true)
	a.await("losing", func(s election.State) bool { return s.Phase != election.Leader })
	if a.Look().Leading {
		t.Error("says yes after its deadline")
	}
	l.Release()
	again := rival.awaitPhase(election.Leader)
	back := a.await("coming back", func(s election.State) bool { return s.Registered && s.Lease != first.Lease })
	if a.Look().Leading || back.Leader.Token == first.Token || again.Token <= first.Token {
		t.Errorf("a is back as %+v, b leads as %+v; a's first term was %+v", back, again, first)
	}
}

// While etcd stands still, the library's NewSession, Campaign and Close outlast the contexts that were to
// bound them (etcd-io/etcd#14631, #14641). The store's calls end, each within its bound.
func TestLibraryCallsHangWhileEtcdStandsStillAndTheStoresDoNot(t *testing.T) {
	t.Parallel()
	const ttl = 3 * time.Second
	etcd := startCluster(t, 1, devetcd.Options{})
	b := newBed(t, etcd.Endpoints())
	lease := within(t, func(ctx context.Context) (*clientv3.LeaseGrantResponse, error) { return b.client.Grant(ctx, 60) })
	closing := dial(t, etcd.Endpoints())
	session, err := concurrency.NewSession(closing, concurrency.WithLease(lease.ID))
	must(t, err)
	b.naive(nil, ttl).win()
	campaigning := b.naive(nil, ttl)
	giveUp, cancel := context.WithCancel(t.Context())
	campaigned := make(chan error, 1)
	go func() { campaigned <- campaigning.Campaign(giveUp, "naive") }()
	b.awaitKey(campaigning.key(b))
	ours := newBed(t, etcd.Endpoints())
	leads := ours.seat(nil, ttl)
	won := await(t, "the win", leads.campaign(t.Context()))
	must(t, won.err)
	waits := ours.seat(nil, ttl)
	waiting := waits.campaign(giveUp)
	event(waits, anyOf[election.OwnKeyPut])
	opening := dial(t, etcd.Endpoints())

	must(t, etcd.Member(0).Pause())
	began := now()
	cancel()
	opened, closed := make(chan error, 1), make(chan error, 1)
	go func() { _, err := concurrency.NewSession(opening, concurrency.WithTTL(3)); opened <- err }()
	go func() { closed <- session.Close() }()
	open := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, _, err := leads.store.Open(ctx, request(ttl, func(election.Event) {}))
		open <- err
	}()
	if err := await(t, "Open's end", open); err == nil {
		t.Error("opened a session without etcd")
	}
	t.Logf("the store's Open ends after %v", now().Sub(began))
	if o := await(t, "the campaign's end", waiting); o.err == nil {
		t.Errorf("won %+v without etcd", o.won)
	}
	released := make(chan struct{})
	go func() { leads.Close(true, leads.claim(won.won)); close(released) }()
	await(t, "the store's Close's end", released)
	t.Logf("the store's Close ends after %v", now().Sub(began))
	still(t, "the library's NewSession ended", opened)
	still(t, "the library's Campaign ended", campaigned)
	still(t, "the library's Close ended", closed)
	opening.Close()
	closing.Close()
	campaigning.Client.Close()
	for what, ended := range map[string]<-chan error{"NewSession": opened, "Campaign": campaigned, "Close": closed} {
		if err := await(t, what+"'s end", ended); err == nil {
			t.Errorf("%s succeeds without etcd", what)
		}
	}
	must(t, etcd.Member(0).Resume())
}

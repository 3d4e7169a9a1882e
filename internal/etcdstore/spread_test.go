package etcdstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/elector-dev/elector/internal/devetcd"
	"github.com/elector-dev/elector/internal/election"
)

func TestTheNextCandidateLooksAtOnceAndTheOthersSpread(t *testing.T) {
	e, err := devetcd.Start(t.Context(), devetcd.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	client, err := e.NewClient(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	s := &Store{prefix: "/elector/default/spread"}
	read := func() *clientv3.GetResponse {
		r, err := client.Do(t.Context(), s.firstTwo())
		if err != nil {
			t.Fatal(err)
		}
		return r.Get()
	}
	key := func(i int) string { return fmt.Sprintf("%s/%d", s.prefix, 9-i) } // by age and not by name
	crowdIn := func(r *clientv3.GetResponse, key string) int64 {
		ss := session{key: key}
		return ss.crowdIn(r)
	}
	if got := crowdIn(read(), key(1)); got != 0 {
		t.Errorf("%v in an empty queue", got)
	}
	for i := range 4 {
		if _, err := client.Put(t.Context(), key(i), ""); err != nil {
			t.Fatal(err)
		}
	}
	for i, want := range []int64{0, 0, 4, 4} {
		if got := crowdIn(read(), key(i)); got != want {
			t.Errorf("candidate %d: a crowd of %v, not %v", i, got, want)
		}
	}
}

func TestTheTimeWithinWhichACrowdAsksGrowsWithIt(t *testing.T) {
	const ttl = 10 * time.Second
	for _, c := range []struct {
		crowd    int64
		failures int
		longest  time.Duration
	}{
		{0, 0, 0}, // it is next
		{0, 5, 0},
		{1, 5, 0}, // it stands alone
		{11, 0, 10 * joinEach},
		{11, 1, 20 * joinEach},
		{11, 1000, ttl},
		{2, 1000, joinEach << 8},
		{10_000, 0, ttl / 2},
		{10_000, 1, ttl},
		{10_000, 1000, ttl},
	} {
		ss := session{req: election.OpenRequest{TTL: ttl}}
		ss.crowd.Store(c.crowd)
		var longest time.Duration
		for range 1000 {
			longest = max(longest, ss.inCrowd(joinEach, c.failures))
		}
		if longest > c.longest || longest < c.longest*9/10 {
			t.Errorf("%d of a crowd after %d failures: up to %v, not %v", c.crowd, c.failures, longest, c.longest)
		}
	}
}

func TestAnEtcdThatAnswersLateHasACrowdToServe(t *testing.T) {
	ss := session{req: election.OpenRequest{TTL: 10 * time.Second}}
	for _, c := range []struct {
		before int64
		took   time.Duration
		want   int64
	}{
		{3, 249 * time.Millisecond, 3},
		{3, 250 * time.Millisecond, 125},
		{1, 2 * time.Second, 1000},
		{2000, 2 * time.Second, 2000}, // that many were seen
		{0, 2 * time.Second, 0},       // it is next, and waits for nobody
	} {
		ss.crowd.Store(c.before)
		if ss.took(c.took); ss.crowd.Load() != c.want {
			t.Errorf("%v for a request: a crowd of %d, not %d", c.took, ss.crowd.Load(), c.want)
		}
	}
}

// skippingClock is one that a test puts forward.
type skippingClock struct{ skipped atomic.Int64 }

func (c *skippingClock) Now() election.Instant {
	return election.Instant(time.Hour + time.Duration(c.skipped.Load()))
}

// storeAlone starts etcd for a store.
func storeAlone(t *testing.T, ttl time.Duration, clock election.Clock) *Store {
	t.Helper()
	e, err := devetcd.Start(t.Context(), devetcd.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	s, err := New(Config{
		Endpoints: e.Endpoints(), DialTimeout: ttl, Prefix: "/elector", Namespace: "default", Election: "alone",
		Identity: "w", Incarnation: "i", TTL: ttl, Clock: clock, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// sessionOf opens a session of a store, which is closed at the test's end if not before.
func sessionOf(t *testing.T, s *Store, sink election.Sink) *session {
	t.Helper()
	opened, _, err := s.Open(t.Context(), election.OpenRequest{Number: 1, TTL: s.cfg.TTL, Alive: func() bool { return true }, Sink: sink})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { opened.Close(false, election.Claim{}) })
	return opened.(*session)
}

func TestWhatIsRememberedOfCampaignsThatEnded(t *testing.T) {
	clock := &skippingClock{}
	s := storeAlone(t, 10*time.Second, clock)
	put := make(chan struct{}, 16)
	ss := sessionOf(t, s, func(ev election.Event) {
		if e, ok := ev.(election.OwnKeyPut); ok {
			if e.Session != 1 || e.Key.Token == 0 {
				t.Errorf("told is %+v", e)
			}
			put <- struct{}{}
		}
	})
	ss.tellOwnKey()
	if len(put) > 0 {
		t.Error("a key is told of that is not there")
	}
	older, err := ss.client.Put(t.Context(), s.prefix+"/older", "")
	if err != nil {
		t.Fatal(err)
	}

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for want := 1; want <= 2; want++ {
		if _, err := ss.Campaign(ended); err == nil || ss.cut != want {
			t.Fatalf("%d failures in a row, want %d; %v", ss.cut, want, err)
		}
	}
	waiting, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	go func() {
		<-put
		clock.skipped.Add(int64(s.cfg.TTL) + 1)
		cancel()
	}()
	if won, err := ss.Campaign(waiting); err == nil || ss.cut != 0 || ss.won.Load() {
		t.Errorf("%d failures after a wait behind %d; %+v %v", ss.cut, older.Header.Revision, won, err)
	}
	ss.wasRefused = true // as by a role that lacked something, and has it now
	again, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	go func() {
		<-put // which no watch tells of, since nothing was written
		cancel()
	}()
	if _, err := ss.Campaign(again); again.Err() != context.Canceled || ss.wasRefused {
		t.Errorf("let in again: %v; refused: %v", err, ss.wasRefused)
	}
	if _, err := ss.client.Delete(t.Context(), s.prefix+"/older"); err != nil {
		t.Fatal(err)
	}
	if _, err := ss.Campaign(t.Context()); err != nil || !ss.won.Load() {
		t.Errorf("%v; has led: %v", err, ss.won.Load())
	}
	if ss.client.GetLogger() != s.log {
		t.Error("the client logs elsewhere")
	}
	for len(put) > 0 {
		<-put
	}
	ss.Close(false, election.Claim{})
	if ss.tellOwnKey(); len(put) > 0 {
		t.Error("a session that has ended tells of its key")
	}
	if err := ss.askWatching(ss.key); !errors.Is(err, errNoAnswer) {
		t.Errorf("a watch of a session that has ended: %v", err)
	}
}

func TestACampaignThatRestsIsOverWithItsSession(t *testing.T) {
	s := storeAlone(t, 24*time.Hour, &skippingClock{}) // half of which it may rest
	ended := make(chan struct{})
	ss := sessionOf(t, s, func(ev election.Event) {
		if _, ok := ev.(election.Observed); ok {
			<-ended // so that the crowd stays
		}
	})
	context.AfterFunc(ss.ctx, func() { close(ended) })
	ss.cut = 8
	ss.crowd.Store(1 << 40)
	rested := make(chan error, 1)
	go func() {
		_, err := ss.Campaign(context.Background())
		rested <- err
	}()
	ss.Close(false, election.Claim{})
	select {
	case err := <-rested:
		if !errors.Is(err, election.ErrSessionEnded) {
			t.Errorf("a campaign that rested when its session ended: %v", err)
		}
	case <-time.After(time.Minute):
		t.Error("a campaign rests after its session has ended")
	}
}

// Whoever comes to be the next one has nobody to spare any more.
func TestTheNextCandidateIsNoCrowd(t *testing.T) {
	s := storeAlone(t, time.Minute, &skippingClock{})
	seen, look := make(chan int, 64), make(chan struct{})
	ss := sessionOf(t, s, func(ev election.Event) {
		if e, ok := ev.(election.Observed); ok {
			<-look
			seen <- e.Standing
		}
	})
	crowd := ss.crowd.Load()
	if close(look); crowd != 1 {
		t.Errorf("as it begins, alone, its crowd is %d", crowd)
	}
	if _, err := ss.Campaign(t.Context()); err != nil {
		t.Fatal(err)
	}
	awaitStanding := func(least int) {
		t.Helper()
		for {
			select {
			case standing := <-seen:
				if standing >= least {
					return
				}
			case <-time.After(time.Minute):
				t.Fatalf("%d are not seen", least)
			}
		}
	}
	awaitStanding(1)
	other := s.prefix + "/behind"
	if _, err := ss.client.Put(t.Context(), other, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := ss.client.Put(t.Context(), ss.key, "changed"); err != nil { // so that it looks once more
		t.Fatal(err)
	}
	awaitStanding(2) // what it has seen before is in force
	if crowd = ss.crowd.Load(); crowd != 0 {
		t.Errorf("it leads, and has a crowd of %d before it", crowd)
	}
}

func TestWhatIsGoneAlreadyIsNotRemovedAgainAndAgain(t *testing.T) {
	s := storeAlone(t, time.Minute, &skippingClock{})
	s.leave(leftover{key: s.prefix + "/never"})
	s.leave(leftover{lease: 4711})
	sessionOf(t, s, func(election.Event) {}).Close(true, election.Claim{})
	if left := s.takeLeftover(); len(left) > 0 {
		t.Errorf("left for the next session are %+v", left)
	}
}

func TestWatchersThatFailAgainAndAgainComeBackMoreSeldom(t *testing.T) {
	refused := fmt.Errorf("read: %w", election.ErrRefused)
	for _, c := range []struct {
		err      error
		failures int
		ttl      time.Duration
		want     time.Duration
	}{
		{errWatchEnded, 1, 10 * time.Second, 200 * time.Millisecond},
		{errWatchEnded, 3, 10 * time.Second, 800 * time.Millisecond},
		{errWatchEnded, 5, 10 * time.Second, 2500 * time.Millisecond},
		{errWatchEnded, 1000, 10 * time.Second, 2500 * time.Millisecond},
		{errWatchEnded, 1000, 2 * time.Second, 500 * time.Millisecond},
		{errWatchEnded, 1000, time.Hour, watchPause << 8},
		{errWatchEnded, 2, watchPause, watchPause},
		{refused, 1, 10 * time.Second, 5 * time.Second},
	} {
		if got := longestPause(c.err, c.failures, c.ttl); got != c.want {
			t.Errorf("after %d failures at a TTL of %v, %v: %v, not %v", c.failures, c.ttl, c.err, got, c.want)
		}
	}
}

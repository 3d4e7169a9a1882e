package etcdstore_test

import (
	"bytes"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/elector-dev/elector/internal/devetcd"
	"github.com/elector-dev/elector/internal/election"
	"github.com/elector-dev/elector/internal/etcdstore"
)

// huge is about as much as etcd takes in one request.
var huge = bytes.Repeat([]byte("\x1b]0;owned\a"), 140_000)

// strange are values that somebody may put where candidates' records are.
var strange = []string{
	"", "plain", string(huge), `{"identity":"` + string(huge[:100]) + `"}`, `{"identity":"padded","incarnation":"x","pad":"` + strings.Repeat("x", 1<<20) + `"}`,
	"\x00\xff\xfe\x80", "a\r\nElector-Token: 9\r\n\r\n", "\u009b31m\u202e", strings.Repeat("[", 100_000), `{"identity":7}`, `{"identity":"w","since":"+292277026596-01-01T00:00:00Z"}`,
	`{"identity":"of the future","incarnation":"f","since":"2199-01-01T00:00:00Z","version":"v99","lease":{"kind":[1,2,{"x":null}]}}`, strings.Repeat("ü", 5000),
}

// litter puts strange records into the election, without a lease, and some of them in one transaction.
func (b *bed) litter() (total int) {
	b.t.Helper()
	put := func(key, value string) clientv3.Op { return clientv3.OpPut(b.prefix()+"/"+key, value) }
	var at []clientv3.Op
	for i := range 40 {
		at = append(at, put(fmt.Sprintf("at-once-%d", i), "at once"))
	}
	if _, err := b.client.Txn(b.ctx()).Then(at...).Commit(); err != nil {
		b.t.Fatal(err)
	}
	total = len(at)
	for i, value := range strange {
		for _, key := range []string{fmt.Sprintf("strange-%d", i), fmt.Sprintf("\xff\x00\x1b[2J/%d", i)} {
			if _, err := b.client.Do(b.ctx(), put(key, value)); err != nil {
				b.t.Fatal(err)
			}
			total++
		}
	}
	if _, err := b.client.Do(b.ctx(), put(strings.Repeat("long/", 200_000), "a long key")); err != nil {
		b.t.Fatal(err)
	}
	return total + 1
}

// harmless fails the test when a text that is shown could do harm where it is.
func harmless(t *testing.T, texts ...string) {
	t.Helper()
	for _, s := range texts {
		if len(s) > 1000 || !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
			t.Errorf("shown is %d bytes: %.100q", len(s), s)
		}
	}
}

func TestStrangeRecordsBehindALeaderChangeNothing(t *testing.T) {
	b := newBed(t, startEtcd(t, devetcd.Options{}).Endpoints())
	a := b.join("a", 3*time.Second, nil)
	term := a.awaitPhase(election.Leader)
	total := b.litter() + 1
	last := b.join("last", 3*time.Second, nil)
	last.await("a place", func(s election.State) bool { return s.Registered && s.Leader.Identity == "a" })
	total++
	q := within(t, a.Candidates)
	if q.Total != total || len(q.Standings) != total || q.Standings[0].Identity != "a" || q.Standings[total-1].Identity != "last" {
		t.Fatalf("%d of %d candidates, %d there: %+v", len(q.Standings), q.Total, total, q)
	}
	for i, s := range q.Standings {
		harmless(t, s.Identity, s.Incarnation, s.Version)
		if i > 0 && s.Token < q.Standings[i-1].Token {
			t.Errorf("token %d stands behind %d", s.Token, q.Standings[i-1].Token)
		}
	}
	if _, _, err := a.Transfer(b.ctx(), election.Transfer{To: "last"}); err == nil {
		t.Error("the lead is passed on past others' keys")
	}
	// A renewal that was sent after all of it was there is confirmed.
	sent := a.Look().At
	tick := time.NewTicker(5 * time.Millisecond) // renewals are not published
	defer tick.Stop()
	for renewed := false; !renewed; <-tick.C {
		now := a.Look()
		if renewed = now.At.Add(-now.SinceRenewal) > sent; now.Token != term.Token {
			t.Fatalf("the term is over: %+v", now.State)
		}
	}
}

func TestStrangeRecordsBeforeACandidateAreShownAndWaitedFor(t *testing.T) {
	b := newBed(t, startEtcd(t, devetcd.Options{}).Endpoints())
	for i, value := range strange {
		if _, err := b.client.Put(b.ctx(), fmt.Sprintf("%s/%d\xff", b.prefix(), i), value); err != nil {
			t.Fatal(err)
		}
	}
	a := b.join("a", 3*time.Second, nil)
	a.await("a place", func(s election.State) bool { return s.Registered })
	var before int64
	for i := range strange {
		s := a.await("the next", func(s election.State) bool { return s.Leader.Token > before })
		harmless(t, s.Leader.Identity, s.Leader.Incarnation)
		before = s.Leader.Token
		b.Delete(fmt.Sprintf("%s/%d\xff", b.prefix(), i))
	}
	a.awaitPhase(election.Leader)
	for _, past := range a.History() {
		harmless(t, past.Identity, past.Incarnation)
	}
}

func TestThousandsOfRecordsAreCounted(t *testing.T) {
	b := newBed(t, startEtcd(t, devetcd.Options{}).Endpoints())
	var ranges atomic.Int64
	b.change = func(c *etcdstore.Config) {
		c.Requests = func(op, _ string) {
			if op == "range" {
				ranges.Add(1)
			}
		}
	}
	a := b.join("a", 3*time.Second, nil)
	a.awaitPhase(election.Leader)
	const more = 3000
	for i := 0; i < more; i += 100 {
		var at []clientv3.Op
		for j := range 100 {
			at = append(at, clientv3.OpPut(fmt.Sprintf("%s/%d", b.prefix(), i+j), "x"))
		}
		if _, err := b.client.Txn(b.ctx()).Then(at...).Commit(); err != nil {
			t.Fatal(err)
		}
	}
	before := ranges.Load()
	q := within(t, a.Candidates)
	if q.Total != more+1 || len(q.Standings) != election.MaxQueue || q.Standings[0].Identity != "a" {
		t.Errorf("%d of %d candidates are told, of %d", len(q.Standings), q.Total, more+1)
	}
	// The elector looks for its twins once by itself, and tells what it has just read again.
	n := ranges.Load() - before
	for limit := now() + election.Instant(patience); n != 1 && now() < limit; n = ranges.Load() - before {
		before = ranges.Load()
		within(t, a.Candidates)
	}
	if n != 1 {
		t.Errorf("a queue of ordinary records takes %d requests", n)
	}
}

// Each page may have the largest records that etcd takes, so none has more than it needs.
func TestPagesOfALargeQueueStaySmall(t *testing.T) {
	b := newBed(t, startEtcd(t, devetcd.Options{}).Endpoints())
	var told requests
	b.change = func(c *etcdstore.Config) { c.Requests = told.tell }
	const others = 120
	for i := range others {
		if _, err := b.client.Put(b.ctx(), fmt.Sprintf("%s/%d", b.prefix(), i), string(huge[:40_000])); err != nil {
			t.Fatal(err)
		}
	}
	s := b.seat(nil, time.Minute)
	if n := s.opened.Standing; n != others {
		t.Errorf("%d are counted as the session begins, of %d", n, others)
	}
	before := told.count("range OK")
	q := within(t, s.Candidates)
	if q.Total != others || len(q.Standings) != others {
		t.Errorf("%d of %d are told, of %d", len(q.Standings), q.Total, others)
	}
	if n := told.count("range OK") - before; n < 8 { // sixteen, and then fifteen behind the last one of the page before
		t.Errorf("%d records in %d pages", others, n)
	}
}

package etcdstore

import (
	"fmt"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/elector-dev/elector/internal/devetcd"
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
	if got := spreadOf(read(), key(1)); got != 0 {
		t.Errorf("%v in an empty queue", got)
	}
	for i := range 4 {
		if _, err := client.Put(t.Context(), key(i), ""); err != nil {
			t.Fatal(err)
		}
	}
	for i, want := range []time.Duration{4 * spreadEach, 0, 4 * spreadEach, 4 * spreadEach} {
		if got := spreadOf(read(), key(i)); got != want {
			t.Errorf("candidate %d: %v, not %v", i, got, want)
		}
	}
	crowd := read()
	crowd.Count = 10_000
	if got := spreadOf(crowd, key(2)); got != spreadMost {
		t.Errorf("among 10,000: %v, more than %v", got, spreadMost)
	}
}

package chaos

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAThingIsClaimedByOneAtATime(t *testing.T) {
	c := newClaims()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var holders, worst atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 50 {
				free, err := c.claim(ctx, quorum, networkOf("w1"))
				if err != nil {
					t.Error(err)
					return
				}
				if n := holders.Add(1); n > worst.Load() {
					worst.Store(n)
				}
				holders.Add(-1)
				free()
			}
		})
	}
	all.Wait()
	if worst.Load() != 1 {
		t.Errorf("%d held it at once", worst.Load())
	}
}

func TestDifferentThingsAreClaimedAtOnceAndFreedInAnyOrder(t *testing.T) {
	c := newClaims()
	first, err := c.claim(t.Context(), processOf("w1"))
	if err != nil {
		t.Fatal(err)
	}
	second, err := c.claim(t.Context(), networkOf("w1"))
	if err != nil {
		t.Fatal(err)
	}
	first()
	second()
}

func TestWaitingForAClaimEndsWithTheContext(t *testing.T) {
	c := newClaims()
	free, err := c.claim(t.Context(), quorum)
	if err != nil {
		t.Fatal(err)
	}
	defer free()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.claim(ctx, quorum, processOf("w1")); err == nil {
		t.Error("claimed what was taken")
	}
}

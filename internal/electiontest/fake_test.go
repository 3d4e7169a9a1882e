package electiontest_test

import (
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/elector-dev/elector/internal/election"
	"github.com/elector-dev/elector/internal/electiontest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type clock struct{ start time.Time }

func (c clock) Now() election.Instant { return election.Instant(time.Hour + time.Since(c.start)) }

// bed makes a Cluster a Bed.
type bed struct{ *electiontest.Cluster }

func (b bed) Store(identity, incarnation string) election.Store {
	return b.Cluster.Store(identity, incarnation)
}

func TestFakeConformsToTheStoreContract(t *testing.T) {
	electiontest.Conformance(t, func(t *testing.T, test func(*testing.T, electiontest.Bed)) {
		synctest.Test(t, func(t *testing.T) { test(t, bed{electiontest.NewCluster(clock{time.Now()})}) })
	})
}

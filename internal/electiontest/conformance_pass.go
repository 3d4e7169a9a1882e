package electiontest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/elector-dev/elector/internal/election"
)

// stand puts a session into the queue and tells when it has come to be the oldest.
func (b *bench) stand() (token int64, won <-chan election.Won) {
	b.Helper()
	wins := make(chan election.Won, 1)
	go func() {
		if w, err := b.Campaign(b.Context()); err == nil {
			wins <- w
		}
	}()
	return expectAny[election.OwnKeyPut](b).Key.Token, wins
}

func (b *bench) pass(c election.Claim, identity string) error {
	ctx, cancel := context.WithTimeout(b.Context(), 5*time.Second)
	defer cancel()
	return b.Pass(ctx, c, election.Candidate{Identity: identity, Incarnation: "1"})
}

func leadPassed(t *testing.T, bed Bed) {
	var all []*bench
	var wins []<-chan election.Won
	var tokens []int64
	var c election.Claim
	for i := range 5 {
		b := openOn(t, bed.Store(fmt.Sprint("c", i), "1"))
		defer b.close(true, election.Claim{})
		all = append(all, b)
		if i == 0 {
			c = b.win()
			wins, tokens = append(wins, nil), append(tokens, c.Token)
			continue
		}
		token, won := b.stand()
		wins, tokens = append(wins, won), append(tokens, token)
	}
	for who, want := range map[string]error{"nobody": election.ErrNotStanding, "c0": election.ErrNotStanding} {
		if err := all[0].pass(c, who); !errors.Is(err, want) {
			t.Errorf("to %s: %v", who, err)
		}
	}
	if err := all[1].pass(election.Claim{Token: tokens[1]}, "c4"); !errors.Is(err, election.ErrTokenMismatch) {
		t.Errorf("by one that is not the oldest: %v", err)
	}
	if err := all[0].pass(c, "c4"); err != nil {
		t.Fatal(err)
	}
	select {
	case w := <-wins[4]:
		if w.Token != tokens[4] {
			t.Errorf("it leads with token %d, and stood with %d", w.Token, tokens[4])
		}
	case <-time.After(8 * time.Second):
		t.Fatal("the last one does not come to lead")
	}
	for i := range 4 { // all of those know
		expectAny[election.OwnKeyDeleted](all[i])
	}
	if err := all[0].pass(c, "c4"); !errors.Is(err, election.ErrTokenMismatch) {
		t.Errorf("again: %v", err)
	}
}

// Whoever is no elector would take itself for the leader, so the lead is not passed over it.
func leadNotPassedOverOthers(t *testing.T, bed Bed) {
	first := openOn(t, bed.Store("first", "1"))
	defer first.close(true, election.Claim{})
	c := first.win()
	second := openOn(t, bed.Store("second", "1"))
	defer second.close(true, election.Claim{})
	_, won := second.stand()
	bed.Stand("etcdctl", "")
	last := openOn(t, bed.Store("last", "1"))
	defer last.close(true, election.Claim{})
	last.stand()
	if err := first.pass(c, "last"); !errors.Is(err, election.ErrForeignBetween) {
		t.Errorf("over one that is no elector: %v", err)
	}
	if err := first.pass(c, "second"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-won:
	case <-time.After(8 * time.Second):
		t.Error("the one before it does not come to lead")
	}
}

func leadPassedFar(t *testing.T, bed Bed) {
	first := openOn(t, bed.Store("first", "1"))
	defer first.close(true, election.Claim{})
	c := first.win()
	for range election.MaxPassed - 1 {
		bed.Stand("between", "1")
	}
	last := openOn(t, bed.Store("last", "1"))
	defer last.close(true, election.Claim{})
	token, won := last.stand() // in place MaxPassed
	beyond := openOn(t, bed.Store("beyond", "1"))
	defer beyond.close(true, election.Claim{})
	beyond.stand()
	if err := first.pass(c, "beyond"); !errors.Is(err, election.ErrTooFarBack) {
		t.Errorf("too far: %v", err)
	}
	if err := first.pass(c, "last"); err != nil {
		t.Fatal(err)
	}
	select {
	case w := <-won:
		if w.Token != token {
			t.Errorf("it leads with token %d, and stood with %d", w.Token, token)
		}
	case <-time.After(8 * time.Second):
		t.Error("the one at the limit does not come to lead")
	}
}

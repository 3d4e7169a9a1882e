package election

import (
	"testing"
	"time"
)

// What a consumer with an account of its own was promised keeps the key only when the account is closed as owed.
func TestAnAccountOfPromisesIsOwedOrSettled(t *testing.T) {
	kept := func(d time.Duration) Instant { return at(1000).Add(d + d/Slowest) } // by the slowest clock
	for name, row := range map[string]struct {
		owed bool
		want Instant
	}{
		"owed":    {true, kept(5 * time.Second)},
		"settled": {false, kept(time.Second)},
	} {
		t.Run(name, func(t *testing.T) {
			now := at(1000)
			d := newDesk(fixedClock{&now}, time.Minute, "a")
			d.publish(State{Phase: Leader, Token: 9}, leadingFacts(at(10_000)))
			d.answer(time.Second)
			var account Promises
			if account.Settle(true); account.Until() != 0 {
				t.Error("an account without promises owes one")
			}
			for _, limit := range []time.Duration{5 * time.Second, time.Second} {
				if a := d.answerTo(&account, limit); !a.Leading || a.ExpiresIn != limit || account.Until() != kept(5*time.Second) {
					t.Errorf("asked for %v: %+v, owed until %v", limit, a, account.Until())
				}
			}
			if _, promised := d.publish(State{Phase: SteppingDown}, facts{}); promised != kept(time.Second) {
				t.Errorf("others were promised until %v", promised)
			}
			account.Settle(row.owed)
			if _, promised := d.publish(State{Phase: SteppingDown}, facts{}); promised != row.want || account.Until() != 0 {
				t.Errorf("promised until %v, owed until %v", promised, account.Until())
			}
			if account.Settle(true); Instant(d.promised.Load()) != row.want {
				t.Error("settled twice")
			}
		})
	}
}

package electiontest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/elector-dev/elector/internal/election"
)

// put publishes a value with nothing demanded of what is there.
func (b *bench) put(c election.Claim, text string) *election.Value {
	b.Helper()
	v, err := b.putIf(c, text, election.AnyRevision)
	if err != nil {
		b.Fatalf("PutValue: %v", err)
	}
	return v
}

func (b *bench) putIf(c election.Claim, text string, revision int64) (*election.Value, error) {
	ctx, cancel := context.WithTimeout(b.Context(), 5*time.Second)
	defer cancel()
	return b.PutValue(ctx, c, election.ValuePut{
		Bytes: []byte(text), ContentType: "text/plain", Token: c.Token, Revision: revision,
	})
}

// sees waits until a value with a text is observed.
func (b *bench) sees(text string) *election.Value {
	b.Helper()
	return expect(b, func(ev election.ValueSeen) bool { return ev.Value != nil && string(ev.Value.Bytes) == text }).Value
}

func (b *bench) seesNone() {
	b.Helper()
	expect(b, func(ev election.ValueSeen) bool { return ev.Value == nil })
}

func valueShown(t *testing.T, bed Bed) {
	a, b := openOn(t, bed.Store("a", "1")), openOn(t, bed.Store("b", "1"))
	defer a.close(true, election.Claim{})
	defer b.close(true, election.Claim{})
	b.seesNone()
	c := a.win()
	text := "one\ntwo\x00\xff"
	v := a.put(c, text)
	for _, s := range []*bench{a, b} {
		got := s.sees(text)
		if got.Token != c.Token || got.ContentType != "text/plain" || got.Revision != v.Revision {
			t.Errorf("saw %+v, put %+v", got, v)
		}
	}
	later := openOn(t, bed.Store("c", "1"))
	defer later.close(true, election.Claim{})
	later.sees(text)
	a.close(true, c)
	b.seesNone()
}

func valueMoves(t *testing.T, bed Bed) {
	a, b := openOn(t, bed.Store("a", "1")), openOn(t, bed.Store("b", "1"))
	defer a.close(true, election.Claim{})
	defer b.close(true, election.Claim{})
	c := a.win()
	first := a.put(c, "kept")
	rb := a.rebind(c)
	if !rb.Bound {
		t.Fatalf("rebind %+v", rb)
	}
	bed.Revoke(c.Lease) // what the value was on before
	got := expect(b, func(ev election.ValueSeen) bool { return ev.Value != nil && ev.Value.Revision == rb.Reply.Revision }).Value
	if string(got.Bytes) != "kept" || got.Token != c.Token || got.Revision <= first.Revision {
		t.Errorf("after the rebind: %+v", got)
	}
	// A put that knows only the token goes onto the lease that the key is on.
	a.put(c, "newer")
	later := openOn(t, bed.Store("c", "1"))
	defer later.close(true, election.Claim{})
	later.sees("newer")
}

func valueNeedsItsTerm(t *testing.T, bed Bed) {
	a, b := openOn(t, bed.Store("a", "1")), openOn(t, bed.Store("b", "1"))
	defer a.close(true, election.Claim{})
	defer b.close(true, election.Claim{})
	old := a.win()
	a.put(old, "old")
	bed.Delete(a.opened.Key)
	c := b.win()
	if v, err := a.putIf(old, "late", election.AnyRevision); !errors.Is(err, election.ErrTokenMismatch) {
		t.Errorf("a late put of a term that is over: %+v, %v", v, err)
	}
	if _, err := b.putIf(c, "mine", election.SomeValue); !errors.Is(err, election.ErrValueChanged) {
		t.Errorf("the value of the term before counts as one of this: %v", err)
	}
	b.put(c, "mine")
	if got := b.sees("mine"); got.Token != c.Token {
		t.Errorf("value %+v", got)
	}
}

func valueRevision(t *testing.T, bed Bed) {
	a := openOn(t, bed.Store("a", "1"))
	defer a.close(true, election.Claim{})
	c := a.win()
	if _, err := a.putIf(c, "x", election.SomeValue); !errors.Is(err, election.ErrValueChanged) {
		t.Errorf("put over a value that is not there: %v", err)
	}
	first := a.put(c, "1")
	if _, err := a.putIf(c, "x", first.Revision+1); !errors.Is(err, election.ErrValueChanged) {
		t.Errorf("put over another revision: %v", err)
	}
	second, err := a.putIf(c, "2", first.Revision)
	if err != nil || second.Revision <= first.Revision {
		t.Errorf("put over revision %d: %+v, %v", first.Revision, second, err)
	}
	if _, err := a.putIf(c, "3", election.SomeValue); err != nil {
		t.Errorf("put over some value: %v", err)
	}
	a.sees("3")
}

func queueRead(t *testing.T, bed Bed) {
	a, b := openOn(t, bed.Store("a", "1")), openOn(t, bed.Store("a", "2"))
	defer a.close(true, election.Claim{})
	defer b.close(true, election.Claim{})
	c := a.win()
	go b.Campaign(t.Context()) //nolint:errcheck // ends with the session
	own := expectAny[election.OwnKeyPut](b).Key
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	q, err := b.Candidates(ctx)
	if err != nil {
		t.Fatal(err)
	}
	want := []election.Candidate{{Identity: "a", Incarnation: "1", Token: c.Token}, {Identity: "a", Incarnation: "2", Token: own.Token}}
	if q.Total != 2 || len(q.Standings) != 2 || q.Standings[0].Candidate != want[0] || q.Standings[1].Candidate != want[1] {
		t.Errorf("queue %+v, want %+v", q, want)
	}
	if q.Twins("a", "1") != 1 || q.Twins("b", "1") != 0 {
		t.Errorf("twins %d and %d", q.Twins("a", "1"), q.Twins("b", "1"))
	}
}

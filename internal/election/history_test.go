package election

import (
	"slices"
	"testing"
	"time"
)

func TestHistoryIsOfTermsAsTheyWereSeen(t *testing.T) {
	day := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	minute := func(n int) time.Time { return day.Add(time.Duration(n) * time.Minute) }
	a, b := Candidate{Identity: "a", Incarnation: "a-1", Token: 5}, Candidate{Identity: "b", Incarnation: "b-1", Token: 8}
	seen := func(c Candidate) State { return State{Phase: Follower, Leader: c} }
	own := func(c Candidate) State { return State{Phase: Leader, Leader: c, Token: c.Token} }
	past := func(c Candidate, from, to int, cause Cause) PastTerm {
		p := PastTerm{Identity: c.Identity, Incarnation: c.Incarnation, Token: c.Token, From: minute(from), Cause: cause}
		if to > 0 {
			p.To = minute(to)
		}
		return p
	}
	for _, row := range []struct {
		name   string
		states []State // one a minute, from the first on
		want   []PastTerm
	}{
		{"nobody", []State{seen(Candidate{})}, nil},
		{"one that goes on", []State{seen(a), seen(a)}, []PastTerm{past(a, 1, 0, "")}},
		{"one that is lost sight of", []State{seen(a), seen(Candidate{}), seen(Candidate{})}, []PastTerm{past(a, 1, 2, "")}},
		{"one that is seen again", []State{seen(a), seen(Candidate{}), seen(a)}, []PastTerm{past(a, 1, 0, "")}},
		{"one after the other", []State{seen(a), seen(b)}, []PastTerm{past(a, 1, 2, ""), past(b, 2, 0, "")}},
		{"with nobody between", []State{seen(a), seen(Candidate{}), seen(b)}, []PastTerm{past(a, 1, 2, ""), past(b, 3, 0, "")}},
		{"an own one, whose key was seen first", []State{seen(a), own(a)}, []PastTerm{past(a, 1, 0, "")}},
		{"an own one that goes on", []State{{Phase: Leader, Cause: CauseWon, Leader: a, Token: 5}, {Phase: Leader, Cause: CauseWon, Leader: a, Token: 5, Refusal: "no"}}, []PastTerm{past(a, 1, 0, "")}},
		{"an own one, with the cause of its end", []State{own(a), {Phase: SteppingDown, Cause: CauseResigned}, seen(b)}, []PastTerm{past(a, 1, 2, CauseResigned), past(b, 3, 0, "")}},
		{"another's, with no cause", []State{seen(a), {Phase: Connecting, Cause: CauseSessionLost}}, []PastTerm{past(a, 1, 2, "")}},
	} {
		var h history
		old := State{Phase: Connecting}
		for i, s := range row.states {
			h.note(old, s, minute(i+1))
			old = s
		}
		if !slices.Equal(h.terms, row.want) {
			t.Errorf("%s: %+v, want %+v", row.name, h.terms, row.want)
		}
	}
}

func TestHistoryForgetsTheOldest(t *testing.T) {
	e := new(Elector)
	term := func(n int) State { return State{Leader: Candidate{Identity: "a", Token: int64(n)}} }
	for n := 1; n <= 3*maxHistory+1; n++ {
		e.past.note(term(n-1), term(n), time.Unix(int64(n), 0))
		if near := (n + 1) % maxHistory; near > 2 {
			continue
		}
		h := e.History()
		if want := min(n, maxHistory); len(h) != want || h[0].Token != int64(n-want+1) || h[want-1].Token != int64(n) || len(e.past.terms) >= 2*maxHistory {
			t.Fatalf("after %d: %d terms from %d to %d, %d kept", n, len(h), h[0].Token, h[len(h)-1].Token, len(e.past.terms))
		}
		h[0].Token = 0 // it is a copy
	}
}

// What was written before this boot comes before any reply of this process.
func TestAMarkIsEvidenceThatComesBeforeEveryReply(t *testing.T) {
	for _, row := range []struct {
		mark, back Mark
		want       evidence
	}{
		{Mark{}, Mark{}, evidence{}},
		{Mark{Revision: 9}, Mark{Revision: 9}, evidence{revision: 9, revisionAt: 1}},
		{Mark{Revision: 9, Token: 5}, Mark{Revision: 9, Token: 5}, evidence{revision: 9, revisionAt: 1, token: 5, tokenAt: 1}},
		{Mark{Revision: 1}, Mark{Revision: 1}, evidence{revision: 1, revisionAt: 1}},
		{Mark{Token: 1}, Mark{Revision: 1, Token: 1}, evidence{revision: 1, revisionAt: 1, token: 1, tokenAt: 1}},
		{Mark{Token: 5}, Mark{Revision: 5, Token: 5}, evidence{revision: 5, revisionAt: 1, token: 5, tokenAt: 1}},
		{Mark{Revision: 4, Token: 5}, Mark{Revision: 5, Token: 5}, evidence{revision: 5, revisionAt: 1, token: 5, tokenAt: 1}},
	} {
		if got := row.mark.evidence(); got != row.want || got.mark() != row.back {
			t.Errorf("%+v is %+v, and back %+v", row.mark, got, got.mark())
		}
	}
}

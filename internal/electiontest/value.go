package electiontest

import (
	"cmp"
	"context"
	"slices"

	"github.com/elector-dev/elector/internal/election"
)

// PutValue implements election.Session.
func (ss *session) PutValue(ctx context.Context, claim election.Claim, put election.ValuePut) (*election.Value, error) {
	var v *election.Value
	var refused error
	err := ss.call(ctx, ss.who(), "value", func() {
		k, old := ss.keys[ss.path], ss.value
		current := old != nil && old.Token == put.Token
		switch {
		case k == nil || k.create != claim.Token:
			refused = election.ErrTokenMismatch
		case put.Revision == election.SomeValue && !current,
			put.Revision > 0 && (!current || old.Revision != put.Revision):
			refused = election.ErrValueChanged
		default:
			ss.revision++
			ss.value = &value{election.Value{
				Bytes: put.Bytes, ContentType: put.ContentType, Token: put.Token, Revision: ss.revision,
			}, k.lease}
			v = &ss.value.Value
			ss.signal()
		}
	})
	if err == nil {
		err = refused
	}
	if err != nil {
		return nil, err
	}
	return v, nil
}

// Candidates implements election.Session.
func (ss *session) Candidates(ctx context.Context) (election.Queue, error) {
	var q election.Queue
	err := ss.call(ctx, ss.who(), "read", func() {
		for _, k := range ss.keys {
			q.Standings = append(q.Standings, election.Standing{Candidate: k.candidate})
		}
		q.Total = len(q.Standings)
	})
	if err != nil {
		return election.Queue{}, err
	}
	slices.SortFunc(q.Standings, func(a, b election.Standing) int { return cmp.Compare(a.Token, b.Token) })
	return q, nil
}

func (ss *session) observeValue() {
	last, first := (*value)(nil), true
	for {
		var ev election.ValueSeen
		if !ss.await(ss.ctx, func() bool {
			if !first && ss.value == last {
				return false
			}
			first, last = false, ss.value
			ev = election.ValueSeen{Session: ss.req.Number}
			if last != nil {
				ev.Value = &last.Value
			}
			return true
		}) {
			return
		}
		ss.req.Sink(ev)
	}
}

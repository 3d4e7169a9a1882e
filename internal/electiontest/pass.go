package electiontest

import (
	"context"

	"github.com/elector-dev/elector/internal/election"
)

// Pass implements election.Session.
func (ss *session) Pass(ctx context.Context, claim election.Claim, to election.Candidate) error {
	var result error
	err := ss.call(ctx, ss.who(), "pass", func() { result = ss.pass(claim, to) })
	if err != nil {
		return err
	}
	return result
}

func (ss *session) pass(claim election.Claim, to election.Candidate) error {
	path, own := ss.oldest()
	if own == nil || path != ss.path || own.create != claim.Token {
		return election.ErrTokenMismatch
	}
	var heir *key
	for _, k := range ss.keys {
		same := k.candidate.Identity == to.Identity && k.candidate.Incarnation == to.Incarnation
		if same && k != own && (heir == nil || k.create < heir.create) {
			heir = k
		}
	}
	if heir == nil {
		return election.ErrNotStanding
	}
	var between []string
	foreign := false
	for path, k := range ss.keys {
		if k.create < heir.create {
			between = append(between, path)
			foreign = foreign || k != own && k.candidate.Foreign()
		}
	}
	if len(between) > election.MaxPassed {
		return election.ErrTooFarBack
	}
	if foreign {
		return election.ErrForeignBetween
	}
	for _, path := range between {
		ss.remove(path)
	}
	return nil
}

package work

import (
	"context"
	"errors"
	"sync"

	"github.com/elector-dev/elector/internal/election"
)

// All is the work of a term that consists of several. They begin together; when one returns, the others are
// told; it returns when all have. Nil parts are left out.
func All(parts ...election.Lead) election.Lead {
	var leads []election.Lead
	for _, p := range parts {
		if p != nil {
			leads = append(leads, p)
		}
	}
	switch len(leads) {
	case 0:
		return nil
	case 1:
		return leads[0]
	}
	return func(ctx context.Context, term election.Term) error {
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		errs := make([]error, len(leads))
		var wg sync.WaitGroup
		for i, lead := range leads {
			wg.Go(func() {
				errs[i] = lead(ctx, term)
				cancel(&election.CauseError{Cause: election.CauseWorkEnded})
			})
		}
		wg.Wait()
		return errors.Join(errs...)
	}
}

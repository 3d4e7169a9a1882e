package election

import "context"

// Unfence lifts the fence of an elector that has seen etcd go back in time, once a person has read why: whatever it
// had seen of etcd counts no more, and it campaigns again. It blocks until that is written to the journal or ctx ends,
// before Run too. The errors are ErrNotFenced and, once Run has ended, ErrNoSession. After any other the
// fence is lifted, and comes back with the next process unless the journal is written later.
func (e *Elector) Unfence(ctx context.Context) error {
	type result struct {
		written <-chan error
		err     error
	}
	done := make(chan result, 1)
	err := e.ask(ctx, func(r *run) {
		if !r.core.fenced {
			done <- result{err: ErrNotFenced}
			return
		}
		r.handle(UnfenceAsked{})
		done <- result{written: r.fenceNoted}
	})
	if err != nil {
		return err
	}
	got := <-done
	if got.err != nil || got.written == nil {
		return got.err
	}
	select {
	case err := <-got.written:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// sayFenced tells whoever reads the log what to do.
func (r *run) sayFenced() {
	r.cfg.Logger.Error("etcd went back in time, as after a restore from a snapshot; without --bump-revision tokens would repeat, "+
		"so this elector will not campaign: check the cluster, then lift the fence with elector unfence", "cause", string(r.core.fenceCause()))
}

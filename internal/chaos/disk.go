package chaos

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/elector-dev/elector/internal/chaos/havoc"
)

// diskSize is what a member wants: it sets aside 64 MiB at a time.
const diskSize = 256

// diskMember is the member that has a file system of its own, where one has.
const diskMember = 0

// disk is that file system.
type disk struct{ *havoc.Disk }

// stutter stops the disk for most of the time, in bursts shorter than an election timeout and longer, until
// the returned function is called, which leaves it working.
func (d *disk) stutter(ctx context.Context) (mend func() error, err error) {
	ctx, stop := context.WithCancel(ctx)
	var worker sync.WaitGroup
	var failed error // of the worker, read after it has ended
	worker.Go(func() {
		for turn := 1; ctx.Err() == nil && failed == nil; turn++ {
			still := time.Duration(turn%4+1) * 350 * time.Millisecond
			if failed = d.Freeze(still + time.Second); failed == nil {
				pause(ctx, still)
				failed = d.Thaw()
			}
			pause(ctx, 150*time.Millisecond)
		}
	})
	return func() error {
		stop()
		worker.Wait()
		return errors.Join(failed, d.Thaw())
	}, nil
}

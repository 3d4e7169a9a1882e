// Package havoc hurts processes and disks, and always ends it: what begins returns an Undo, and is undone by
// itself when its context ends. What must not stay broken when this process is killed is undone by a child of
// its that outlives it (see NewDisk); processes that are hurt should be children that die with this one.
//
// A process is named by its number but held by a descriptor of it from then on, where the system has those,
// so that nothing is done to a stranger who was given the number later.
//
// Files and disks are for Linux only; elsewhere they return errors.ErrUnsupported.
package havoc

import (
	"context"
	"sync"
)

// Undo ends what was done and waits until it has ended. It may be called any number of times, by anyone; the
// error is that of the one time at which it was undone. It is not an error if the process has ended.
type Undo func() error

// undoing makes an Undo of a function, which is called once: by the Undo, or when the context ends.
func undoing(ctx context.Context, f func() error) Undo {
	f = sync.OnceValue(f)
	stop := context.AfterFunc(ctx, func() { _ = f() })
	return func() error {
		stop()
		return f()
	}
}

package cli

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// WithSignals returns a context that the first SIGTERM or SIGINT cancels, with a cause that names it.
// The second ends the process at once, with status 1 and nothing wound up: the lease then keeps the
// key until it expires. SIGHUP is caught, so that a closing terminal
// ends no term; the daemon listens to it by itself. The returned function must be called: it ends the context and gives
// the signals back to their defaults.
func WithSignals(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	caught := make(chan os.Signal, 4)
	signal.Notify(caught, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for asked := false; ; {
			select {
			case <-stop:
				return
			case sig := <-caught:
				switch {
				case sig == syscall.SIGHUP:
				case asked:
					os.Exit(exitFailure)
				default:
					asked = true
					cancel(fmt.Errorf("caught signal %q", sig))
				}
			}
		}
	}()
	return ctx, func() {
		cancel(nil)
		signal.Stop(caught)
		close(stop)
		<-stopped
	}
}

//go:build !linux

package etcdstore

import (
	"context"
	"syscall"
	"time"
)

// userTimeout has no equivalent here; keep-alive probes and the stream breakers remain.
func userTimeout(time.Duration) func(context.Context, string, string, syscall.RawConn) error {
	return nil
}

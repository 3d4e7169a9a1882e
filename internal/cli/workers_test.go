package cli

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/elector-dev/elector/internal/health"
)

// A file system that does not answer keeps a look for as long as it likes, and the process no longer than a moment.
func TestCheckThatNeverReturnsDoesNotKeepTheProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := make(chan struct{})
		m, err := health.New(health.Config{
			Checks:   []health.Check{{Name: "file /mnt/away", Probe: func(context.Context) error { <-answer; return nil }}},
			Interval: 2 * time.Second, Timeout: time.Second, Rise: 1, Fall: 1,
			Changed: func(context.Context, []health.Result) {}, Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		time.AfterFunc(5*time.Second, func() { close(ended) })
		began := time.Now()
		c := newChecks(nil, slog.New(slog.DiscardHandler), nil)
		c.current.Store(m)
		c.run(ended)
		if took := time.Since(began); took > 5*time.Second+lookPatience {
			t.Errorf("returned after %v", took)
		}
		close(answer)
	})
}

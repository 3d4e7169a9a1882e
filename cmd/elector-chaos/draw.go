package main

import (
	"errors"
	"os"

	"github.com/elector-dev/elector/internal/chaos/check"
	"github.com/elector-dev/elector/internal/chaos/history"
	"github.com/elector-dev/elector/internal/chaos/timeline"
)

// draw writes the picture of a run.
func draw(path string, h *history.History, r check.Report) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(timeline.Write(f, h, r), f.Close())
}

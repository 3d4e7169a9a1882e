package main

import (
	"errors"
	"os"

	"github.com/elector-dev/elector/internal/chaos"
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

// drawBeside writes the picture of two runs.
func drawBeside(path string, h *history.History, r check.Report, beside string) error {
	other, err := history.LoadFile(beside)
	if err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(timeline.WriteCompare(f,
		timeline.Section{Title: h.Run.Program, History: h, Report: r},
		timeline.Section{Title: other.Run.Program, History: other, Report: chaos.Judge(other)},
	), f.Close())
}

// drawCurves writes the picture of what the processes of all runs took.
func drawCurves(path string, runs []timeline.Curves) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(timeline.WriteCurves(f, runs), f.Close())
}

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/elector-dev/elector/internal/chaos"
	"github.com/elector-dev/elector/internal/chaos/check"
	"github.com/elector-dev/elector/internal/chaos/history"
)

// save writes the record and the picture where they were asked for.
func save(o options, h *history.History, r check.Report) error {
	var errs []error
	if o.history != "" {
		errs = append(errs, history.SaveFile(o.history, h))
	}
	if o.timeline != "" {
		errs = append(errs, draw(o.timeline, h, r))
	}
	return errors.Join(errs...)
}

// save writes the table and the curves of the campaign so far where they were asked for.
func (t *total) save(o options) error {
	var errs []error
	if o.table != "" {
		errs = append(errs, os.WriteFile(o.table, []byte(t.table()), 0o644))
	}
	if o.curves != "" {
		errs = append(errs, drawCurves(o.curves, t.curves))
	}
	return errors.Join(errs...)
}

// keep leaves all that there is of a failed run in one directory, and returns it.
func keep(out string, seed uint64, dir string, h *history.History, r check.Report) (at string, err error) {
	if out == "" {
		if out, err = os.MkdirTemp("", "elector-chaos-failed-"); err != nil {
			return "", err
		}
	}
	at = filepath.Join(out, fmt.Sprintf("%s-%d", h.Run.Scenario, seed))
	if err := os.MkdirAll(at, 0o755); err != nil {
		return "", err
	}
	errs := []error{
		history.SaveFile(filepath.Join(at, "history.gz"), h),
		draw(filepath.Join(at, "timeline.html"), h, r),
	}
	logs, err := filepath.Glob(filepath.Join(dir, "*.log"))
	errs = append(errs, err)
	for _, log := range logs {
		errs = append(errs, copyFile(log, filepath.Join(at, filepath.Base(log))))
	}
	return at, errors.Join(errs...)
}

func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// replay judges and draws a record again.
func replay(o options, s *screen) (kept bool, err error) {
	h, err := history.LoadFile(o.replay)
	if err != nil {
		return false, err
	}
	r := chaos.Judge(h)
	v := judge(h, r, h.Leftover == nil)
	s.say("%s", v.text())
	sum := newTotal(options{Options: chaos.Options{Seed: h.Run.Seed}})
	sum.add(h.Run.Seed, chaos.Outcome{History: h, Report: r})
	s.say("%s", sum.line())
	if err := sum.save(o); err != nil {
		return false, err
	}
	if o.beside != "" {
		return v.kept(), drawBeside(o.timeline, h, r, o.beside)
	}
	o.history = "" // it is there already
	return v.kept(), save(o, h, r)
}

// Package statusfile keeps files that tell scripts what the elector is: a status file with the body of
// /status, and a leader file that is there while the elector leads.
//
// A yes in a file is a promise like any other: it carries its end on the boot clock, the elector's key
// stays until then, and while the elector leads the file is written anew before half of it has passed. A killed or
// frozen elector cannot take its files back, so a reader compares the end with its own clock; elector
// check --file does.
//
// Files are replaced by renaming, so a reader sees a whole one. They are not synced to the disk: their ends
// mean nothing after a restart of the host.
package statusfile

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"github.com/elector-dev/elector/internal/election"
)

// Elector is what the files tell of; *election.Elector is one.
type Elector interface {
	Answer(limit time.Duration) election.Answer
	AnswerMax() time.Duration
	Look() election.Answer
	Watch() (election.State, <-chan struct{})
	Identity() string
	Incarnation() string
}

var _ Elector = (*election.Elector)(nil)

// Config says which files to keep. All fields are required, but for one of the two paths.
type Config struct {
	Status, Leader string // paths; empty: not kept
	Election       string // "<namespace>/<name>"
	Elector        Elector
	Encode         func(election.Answer) []byte // makes the status file's text
	Logger         *slog.Logger
}

// Files keeps the files of one elector.
type Files struct {
	Config
	told   election.Answer // that the status file has; of a no, since a yes is always told anew
	failed string          // the last error, which is logged once
}

// leaderFile is the text of the leader file. It has no field that says yes: being there says it, until its end.
type leaderFile struct {
	Election          string `json:"election"`
	Identity          string `json:"identity"`
	Token             int64  `json:"token"`
	ExpiresBoottimeMs int64  `json:"expires_boottime_ms"`
	Incarnation       string `json:"incarnation"`
}

// New checks that the files can be kept, by writing a status file that says no and removing a leader file
// that an earlier process may have left. It starts nothing. The error is a sentence about the setting.
func New(cfg Config) (*Files, error) {
	f := &Files{Config: cfg}
	if err := f.tell(cfg.Elector.Look()); err != nil {
		return nil, err
	}
	if cfg.Leader != "" { // it must be possible to write it when it matters
		if err := replace(cfg.Leader, nil); err != nil {
			return nil, fmt.Errorf("--leader-file %w: name a file in a directory that elector may write to", err)
		}
		if err := f.retract(); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// Run keeps the files until the elector has ended, and then leaves a status file that says no and no leader
// file. It blocks; ctx ends it earlier, with the files as they are. A file that cannot be written is logged and tried
// again. The error is always nil.
func (f *Files) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		state, changed := f.Elector.Watch()
		next := f.keep()
		if state.Ended {
			return nil
		}
		timer.Reset(next)
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// keep makes the files say what is so, and returns when to look again.
func (f *Files) keep() time.Duration {
	now := f.Elector.Look()
	if now.Leading {
		now = f.Elector.Answer(f.Elector.AnswerMax())
	}
	err := errors.Join(f.lead(now), f.tell(now))
	switch {
	case err == nil:
		f.failed = ""
	case err.Error() != f.failed:
		f.failed = err.Error()
		f.Logger.Error("a file cannot be kept; trying again", "err", err)
	}
	return f.Elector.AnswerMax() / 2
}

// tell writes the status file if it has something new to say.
func (f *Files) tell(now election.Answer) error {
	same := !now.Leading && !f.told.Leading && now.State == f.told.State && now.Connected == f.told.Connected
	if f.Status == "" || same && now.Seq > 0 && f.told.Seq > 0 {
		return nil
	}
	if err := replace(f.Status, append(f.Encode(now), '\n')); err != nil {
		return fmt.Errorf("--status-file %w: name a file in a directory that elector may write to", err)
	}
	f.told = now
	return nil
}

// lead writes the leader file, or removes it.
func (f *Files) lead(now election.Answer) error {
	switch {
	case f.Leader == "":
		return nil
	case !now.Leading:
		return f.retract()
	}
	text, err := json.Marshal(leaderFile{
		f.Election, f.Elector.Identity(), now.Token, time.Duration(now.ExpiresAt).Milliseconds(), f.Elector.Incarnation(),
	})
	if err != nil {
		panic("encode the leader file: " + err.Error()) // strings and numbers always encode
	}
	if err := replace(f.Leader, append(text, '\n')); err != nil {
		return fmt.Errorf("--leader-file %w", err)
	}
	return nil
}

// retract removes the leader file.
func (f *Files) retract() error {
	if err := os.Remove(f.Leader); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("--leader-file %w", err)
	}
	return nil
}

// replace puts a text at a path, all of it at once. What it is made of first bears a name of its own, which only
// a process that was killed in between leaves behind, for the next to remove.
func replace(path string, text []byte) error {
	first := path + ".next"
	if err := os.Remove(first); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	file, err := os.OpenFile(first, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	if err = errors.Join(err, file.Chmod(0o644), file.Close()); err == nil { // whatever the umask
		err = os.Rename(first, path)
	}
	if err != nil {
		_ = os.Remove(first)
	}
	return err
}

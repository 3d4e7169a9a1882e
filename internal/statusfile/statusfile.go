// Package statusfile keeps files that tell scripts what the elector is: a status file with the body of
// /status, and a leader file that is there while the elector leads.
//
// A yes in a file is a promise like any other: it carries its end on the boot clock, the elector's key
// stays until then, and while the elector leads the file is written anew before half of it has passed. The
// leader file goes before its end when no later one is certain. A killed or frozen elector cannot take its files
// back, so a reader compares the end with its own clock; elector check --file does.
//
// Files are replaced by renaming, so a reader sees a whole one. They are not synced to the disk: none is worth
// anything after a restart of the host, with which the boot clock starts anew. A disk may keep one nevertheless, and
// its end may then seem to lie days ahead; so the leader file names the boot that its end belongs to.
package statusfile

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/elector-dev/elector/internal/boottime"
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

// Files keeps the files of one elector. Run's goroutine owns the fields below Config.
type Files struct {
	Config
	boot   string           // of the host, as the leader file names it
	told   election.Answer  // that the status file has; of a no, since a yes is always told anew
	until  election.Instant // the end that the leader file has; 0 when it is not there
	failed string           // the last error, which is logged once
}

// leaderFile is the text of the leader file. It has no field that says yes: being there says it, until its end.
type leaderFile struct {
	Election          string `json:"election"`
	Identity          string `json:"identity"`
	Token             int64  `json:"token"`
	ExpiresBoottimeMs int64  `json:"expires_boottime_ms"`
	Incarnation       string `json:"incarnation"`
	// BootID is the kernel's name for the boot that ExpiresBoottimeMs belongs to.
	BootID string `json:"boot_id"`
}

// New checks that the files can be kept: it removes a leader file that an earlier process may have left, and
// writes a status file that says no. It starts nothing. The error is a sentence about the setting.
func New(cfg Config) (*Files, error) {
	if err := Check(cfg.Status, cfg.Leader); err != nil {
		return nil, err
	}
	f := &Files{Config: cfg, boot: boottime.BootID()}
	if cfg.Leader != "" {
		if err := f.retract(); err != nil {
			return nil, wrong("leader-file", cfg.Leader, err)
		}
		if err := writable(cfg.Leader); err != nil { // it must be possible to write it when it matters
			return nil, wrong("leader-file", cfg.Leader, err)
		}
	}
	if err := f.tell(cfg.Elector.Look()); err != nil {
		return nil, wrong("status-file", cfg.Status, err)
	}
	return f, nil
}

// Check tells, as New would, of a path that cannot be that of a file to keep. It only looks: whether the
// directories can be written to is New's to find out. An empty path is good.
func Check(status, leader string) error {
	for _, file := range []struct{ setting, path string }{{"status-file", status}, {"leader-file", leader}} {
		if file.path == "" {
			continue
		}
		if _, err := os.Stat(filepath.Dir(file.path)); err != nil {
			return wrong(file.setting, file.path, err)
		}
		// To replace a device such as /dev/null would hurt the whole host, and a link would be lost.
		if info, err := os.Lstat(file.path); err == nil && !info.Mode().IsRegular() {
			return fmt.Errorf("--%s %q is there and is no plain file: name one that elector may replace", file.setting, file.path)
		}
	}
	return nil
}

// wrong is the sentence about a file that cannot be kept.
func wrong(setting, path string, err error) error {
	if at := (*fs.PathError)(nil); errors.As(err, &at) {
		err = at.Err // the path is that of the first writing, which nobody has set
	}
	return fmt.Errorf("--%s %q cannot be written (%w): name a file in a directory that elector may write to", setting, path, err)
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
	next := f.Elector.AnswerMax() / 3 // so that half is not passed on a busy machine either
	if left := f.until.Add(-f.early()).Sub(now.At); f.until > 0 && left > 0 {
		next = min(next, left)
	}
	return next
}

// early is how long before its end a leader file goes that has no successor: the time that a busy machine may
// take to remove it.
func (f *Files) early() time.Duration { return min(100*time.Millisecond, f.Elector.AnswerMax()/8) }

// tell writes the status file if it has something new to say.
func (f *Files) tell(now election.Answer) error {
	same := !now.Leading && !f.told.Leading && now.State == f.told.State && now.Connected == f.told.Connected
	if f.Status == "" || same && now.Seq > 0 && f.told.Seq > 0 {
		return nil
	}
	if err := replace(f.Status, append(f.Encode(now), '\n')); err != nil {
		return err
	}
	f.told = now
	return nil
}

// lead writes the leader file, or removes it.
func (f *Files) lead(now election.Answer) error {
	switch {
	case f.Leader == "":
		return nil
	case !now.Leading || now.ExpiresIn <= f.early():
		return f.retract()
	}
	text, err := json.Marshal(leaderFile{
		f.Election, f.Elector.Identity(), now.Token, time.Duration(now.ExpiresAt).Milliseconds(), f.Elector.Incarnation(), f.boot,
	})
	if err != nil {
		panic("encode the leader file: " + err.Error()) // strings and numbers always encode
	}
	err = replace(f.Leader, append(text, '\n'))
	switch {
	case err == nil:
		f.until = now.ExpiresAt
	case !now.At.Before(f.until.Add(-f.early())): // the old one has no time left to wait for better luck
		err = errors.Join(err, f.retract())
	}
	return err
}

// retract removes the leader file.
func (f *Files) retract() error {
	if err := os.Remove(f.Leader); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f.until = 0
	return nil
}

// replace puts a text at a path, all of it at once.
func replace(path string, text []byte) error {
	first, err := write(path, text)
	if err != nil {
		return err
	}
	if err := os.Rename(first, path); err != nil {
		_ = os.Remove(first)
		return err
	}
	return nil
}

// writable reports, as an error, that replace would fail, without anything coming to be at the path.
func writable(path string) error {
	first, err := write(path, nil)
	if err != nil {
		return err
	}
	return os.Remove(first)
}

// write puts a text beside a path, under a name that only a process which was killed meanwhile leaves behind, for
// the next to remove. It follows no link.
func write(path string, text []byte) (first string, err error) {
	first = path + ".next"
	if err := os.Remove(first); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	file, err := os.OpenFile(first, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return "", err
	}
	_, err = file.Write(text)
	if err = errors.Join(err, file.Chmod(0o644), file.Close()); err != nil { // 0644 whatever the umask
		_ = os.Remove(first)
		return "", err
	}
	return first, nil
}

package statedir

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/elector-dev/elector/internal/election"
)

// Self is whose state it is.
type Self struct {
	Prefix      string
	Election    string // <namespace>/<name>
	Identity    string
	Incarnation string
	AnswerMax   time.Duration // the longest promise in one answer
}

// Dir is a state directory that belongs to this process. It implements election.Journal. Its methods may be
// called concurrently, and block for as long as the disk does.
type Dir struct {
	folder *os.File
	lock   *os.File
	host   host

	mu      sync.Mutex // guards the fields below; held while they are written to disk
	state   state
	written bool // state is what the file says

	goneMu sync.Mutex // guards gone, for a slice operation
	gone   []string   // incarnations whose keys are known to be gone, since the latest write
}

// Open takes a directory, which it makes if only the last part of its path is missing, and returns what earlier
// processes have left in it. An error is a sentence with the remedy, which wraps ErrInUse or
// what a call of the system returned, if it is not about what was found; the directory is then as it was, but for the
// lock file. Close gives the directory back.
func Open(dir string, self Self) (*Dir, election.Past, error) {
	h, err := thisHost()
	if err != nil {
		return nil, election.Past{}, fmt.Errorf("--state-dir %q cannot be used: %w", dir, err)
	}
	return open(dir, self, h)
}

// Check says what Open would find wrong with the directory itself, if it is there, and changes nothing.
func Check(dir string) error {
	h, err := thisHost()
	if err != nil {
		return fmt.Errorf("--state-dir %q cannot be used: %w", dir, err)
	}
	folder, err := openFolder(dir, h)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err == nil {
		folder.Close()
	}
	return err
}

func open(path string, self Self, h host) (_ *Dir, _ election.Past, err error) {
	if err := makeFolder(path); err != nil {
		return nil, election.Past{}, err
	}
	folder, err := openFolder(path, h)
	if err != nil {
		return nil, election.Past{}, err
	}
	d := &Dir{folder: folder, host: h}
	defer func() {
		if err != nil {
			d.Close()
		}
	}()
	if d.lock, err = takeLock(folder); err != nil {
		return nil, election.Past{}, err
	}
	id, err := identify(d.lock)
	if err != nil {
		return nil, election.Past{}, err
	}
	if err := d.recall(self, id); err != nil {
		return nil, election.Past{}, err
	}
	past := d.past()
	d.state.Processes = append(d.state.Processes, process{
		Incarnation: self.Incarnation, AnswerMaxMs: max(1, self.AnswerMax.Milliseconds()), PIDs: h.pids,
	})
	if err := d.write(); err != nil {
		return nil, election.Past{}, fmt.Errorf("--state-dir %q cannot be written: %w", path, err)
	}
	return d, past, nil
}

// recall reads the state and makes it that of this process.
func (d *Dir) recall(self Self, lock fileID) error {
	fresh := state{
		Version: version, Prefix: self.Prefix, Election: self.Election, Identity: self.Identity, Boot: d.host.boot, Lock: lock,
	}
	b, err := readFile(d.folder, stateName)
	if errors.Is(err, os.ErrNotExist) {
		d.state = fresh
		return nil
	}
	if err != nil {
		return err
	}
	dir, file := d.folder.Name(), d.folder.Name()+"/"+stateName
	old, err := decode(b)
	if err != nil {
		return fmt.Errorf("%q is not a state that this elector can read (%w): remove it when no process uses it; a key that is left is then left to its lease, and a fence is forgotten", file, err)
	}
	if old.path() != fresh.path() || old.Identity != self.Identity {
		return fmt.Errorf("--state-dir %q holds the state of %q in %s, and this is %q in %s: give each elector a directory of its own",
			dir, old.Identity, old.path(), self.Identity, fresh.path())
	}
	if old.Boot == fresh.Boot && old.Lock != lock {
		return fmt.Errorf("--state-dir %q is a copy, or its lock file was replaced, so that nothing is known of the process which wrote it: give each elector a directory of its own, or remove %q when no process uses it; a key that is left is then left to its lease", dir, file)
	}
	fresh.Seen, fresh.Fenced, fresh.Drained = old.Seen, old.Fenced, old.Drained
	if old.Boot == fresh.Boot {
		fresh.Processes = old.Processes
		fresh.found(d.host.now())
	}
	d.state = fresh
	return nil
}

// past is what is told to the elector.
func (d *Dir) past() election.Past {
	p := election.Past{Seen: election.Mark(d.state.Seen), Fenced: d.state.Fenced}
	for _, dead := range d.state.Processes {
		p.Predecessors = append(p.Predecessors, election.Predecessor{
			Candidacy:   election.Candidacy{ClusterID: dead.ClusterID, Key: dead.Key, Lease: dead.Lease, Token: dead.Token},
			Incarnation: dead.Incarnation,
			FreeAt:      dead.FreeAt,
			Stopped:     func() (bool, error) { return d.host.stopped(dead.Group, dead.PIDs) },
			Forget:      func() { d.forget(dead.Incarnation) },
		})
	}
	return p
}

// Candidacy implements election.Journal. A token that has been won was seen.
func (d *Dir) Candidacy(c election.Candidacy) error {
	return d.change(func(s *state, own *process) {
		own.ClusterID, own.Key, own.Lease, own.Token = c.ClusterID, c.Key, c.Lease, c.Token
		s.Seen.Token = max(s.Seen.Token, c.Token)
	})
}

// Seen implements election.Journal.
func (d *Dir) Seen(m election.Mark) error {
	return d.change(func(s *state, _ *process) {
		s.Seen.Revision, s.Seen.Token = max(s.Seen.Revision, m.Revision), max(s.Seen.Token, m.Token)
	})
}

// Fenced implements election.Journal.
func (d *Dir) Fenced(cause election.Cause) error {
	return d.change(func(s *state, _ *process) {
		if s.Fenced = cause; cause == election.CauseNone {
			s.Seen = mark{}
		}
	})
}

// Work notes the process group of what the term drives: Starting before it is begun, the group as soon as it is
// known, NoWork when all of it has ended. After a crash the next process gives the key away only when the
// group is gone. So work must not be begun after an error, when the file may still say NoWork.
func (d *Dir) Work(group int) error {
	return d.change(func(_ *state, own *process) { own.Group = group })
}

// Drain notes that a person takes the elector out of the election, and why.
func (d *Dir) Drain(reason string) error {
	return d.change(func(s *state, _ *process) { s.Drained = &drain{reason} })
}

// Undrain notes that it is let in again.
func (d *Dir) Undrain() error {
	return d.change(func(s *state, _ *process) { s.Drained = nil })
}

// Drained reports whether it is out, and why.
func (d *Dir) Drained() (reason string, drained bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.state.Drained == nil {
		return "", false
	}
	return d.state.Drained.Reason, true
}

// forget drops a dead process whose key is gone, with the next entry: a session waits for it, and must not wait for a
// disk. If there is none, the next process finds out again.
func (d *Dir) forget(incarnation string) {
	d.goneMu.Lock()
	defer d.goneMu.Unlock()
	d.gone = append(d.gone, incarnation)
}

// takeGone drops from the state what was forgotten. It wants mu held.
func (d *Dir) takeGone() {
	d.goneMu.Lock()
	defer d.goneMu.Unlock()
	last := len(d.state.Processes) - 1 // the own one
	dead := slices.DeleteFunc(d.state.Processes[:last:last], func(p process) bool { return slices.Contains(d.gone, p.Incarnation) })
	d.state.Processes = append(dead, d.state.Processes[last])
	d.gone = nil
}

// change alters the state and writes it, unless the file says the same already.
func (d *Dir) change(f func(s *state, own *process)) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	before := d.state.encode()
	d.takeGone()
	f(&d.state, &d.state.Processes[len(d.state.Processes)-1])
	if d.written && slices.Equal(before, d.state.encode()) {
		return nil
	}
	return d.write()
}

// write replaces the file. It wants mu held, or that nobody else has the Dir yet.
func (d *Dir) write() error {
	d.written = false
	if err := replaceFile(d.folder, stateName, d.state.encode()); err != nil {
		return err
	}
	d.written = true
	return nil
}

// Close gives the directory back. What is written afterwards fails.
func (d *Dir) Close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	_ = d.folder.Close()
	if d.lock != nil {
		_ = unix.Flock(int(d.lock.Fd()), unix.LOCK_UN)
		_ = d.lock.Close()
	}
}

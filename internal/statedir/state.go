package statedir

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/elector-dev/elector/internal/election"
)

// ErrInUse is returned, wrapped, by Open while another process has the directory.
var ErrInUse = errors.New("is in use by another process")

// version is that of the format. A reader refuses any other.
const version = 1

const (
	maxSize      = 64 << 10 // of the file, in bytes
	maxProcesses = 16       // whose keys are remembered
)

// The process groups of work that are none.
const (
	NoWork   = 0  // nothing is running
	Starting = -1 // something is being started: it may run, in a group that is not known
)

// state is the file.
type state struct {
	Version  int    `json:"version"`
	Prefix   string `json:"prefix"`
	Election string `json:"election"` // <namespace>/<name>
	Identity string `json:"identity"`

	Boot string `json:"boot"`
	Lock fileID `json:"lock"`
	Seen mark   `json:"seen"`

	Fenced    election.Cause `json:"fenced"`            // empty: not
	Drained   *drain         `json:"drained,omitempty"` // nil: not
	Processes []process      `json:"processes"`         // the oldest first, the writer last
}

// drain is why a person has taken the elector out of the election.
type drain struct {
	Reason string `json:"reason"`
}

// mark is an election.Mark.
type mark struct {
	Revision int64 `json:"revision"`
	Token    int64 `json:"token"`
}

// fileID tells a file from all others of this host.
type fileID struct {
	Device uint64 `json:"device"`
	Inode  uint64 `json:"inode"`
}

// process is one process of the elector with the key that it put last.
type process struct {
	Incarnation string           `json:"incarnation"`
	AnswerMaxMs int64            `json:"answer_max_ms"`
	FreeAt      election.Instant `json:"free_at_ns"` // found dead: its promises have run out by then; 0: not found dead yet
	ClusterID   uint64           `json:"cluster_id"`
	Key         string           `json:"key"` // empty: it put none
	Lease       election.LeaseID `json:"lease"`
	Token       int64            `json:"token"` // 0: not known
	Group       int              `json:"group"` // process group of its work, NoWork or Starting
	PIDs        string           `json:"pids"`  // namespace that Group is a number in
}

func (s *state) encode() []byte {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		panic("encode the state: " + err.Error()) // strings and numbers always encode
	}
	return append(b, '\n')
}

// decode reads a file, which anybody may have written.
func decode(b []byte) (*state, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	s := new(state)
	if err := d.Decode(s); err != nil {
		return nil, newer(b, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows after the end")
	}
	return s, s.validate()
}

// newer says of a file that cannot be read that its version is another, when that is so.
func newer(b []byte, err error) error {
	var v struct{ Version int }
	if json.Unmarshal(b, &v) == nil && v.Version != version {
		return fmt.Errorf("it has version %d, and this elector reads version %d", v.Version, version)
	}
	return err
}

// validate wants everything to be as an elector writes it; a key above all, since keys are deleted.
func (s *state) validate() error {
	switch {
	case s.Version != version:
		return fmt.Errorf("it has version %d, and this elector reads version %d", s.Version, version)
	case s.Election == "" || s.Identity == "" || s.Boot == "":
		return errors.New("election, identity or boot is missing")
	case s.Seen.Revision < 0 || s.Seen.Token < 0:
		return fmt.Errorf("revision %d or token %d is negative", s.Seen.Revision, s.Seen.Token)
	case s.Fenced != election.CauseNone && s.Fenced != election.CauseTokenRegression:
		return fmt.Errorf("fenced for %q, which is no cause", s.Fenced)
	case len(s.Processes) > maxProcesses+1:
		return fmt.Errorf("there are %d processes", len(s.Processes))
	}
	for _, p := range s.Processes {
		if err := p.validate(s); err != nil {
			return fmt.Errorf("process %q: %w", p.Incarnation, err)
		}
	}
	return nil
}

func (p *process) validate(s *state) error {
	switch {
	case p.Incarnation == "":
		return errors.New("it has no incarnation")
	case p.AnswerMaxMs <= 0 || p.AnswerMaxMs > election.MaxTTL.Milliseconds():
		return fmt.Errorf("answer_max_ms is %d", p.AnswerMaxMs)
	case p.FreeAt < 0 || p.Token < 0:
		return errors.New("an instant or a token is negative")
	case p.Group < Starting || p.Group == 1: // the signal for group 1 would go to all processes
		return fmt.Errorf("group %d is none", p.Group)
	case p.Key == "" && (p.Lease != 0 || p.Token != 0):
		return errors.New("it has a lease or a token, and no key")
	case p.Key != "" && (p.Lease <= 0 || p.Key != s.path()+"/"+p.Lease.String()):
		return fmt.Errorf("key %q is not that of a candidate with lease %s", p.Key, p.Lease)
	}
	return nil
}

// path is where the election's keys are.
func (s *state) path() string { return s.Prefix + "/" + s.Election }

// found has the dead among the processes with their keys, and forgets those that put none.
func (s *state) found(now election.Instant) {
	var dead []process
	for _, p := range s.Processes {
		if p.Key == "" {
			continue
		}
		longest := time.Duration(p.AnswerMaxMs) * time.Millisecond
		free := now.Add(longest + longest/election.Slowest)
		if p.FreeAt == 0 || free.Before(p.FreeAt) {
			p.FreeAt = free
		}
		dead = append(dead, p)
	}
	s.Processes = dead[max(0, len(dead)-maxProcesses):]
}

// Package record reads and writes what an election keeps in etcd: the record under each candidate's key, and the shared
// value with its envelope. Who may write below the election's prefix may put anything there, so whatever is read is
// bounded, is valid UTF-8 and never an error that could stop an election. It knows nothing of etcd, so that it can be
// fuzzed by itself.
package record

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/elector-dev/elector/internal/election"
)

// MaxRecord is how long a record is at most, in bytes. What is longer is none.
const MaxRecord = 4 << 10

// MaxText is how many bytes are shown of a text that comes from etcd.
const MaxText = 253

// Record is the value of a candidate's key. The incarnation tells two processes of one identity apart.
type Record struct {
	Identity    string    `json:"identity"`
	Incarnation string    `json:"incarnation"`
	Since       time.Time `json:"since"` // start of the process
	Version     string    `json:"version,omitempty"`
}

// Encode is the record as it stands in etcd.
func (r Record) Encode() string {
	r.Since = r.Since.UTC().Truncate(time.Second)
	b, err := json.Marshal(r)
	if err != nil {
		panic("encode the candidate's record: " + err.Error()) // strings and a time always encode
	}
	return string(b)
}

// parse reads a record; false: the value is none.
func parse(value []byte) (r Record, ok bool) {
	ok = len(value) <= MaxRecord && json.Unmarshal(value, &r) == nil && r.Identity != ""
	return r, ok
}

// Cut drops what does not matter of a value that is too long for a record; what is left is read alike.
func Cut(value []byte) []byte {
	if len(value) > MaxRecord {
		return bytes.Clone(value[:MaxRecord+1])
	}
	return value
}

// Standing reads a candidate, whose key was created at the revision token, with all that its record tells.
func Standing(value []byte, token int64) election.Standing {
	r, ok := parse(value)
	s := election.Standing{Candidate: candidate(r, ok, value, token)}
	if ok {
		s.Since, s.Version = r.Since, Clip(r.Version)
	}
	return s
}

// Candidate reads whose key it is that was created at the revision token. A value that is not a record is a plain
// proposal, as etcdctl elect writes it: it is taken as the identity.
func Candidate(value []byte, token int64) election.Candidate {
	r, ok := parse(value)
	return candidate(r, ok, value, token)
}

// candidate is Candidate of a value that has been parsed.
func candidate(r Record, ok bool, value []byte, token int64) election.Candidate {
	if ok {
		return election.Candidate{Identity: Clip(r.Identity), Incarnation: Clip(r.Incarnation), Token: token}
	}
	return election.Candidate{Identity: Clip(string(value[:min(len(value), MaxText+1)])), Token: token}
}

// Clip bounds a foreign string, and makes it valid UTF-8 without control characters: it will be shown in logs, on
// terminals and in files of lines.
func Clip(s string) string {
	if len(s) > MaxText {
		s = s[:MaxText]
		for len(s) > 0 && !utf8.RuneStart(s[len(s)-1]) {
			s = s[:len(s)-1]
		}
		if r, _ := utf8.DecodeLastRuneInString(s); r == utf8.RuneError && len(s) > 0 {
			s = s[:len(s)-1]
		}
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return utf8.RuneError
		}
		return r // RuneError for bytes that are none
	}, s)
}

package etcdstore

import (
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/elector-dev/elector/internal/election"
)

// maxIdentity is how much is shown of an identity that comes from etcd.
const maxIdentity = 253

// record is the value of a candidate's key. The incarnation tells two processes of one identity apart.
type record struct {
	Identity    string    `json:"identity"`
	Incarnation string    `json:"incarnation"`
	Since       time.Time `json:"since"` // start of the process
	Version     string    `json:"version,omitempty"`
}

func encodeRecord(cfg Config, since time.Time) string {
	b, err := json.Marshal(record{cfg.Identity, cfg.Incarnation, since.UTC().Truncate(time.Second), cfg.Version})
	if err != nil {
		panic("encode the candidate's record: " + err.Error()) // strings and a time always encode
	}
	return string(b)
}

// standing reads a candidate with all that its record tells.
func standing(kv *mvccpb.KeyValue) election.Standing {
	s := election.Standing{Candidate: candidate(kv)}
	var r record
	if json.Unmarshal(kv.Value, &r) == nil && r.Identity != "" {
		s.Since, s.Version = r.Since, clip(r.Version)
	}
	return s
}

// candidate reads who owns a key. A value that is not a record is a plain proposal, as etcdctl elect
// writes it: it is taken as the identity. Outside input: bounded, and valid UTF-8 in any case.
func candidate(kv *mvccpb.KeyValue) election.Candidate {
	c := election.Candidate{Token: kv.CreateRevision}
	var r record
	if json.Unmarshal(kv.Value, &r) == nil && r.Identity != "" {
		c.Identity, c.Incarnation = clip(r.Identity), clip(r.Incarnation)
	} else {
		c.Identity = clip(string(kv.Value))
	}
	return c
}

// clip bounds a foreign string and makes it valid UTF-8.
func clip(s string) string {
	if len(s) > maxIdentity {
		s = s[:maxIdentity]
		for len(s) > 0 && !utf8.RuneStart(s[len(s)-1]) {
			s = s[:len(s)-1]
		}
		if r, _ := utf8.DecodeLastRuneInString(s); r == utf8.RuneError && len(s) > 0 {
			s = s[:len(s)-1]
		}
	}
	return strings.ToValidUTF8(s, "�")
}

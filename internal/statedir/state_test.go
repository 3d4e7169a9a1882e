package statedir

import (
	"bytes"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/elector-dev/elector/internal/election"
)

// FuzzState: whatever the file holds, it is refused, or says of keys only what this election's candidates could have
// put, and comes back as it was.
func FuzzState(f *testing.F) {
	whole := state{
		Version: version, Prefix: "/elector", Election: "default/mail", Identity: "w1", Boot: "b", Lock: fileID{1, 2},
		Seen: mark{Revision: 9, Token: 7}, Fenced: election.CauseTokenRegression,
		Processes: []process{{
			Incarnation: "i1", AnswerMaxMs: 2000, FreeAt: 5, ClusterID: 1 << 63, Key: "/elector/default/mail/77", Lease: 0x77, Token: 7, Group: Starting, PIDs: "pid:[1]",
		}, {Incarnation: "i2", AnswerMaxMs: 1}},
	}
	f.Add(whole.encode())
	f.Add(bytes.ReplaceAll(whole.encode(), []byte("mail"), []byte("m/..")))
	f.Add(whole.encode()[:200])
	f.Add([]byte(`{"version":2}`))
	f.Add([]byte(`{"version":1,"election":"/","identity":"\ud800","boot":"b","processes":null}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := decode(b)
		if err != nil {
			if strings.ContainsFunc(err.Error(), unicode.IsControl) {
				t.Errorf("%q is refused in words that command a terminal: %v", b, err)
			}
			return
		}
		again, err := decode(s.encode())
		if err != nil || !bytes.Equal(again.encode(), s.encode()) {
			t.Fatalf("%q comes back as %+v, %v", b, again, err)
		}
		const now = election.Instant(time.Hour)
		s.found(now)
		for _, p := range s.Processes {
			if p.Key != s.Prefix+"/"+s.Election+"/"+p.Lease.String() || p.Lease <= 0 || p.FreeAt > now.Add(election.MaxTTL+election.MaxTTL/election.Slowest) || p.FreeAt <= 0 {
				t.Errorf("%q is read as %+v", b, p)
			}
		}
	})
}

package history_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/elector-dev/elector/internal/chaos/history"
)

func sample(answers history.Instant) *history.History {
	h := &history.History{
		Run: history.Run{
			Seed: 1 << 63, Scenario: "storm", Program: "elector", Began: 7, TTL: 3 * time.Second,
			Electors: []string{"a", "b"}, Members: []string{"etcd-1"},
		},
		Samples:   []history.Sample{{Elector: "a", Leading: true, Token: 9, Resident: 1 << 24, Renewals: map[string]int64{"late": 2}}},
		Keys:      []history.KeyEvent{{Key: "/elector/x", Token: 9, Revision: 9, Lease: -5, Seen: 12}},
		Faults:    []history.Fault{{Kind: history.KeyDelete, Targets: []string{"a"}, Tokens: []int64{9}, Detail: "<b>\n\"", Effective: true}},
		Processes: []history.Process{{Elector: "a", PID: 3, Asked: 40, Exit: "0", ReleaseNow: true}},
		Register:  []history.Access{{Elector: "a", Write: true, Token: 9, Value: 1, Refused: true, Call: 20, Return: 21}},
		Pages:     []history.Page{{Elector: "a", Incarnation: "i1", From: 8, To: 40, Events: 2, Asked: 3, Late: 1, Wrong: "500"}},
		Shown:     []history.Answer{{Elector: "a", Incarnation: "i1", Sent: 10, Received: 12, Yes: true, Token: 9, At: 11, Until: 500}},
		Outcries:  []history.Outcry{{Process: "a-1", Line: 7, Text: "panic: \"x\""}},
		Stalls:    []history.Stall{{From: 30, To: 31}},
		Leftover:  &history.Leftover{Keys: []string{"k"}, Leases: 1, Goroutines: map[string]int{"a": -1}},
	}
	for i := range answers {
		h.Answers = append(h.Answers, history.Answer{Elector: "a", Incarnation: "i1", Sent: 10 + i, Received: 12 + i, Yes: true, Token: 9, At: 11 + i, Until: 500 + i})
	}
	return h
}

func saved(t *testing.T, h *history.History) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := history.Save(&b, h); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestASavedRunIsLoadedAsItWas(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run")
	for _, h := range []*history.History{sample(500), {}} {
		if err := history.SaveFile(path, h); err != nil {
			t.Fatal(err)
		}
		got, err := history.LoadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, h) {
			t.Errorf("loaded %+v, saved %+v", got, h)
		}
	}
}

func TestARunThatWasCutOffAnywhereIsNotLoaded(t *testing.T) {
	whole := saved(t, sample(20))
	for n := range whole {
		h, err := history.Load(bytes.NewReader(whole[:n]))
		if err == nil || h != nil {
			t.Fatalf("%d of %d bytes were loaded", n, len(whole))
		}
		if n > 20 && !strings.Contains(err.Error(), "cut off after") {
			t.Fatalf("%d of %d bytes: %v", n, len(whole), err)
		}
	}
}

func TestABrokenRunIsToldInOneSentence(t *testing.T) {
	zipped := func(text string) []byte {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		fmt.Fprint(z, text)
		_ = z.Close()
		return b.Bytes()
	}
	checksum := saved(t, sample(500))
	checksum[len(checksum)-6] ^= 1
	const begin = `{"format":"elector chaos run 1"}` + "\n"
	for name, test := range map[string]struct {
		file []byte
		want string
	}{
		"other file":    {[]byte("hello, this is a text"), "this is not a saved run: gzip: invalid header"},
		"other version": {zipped(`{"format":"elector chaos run 0"}`), `not a saved run of this version: it begins with "elector chaos run 0"`},
		"no end":        {zipped(begin + `{"run":{}}`), "cut off after 1 records"},
		"lines missing": {zipped(begin + `{"run":{}}{"end":2}`), "says that it has 2 records, and has 1"},
		"not JSON":      {zipped(begin + `{"run":{}}` + "\nhello"), "broken after 1 records: invalid character"},
		"wrong type":    {zipped(begin + `{"run":{"TTL":"x"}}`), "broken after 0 records: json: cannot unmarshal string"},
		"checksum":      {checksum, "broken after 511 records: gzip: invalid checksum"},
	} {
		h, err := history.Load(bytes.NewReader(test.file))
		if h != nil || err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v; want %q", name, err, test.want)
		}
	}
	if _, err := history.LoadFile(filepath.Join(t.TempDir(), "none")); err == nil || !strings.Contains(err.Error(), "none") {
		t.Errorf("a file that is not there: %v", err)
	}
}

func TestASaveThatFailsSaysSoAndLeavesNoFile(t *testing.T) {
	dir := t.TempDir()
	if err := history.SaveFile(filepath.Join(dir, "no", "run"), sample(1)); err == nil {
		t.Error("saved into a directory that is not there")
	}
	if err := history.Save(full{}, sample(1)); err == nil || !strings.Contains(err.Error(), "save chaos run: no space") {
		t.Errorf("saved to a full disk: %v", err)
	}
}

func TestKindsNamesEveryKindOnce(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range history.Kinds() {
		if k == "" || seen[k] {
			t.Errorf("%q is empty or listed twice", k)
		}
		seen[k] = true
	}
	if !seen[history.ElectorPause] || !seen[history.RestoreBumped] || len(seen) != 41 {
		t.Errorf("%d kinds: a kind was declared and not listed", len(seen))
	}
}

// full is a disk without space.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, fmt.Errorf("no space") }

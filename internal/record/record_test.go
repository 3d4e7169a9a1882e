package record

import (
	"bytes"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/elector-dev/elector/internal/election"
)

func TestARecordIsReadAsItWasWritten(t *testing.T) {
	since := time.Date(2026, 11, 26, 9, 30, 0, 5, time.UTC)
	written := Record{"w1", "abc", since, "v1"}.Encode()
	want := election.Standing{
		Candidate: election.Candidate{Identity: "w1", Incarnation: "abc", Token: 7},
		Since:     since.Truncate(time.Second), Version: "v1",
	}
	if got := Standing([]byte(written), 7); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := Standing([]byte("host-3"), 7); got.Identity != "host-3" || !got.Since.IsZero() {
		t.Errorf("a plain proposal is read as %+v", got)
	}
}

func TestAValueThatElectorDidNotWriteIsNone(t *testing.T) {
	big := `{"token":7,"content_type":""}` + "\n" + strings.Repeat("x", election.MaxValue+1)
	for _, stored := range []string{"", "plain", "{}\nx", `{"token":7}`, `{"token":-7}` + "\nx", `{"token":"7"}` + "\nx", big} {
		if v, err := DecodeValue([]byte(stored), 9); err == nil {
			t.Errorf("%.40q is read as %+v", stored, v)
		}
	}
}

// FuzzRecord: whatever stands under a candidate's key, what is shown of it is short and valid UTF-8.
func FuzzRecord(f *testing.F) {
	for _, value := range []string{
		"", "host-3", `{"identity":"w1","incarnation":"abc","since":"2026-11-26T09:30:00Z","version":"v1"}`,
		`{"identity":""}`, `{"identity":"a\u0000\ud800"}`, `{"identity":"w1","since":"yesterday"}`, "\xff\xfe", strings.Repeat("ü", 300),
		`{"identity":"` + strings.Repeat("x", 400) + `"}`, `["identity"]`, `{"identity":1}`, `{"identity":"w1","x":"` + strings.Repeat("x", MaxRecord) + `"}`, "\x1b]0;owned\a\u009b31m",
	} {
		f.Add([]byte(value))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		s := Standing(value, 7)
		for _, text := range []string{s.Identity, s.Incarnation, s.Version} {
			if !utf8.ValidString(text) || len(text) > 3*MaxText || strings.ContainsFunc(text, unicode.IsControl) {
				t.Errorf("%q is shown as %q", value, text)
			}
		}
		if Standing(Cut(value), 7) != s {
			t.Errorf("%q is read otherwise when it is cut", value)
		}
		if s.Token != 7 || Candidate(value, 7) != s.Candidate {
			t.Errorf("%q: two readings differ: %+v", value, s)
		}
	})
}

// FuzzValue: what is stored comes back as it was put, and whatever else stands there is none or bounded.
func FuzzValue(f *testing.F) {
	f.Add([]byte(`{"token":7,"content_type":"text/plain"}`+"\nhello\n"), "text/plain", int64(7))
	f.Add([]byte("{}\n"), "", int64(1))
	f.Add([]byte("\n\n"), "a\nb\"", int64(1<<62))
	f.Add([]byte(`{"token":1e3,"content_type":"\ud800"}`+"\n"), "\xff", int64(3))
	f.Fuzz(func(t *testing.T, raw []byte, contentType string, token int64) {
		if v, err := DecodeValue(raw, 9); err == nil {
			if v.Token <= 0 || len(v.Bytes) > election.MaxValue || !utf8.ValidString(v.ContentType) || !bytes.HasSuffix(raw, v.Bytes) {
				t.Errorf("%q is read as %+v", raw, v)
			}
		}
		if token <= 0 || len(raw) > election.MaxValue {
			return
		}
		put := election.ValuePut{Bytes: raw, ContentType: contentType, Token: token}
		v, err := DecodeValue([]byte(EncodeValue(put)), 9)
		if err != nil || !bytes.Equal(v.Bytes, raw) || v.Token != token || v.Revision != 9 {
			t.Fatalf("%+v came back as %+v, %v", put, v, err)
		}
		if len(contentType) <= MaxText && utf8.ValidString(contentType) && !strings.ContainsFunc(contentType, unicode.IsControl) && v.ContentType != contentType {
			t.Errorf("content type %q came back as %q", contentType, v.ContentType)
		}
	})
}

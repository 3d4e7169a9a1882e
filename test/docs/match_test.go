package docs

import (
	"regexp"
	"strings"
	"testing"
)

// passing is what differs from run to run, and what stands for it in a comparison. A document shows what was there when
// it was written.
var passing = []struct {
	seen *regexp.Regexp
	as   string
}{
	{regexp.MustCompile(`\r$`), ""},
	{regexp.MustCompile(`[ \t]+$`), ""},
	{regexp.MustCompile(`(\S) {2,}`), "$1 "}, // columns are as wide as what is in them
	{regexp.MustCompile(`\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?`), "TIME"},
	{regexp.MustCompile(`^Date: .* GMT$`), "Date: TIME"},
	{regexp.MustCompile(`^Content-Length: \d+$`), "Content-Length: N"},
	{regexp.MustCompile(`"since_renewal_ms":\d+`), `"since_renewal_ms":N`},
	{regexp.MustCompile(`_ms":[1-9]\d*`), `_ms":N`},
	{regexp.MustCompile(`"seq":\d+`), `"seq":N`},
	{regexp.MustCompile(`\b[0-9a-f]{12,16}\b`), "ID"},
	{regexp.MustCompile(`\b\d+(\.\d+)?(ms|µs)\b|\b\d+\.\d+s\b`), "TIME"},
}

func lasting(line string) string {
	for _, p := range passing {
		line = p.seen.ReplaceAllString(line, p.as)
	}
	return line
}

// matches reports whether the output is what the document shows. A line "..." there stands for any number of lines, and
// "..." within a line for any text.
func matches(want, got []string) bool {
	if len(want) == 0 {
		return len(got) == 0
	}
	if want[0] == "..." {
		return matches(want[1:], got) || len(got) > 0 && matches(want, got[1:])
	}
	return len(got) > 0 && likeLine(want[0], got[0]) && matches(want[1:], got[1:])
}

func likeLine(want, got string) bool {
	parts := strings.Split(lasting(want), "...")
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	return regexp.MustCompile("^" + strings.Join(parts, ".*") + "$").MatchString(lasting(got))
}

// linesOf splits an output into lines, without empty ones at the end.
func linesOf(out string) []string {
	out = strings.TrimRight(out, "\n")
	if out == "" {
		return nil
	}
	return strings.Split(out, "\n")
}

func TestOutputIsComparedButForWhatPasses(t *testing.T) {
	for _, c := range []struct {
		want, got string
		is        bool
	}{
		{"leads", "leads", true},
		{"leads", "follows", false},
		{"leads", "leads\nmore", false},
		{"leads\nmore", "leads", false},
		{"", "leads", false},
		{"...", "", true},
		{"a\n...\nd", "a\nb\nc\nd", true},
		{"a\n...\nd", "a\nb\nc", false},
		{`{"token":2,...}`, `{"token":2,"x":1}`, true},
		{`{"token":2,...}`, `{"token":3,"x":1}`, false},
		{`"expires_in_ms":2000`, `"expires_in_ms":1999`, true},
		{`"expires_in_ms":0`, `"expires_in_ms":1999`, false},
		{`"since":"2026-11-23T11:39:45.363Z"`, `"since":"2027-01-01T00:00:00Z"`, true},
		{`"since":"2026-11-23T11:39:45.363Z"`, `"since":null`, false},
		{"in 1.6s", "in 2.04s", true},
		{"in 2s", "in 3s", false},
		{"lease 7d7ba208343e0f02", "lease 694d9a3c2b1f0e07", true},
		{"(.*)", "anything", false},
		{"w1  leads", "w1     leads ", true},
		{"  w1", "w1", false},
	} {
		if is := matches(linesOf(c.want), linesOf(c.got)); is != c.is {
			t.Errorf("%q shown, %q seen: a match is %v, want %v", c.want, c.got, is, c.is)
		}
	}
}

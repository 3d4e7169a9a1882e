package etcdstore

import (
	"errors"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// A refusal is shown to people and to programs, and whoever is at the other end has had a hand in its text.
func TestRefusalsTextOfOthersIsBoundedAndCanBeRead(t *testing.T) {
	s := &Store{cfg: Config{Endpoints: []string{"https://etcd:2379"}}, secrets: &secrets{}}
	for _, foreign := range []string{
		strings.Repeat("evil.example.org, ", 100_000), "a\r\nHTTP/1.1 200 OK\r\n\r\n", "\x1b[2J\x00", "\xff\xfe", "\u202eyllaer", "</script>",
	} {
		for _, text := range []string{
			"authentication handshake failed: x509: certificate is valid for " + foreign + ", not etcd", "x509: " + foreign,
			"remote error: tls: " + foreign, "remote error: tls: unknown certificate authority" + foreign,
		} {
			got := s.wrapFirst("read the election", errors.New(text)).Error()
			if len(got) > 600 || !utf8.ValidString(got) || strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("%.80q becomes %q", text, got)
			}
		}
	}
}

func TestATextWithoutItsMarkIsKept(t *testing.T) {
	for text, want := range map[string]string{"all of it": "all of it", "before x509: behind": "x509: behind", "x509: all": "x509: all"} {
		if got := after(text, "x509: "); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

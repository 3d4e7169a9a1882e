package dockertest

import (
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/elector-dev/elector/internal/httpapi"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// yes is one that was evaluated at an instant and promises a second.
func yes(identity string, token, at int64) Answer {
	return Answer{Sent: at - 5, Received: at + 5, Status: httpapi.Status{
		Identity: identity, Token: token, Leading: true, ExpiresInMs: 1000, ExpiresBoottimeMs: at + 1000}}
}

func TestJudgeSeesTwoYesAtOnceAndTokensThatDoNotGrow(t *testing.T) {
	late := yes("a", 2, 5000)
	late.Received = 4000
	for want, answers := range map[string][]Answer{
		"":                    {yes("a", 2, 1000), yes("b", 5, 4000), yes("a", 2, 2999), {Sent: 1, Received: 9000}},
		"for 2ms more":        {yes("b", 5, 3000), yes("a", 2, 1000), yes("a", 2, 2002)},
		"before b had 2":      {yes("a", 2, 1000), yes("b", 2, 4000)},
		"with its reply at":   {late},
		"a had token 9":       {yes("a", 9, 1000), yes("a", 4, 4000)},
		"a said yes with tok": {yes("a", 2, 1000), yes("a", 4, 1500)},
	} {
		terms, wrong := Judge(answers)
		switch text := strings.Join(wrong, "\n"); {
		case want == "" && (text != "" || terms != 2):
			t.Errorf("%d terms; of a clean record it says %q", terms, text)
		case !strings.Contains(text, want) || want != "" && len(wrong) != 1:
			t.Errorf("says %q, want %q", text, want)
		}
	}
}

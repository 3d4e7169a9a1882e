package main

import (
	"strings"
	"testing"
	"time"

	"github.com/elector-dev/elector/internal/httpapi"
)

func ms(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

// yes is a positive answer; all times are in milliseconds.
func yes(elector int, token, sent, received, expiresIn int64) sample {
	return sample{elector: elector, sent: ms(sent), received: ms(received),
		status: httpapi.Status{State: "leader", Leading: true, Token: token, ExpiresInMs: expiresIn}}
}

func TestCheckerFindsEveryOverlapAndEveryTokenThatDoesNotGrow(t *testing.T) {
	for _, tc := range []struct {
		name   string
		yeses  []sample
		broken string // part of the sentence
	}{
		{"one leader", []sample{yes(0, 5, 0, 2, 1000), yes(0, 5, 200, 202, 1000)}, ""},
		{"one after the other", []sample{yes(0, 5, 0, 2, 1000), yes(1, 6, 1001, 1003, 1000)}, ""},
		{"a yes while another's is certain", []sample{yes(0, 5, 0, 2, 1000), yes(1, 6, 900, 902, 1000)}, "same time"},
		{"a yes that began before another's", []sample{yes(0, 5, 0, 2, 1000), yes(1, 6, 100, 101, 10)}, "same time"},
		{"a late answer that was over on arrival", []sample{yes(0, 5, 0, 3000, 1000), yes(1, 6, 2000, 2002, 1000)}, ""},
		{"a late answer made while another led", []sample{yes(1, 6, 0, 2, 1000), yes(1, 6, 500, 502, 1000), yes(0, 7, 600, 1200, 100)}, "same time"},
		{"a token that stays", []sample{yes(0, 5, 0, 2, 1000), yes(1, 5, 2000, 2002, 1000)}, "not greater"},
		{"a token that falls", []sample{yes(0, 5, 0, 2, 1000), yes(1, 4, 2000, 2002, 1000)}, "not greater"},
		{"an own token that falls", []sample{yes(0, 5, 0, 2, 1000), yes(0, 4, 2000, 2002, 1000)}, "not greater"},
		{"an old answer that was late", []sample{yes(0, 5, 0, 2, 300), yes(1, 6, 700, 702, 300), yes(0, 5, 100, 1200, 300)}, ""},
	} {
		var c checker
		for _, s := range tc.yeses {
			c.yes(s.elector, names[s.elector], s)
		}
		if (tc.broken == "") != (c.broken == "") || !strings.Contains(c.broken, tc.broken) {
			t.Errorf("%s: found %q, want %q", tc.name, c.broken, tc.broken)
		}
	}
}

package httpapi

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestHostileIdentityStaysInsideItsString(t *testing.T) {
	for _, identity := range []string{
		"\xff\xfe", `","is_leader":true,"x":"`, "a\r\nElector-Token: 1", "</script><script>", "\x00\u2028\ud7ff", "\xed\xa0\x80",
	} {
		for _, target := range []string{"/", "/leader", "/status"} {
			e := following()
			e.now.Leader.Identity = identity
			rec := ask(e, http.MethodGet, target)
			body := rec.Body.Bytes()
			var got struct {
				IsLeader, Leading bool
				Name              string
				Leader            LeaderStatus
			}
			if err := json.Unmarshal(body, &got); err != nil || !utf8.Valid(body) {
				t.Errorf("%s: %q: %v", target, body, err)
			}
			if name := got.Name + got.Leader.Identity; name != clean(identity) {
				t.Errorf("%s: %q became %q", target, identity, name)
			}
			if got.IsLeader || got.Leading {
				t.Errorf("%s: %q made it a yes", target, identity)
			}
			wantNoElectorHeaders(t, rec)
		}
	}
}

func TestIdentityThatOnlyReadsLikeTheOwnIsNotTold(t *testing.T) {
	e := following()
	e.identity = "pod-\ufffd"
	e.now.Leader.Identity = "pod-\xff"
	var got struct {
		Name   string
		Leader LeaderStatus
	}
	for _, target := range []string{"/", "/leader"} {
		if err := json.Unmarshal(ask(e, http.MethodGet, target).Body.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		if got.Name != "" || got.Leader != (LeaderStatus{}) {
			t.Errorf("%s names its own reader: %+v", target, got)
		}
	}
}

func TestYesOfTheLastMillisecondIsOverOnArrival(t *testing.T) {
	e := leading()
	e.now.ExpiresIn, e.now.ExpiresAt = 999_999, e.now.At.Add(999_999)
	rec := ask(e, http.MethodGet, "/leader")
	var got Status
	if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if rec.Code != http.StatusOK || !got.Leading || got.ExpiresInMs != 0 || got.ExpiresBoottimeMs != 5000 ||
		rec.Header().Get("Elector-Expires-In-Ms") != "0" {
		t.Errorf("%d %v: %s", rec.Code, rec.Header(), rec.Body)
	}
}

// A refusal names the user, the keys and files of this elector: whoever may ask for the state is told, and the text is
// data, since a member and whoever stands in its place have had a hand in it.
func TestRefusalIsToldWhereTheStateIsAndStaysInsideItsString(t *testing.T) {
	for _, refusal := range []string{
		`user "root" lacks permission`, "a\r\nElector-Token: 1\r\n\r\n", `","leading":true,"x":"`, "</script><script>", "\xff\x00\u2028",
	} {
		e := following()
		e.now.Refusal = refusal
		for _, target := range []string{"/leader", "/status", "/readyz?contact=required"} {
			rec := ask(e, http.MethodGet, target)
			var got struct {
				Leading bool
				Refusal string
			}
			if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil || got.Refusal != clean(refusal) || got.Leading || !utf8.Valid(rec.Body.Bytes()) {
				t.Errorf("%s: %q tells %q (%v)", target, rec.Body, refusal, err)
			}
			wantNoElectorHeaders(t, rec)
		}
		for _, target := range []string{"/", "/readyz", "/livez"} {
			if body := ask(e, http.MethodGet, target).Body.String(); strings.Contains(body, "refusal") || strings.Contains(body, "lacks") {
				t.Errorf("%s tells it: %s", target, body)
			}
		}
	}
}

package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/elector-dev/elector/internal/election"
)

// sharing is a follower that shows its leader's value.
func sharing(contentType, text string) *scripted {
	e := following()
	e.now.Value = &election.Value{Bytes: []byte(text), ContentType: contentType, Token: 4242, Revision: 77}
	return e
}

func TestValueIsShownAsItWasPut(t *testing.T) {
	for given, shown := range map[string]string{
		"text/plain; charset=utf-8": "text/plain; charset=utf-8", "application/json": "application/json",
		"": unknownType, "text/plain\r\nElector-Token: 1": unknownType, "no type": unknownType, "text/\xff": unknownType,
	} {
		e := sharing(given, "a\x00\xff\nb")
		rec := ask(e, http.MethodGet, "/value")
		h := rec.Header()
		if rec.Code != 200 || rec.Body.String() != "a\x00\xff\nb" || h.Get("Content-Type") != shown || h.Get("ETag") != `"77"` ||
			h.Get("Elector-Token") != "4242" || !strings.Contains(h.Get("Content-Security-Policy"), "sandbox") || e.promises.Load() != 0 {
			t.Errorf("%q: %d %v %q", given, rec.Code, h, rec.Body)
		}
	}
}

func TestValueThatTheReaderHasIsNotSentAgain(t *testing.T) {
	for tags, want := range map[string]int{
		`"77"`: 304, `W/"77"`: 304, `"1", "77"`: 304, "*": 304, `"78"`: 200, "77": 200, "": 200, `"7"7"`: 200,
	} {
		r := httptest.NewRequest(http.MethodGet, "/value", nil)
		r.Header.Set("If-None-Match", tags)
		rec := httptest.NewRecorder()
		newAPI(sharing("text/plain", "x")).Main().ServeHTTP(rec, r)
		if rec.Code != want || (rec.Body.Len() > 0) != (want == 200) {
			t.Errorf("%s: %d with %d bytes, want %d", tags, rec.Code, rec.Body.Len(), want)
		}
	}
}

func TestStatusLineIsAllThatAValueGivesToHead(t *testing.T) {
	for _, method := range []string{http.MethodHead, http.MethodOptions} {
		for e, want := range map[*scripted]int{sharing("text/plain", "x"): 200, following(): 404} {
			rec := ask(e, method, "/value?wait=10m")
			if rec.Code != want || rec.Body.Len() != 0 || rec.Header().Get("ETag") != "" {
				t.Errorf("%s: %d %v %q", method, rec.Code, rec.Header(), rec.Body)
			}
			wantNoElectorHeaders(t, rec)
		}
	}
}

func TestStatusTellsTheRevisionOfTheValue(t *testing.T) {
	var s Status
	if err := json.Unmarshal(ask(sharing("text/plain", "x"), http.MethodGet, "/status").Body.Bytes(), &s); err != nil || s.ValueRevision != 77 {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestValueIsPutByTheTermUnderWay(t *testing.T) {
	put := func(e *scripted, body string, header ...string) *httptest.ResponseRecorder {
		h := map[string]string{}
		for i := 0; i < len(header); i += 2 {
			h[header[i]] = header[i+1]
		}
		h["Elector-Request"] = "1"
		return order{method: http.MethodPut, path: "/value", body: body, header: h}.send(newAPI(e).Main())
	}
	failing := func(e *scripted, err error) *scripted { e.err = err; return e }
	token := []string{"Elector-Token", "4242"}
	for _, c := range []struct {
		name    string
		elector *scripted
		body    string
		header  []string
		want    int
	}{
		{"no token", leading(), "x", nil, 428},
		{"no number", leading(), "x", []string{"Elector-Token", "x"}, 400},
		{"a number in another form", leading(), "x", []string{"Elector-Token", "04242"}, 400},
		{"done", leading(), "x", token, 200},
		{"empty", leading(), "", token, 200},
		{"as long as may be", leading(), strings.Repeat("x", election.MaxValue), token, 200},
		{"too long", leading(), strings.Repeat("x", election.MaxValue+1), token, 413},
		{"a type that is none", leading(), "x", append(token, "Content-Type", "text"+"/"), 400},
		{"over a revision", leading(), "x", append(token, "If-Match", `"77"`), 200},
		{"over something", leading(), "x", append(token, "If-Match", "*"), 200},
		{"over nonsense", leading(), "x", append(token, "If-Match", "77"), 400},
		{"over one of several", leading(), "x", append(token, "If-Match", `"1", "2"`), 400},
		{"if there is none", leading(), "x", append(token, "If-None-Match", "*"), 400},
		{"over revision 0, which is any", leading(), "x", append(token, "If-Match", `"0"`), 400},
		{"over revision -1, which is some", leading(), "x", append(token, "If-Match", `"-1"`), 400},
		{"follower", failing(following(), election.ErrNotLeading), "x", token, 409},
		{"of another term", failing(leading(), election.ErrTokenMismatch), "x", token, 412},
		{"changed", failing(leading(), election.ErrValueChanged), "x", append(token, "If-Match", `"3"`), 412},
		{"no session", failing(leading(), election.ErrNoSession), "x", token, 503},
		{"refused", failing(leading(), election.ErrRefused), "x", token, 503},
		{"no answer", failing(leading(), errors.New("deadline exceeded")), "x", token, 503},
	} {
		rec := put(c.elector, c.body, c.header...)
		if rec.Code != c.want {
			t.Errorf("%s: %d, want %d: %s", c.name, rec.Code, c.want, rec.Body)
			continue
		}
		if c.want == 200 && (rec.Header().Get("ETag") != `"77"` || string(c.elector.put.Bytes) != c.body || c.elector.put.Token != 4242) {
			t.Errorf("%s: %v, put %+v", c.name, rec.Header(), c.elector.put)
		}
		if c.want == 409 && !strings.Contains(rec.Body.String(), `"leader":{"identity":"pod-a"`) {
			t.Errorf("%s: who leads is not told: %s", c.name, rec.Body)
		}
	}
	e := leading()
	put(e, "x", "Elector-Token", "4242", "Content-Type", "text/css", "If-Match", `"76"`)
	if e.put.ContentType != "text/css" || e.put.Revision != 76 {
		t.Errorf("put %+v", e.put)
	}
}

// Who reads a leader's name and finds its own takes it for a yes, and this one would have no end.
func TestElectorThatComesToLeadWhileItRefusesIsNotNamed(t *testing.T) {
	e := leading()
	e.err = election.ErrNotLeading
	rec := order{method: http.MethodPost, path: "/resign", header: map[string]string{"Content-Type": "application/json"}}.send(newAPI(e).Main())
	if rec.Code != http.StatusConflict || !strings.Contains(rec.Body.String(), `"leader":{"identity":"","token":0,"since":null}`) {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
}

func TestResigning(t *testing.T) {
	failing := func(e *scripted, err error) *scripted { e.err = err; return e }
	json := map[string]string{"Content-Type": "application/json"}
	for _, c := range []struct {
		name    string
		elector *scripted
		body    string
		header  map[string]string
		want    int
		wish    election.Resignation
	}{
		{"done", leading(), "", json, 200, election.Resignation{}},
		{"with a cooldown", leading(), `{"cooldown":"30s"}`, json, 200, election.Resignation{Cooldown: 30e9}},
		{"with the token", leading(), ``, map[string]string{"Elector-Token": "4242"}, 200, election.Resignation{Token: 4242}},
		{"with no token", leading(), ``, map[string]string{"Elector-Token": "-1"}, 400, election.Resignation{}},
		{"unknown field", leading(), `{"cooldwon":"30s"}`, json, 400, election.Resignation{}},
		{"two objects", leading(), `{} {}`, json, 400, election.Resignation{}},
		{"no object", leading(), `"30s"`, json, 400, election.Resignation{}},
		{"an empty time", leading(), `{"cooldown":""}`, json, 400, election.Resignation{}},
		{"no time", leading(), `{"cooldown":"soon"}`, json, 400, election.Resignation{}},
		{"too long a time", leading(), `{"cooldown":"25h"}`, json, 400, election.Resignation{}},
		{"too long", leading(), strings.Repeat(" ", maxOrder+1), json, 413, election.Resignation{}},
		{"follower", failing(following(), election.ErrNotLeading), "", json, 409, election.Resignation{}},
		{"another term", failing(leading(), election.ErrTokenMismatch), "", map[string]string{"Elector-Token": "1"}, 412, election.Resignation{Token: 1}},
		{"ended", failing(following(), election.ErrNoSession), "", json, 503, election.Resignation{}},
	} {
		rec := order{method: http.MethodPost, path: "/resign", body: c.body, header: c.header}.send(newAPI(c.elector).Main())
		if rec.Code != c.want || c.elector.resigned != c.wish {
			t.Errorf("%s: %d, want %d, wish %+v: %s", c.name, rec.Code, c.want, c.elector.resigned, rec.Body)
		}
		if c.want == 200 && !bytes.Equal(rec.Body.Bytes(), []byte("{\"resigned\":true,\"released\":true,\"token\":4242}\n")) {
			t.Errorf("%s: %s", c.name, rec.Body)
		}
	}
}

// FuzzResignation: what is accepted is one object whose only field is a time within bounds.
func FuzzResignation(f *testing.F) {
	for _, body := range []string{"", "{}", `{"cooldown":"30s"}`, `{"cooldown":null}`, `{"Cooldown":"1h"}`, `{"cooldown":"1h"}x`, `[]`, `{"cooldown":"1e9h"}`} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		wish, why := readResignation(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/resign", bytes.NewReader(body)))
		d := wish.Cooldown
		if why.status != 0 {
			if d != 0 {
				t.Errorf("%q: %v beside a refusal", body, d)
			}
			return
		}
		var any map[string]any
		if len(body) > 0 && json.Unmarshal(body, &any) != nil && string(bytes.TrimSpace(body)) != "null" || len(any) > 1 || d < 0 || d > maxCooldown {
			t.Errorf("%q is a cooldown of %v", body, d)
		}
	})
}

// FuzzTags: a tag that is accepted is that of a revision, in one form only.
func FuzzTags(f *testing.F) {
	for _, tag := range []string{`"77"`, "*", `W/"77"`, `"077"`, `"`, `""`, `"-1"`, `"9223372036854775808"`, `"7","8"`} {
		f.Add(tag)
	}
	f.Fuzz(func(t *testing.T, tag string) {
		if n, ok := parseIfMatch([]string{tag}); ok && tag != "*" && tag != etag(n) {
			t.Errorf("%q is revision %d", tag, n)
		}
		if n, ok := parseToken(tag); ok && (n <= 0 || strconv.FormatInt(n, 10) != tag) {
			t.Errorf("%q is token %d", tag, n)
		}
		if matches(tag, 77) && !strings.Contains(tag, "*") && !strings.Contains(tag, `"77"`) {
			t.Errorf("%q matches 77", tag)
		}
	})
}

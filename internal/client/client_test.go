package client

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve answers with f, and returns a client of it.
func serve(t *testing.T, f http.HandlerFunc, options ...Option) *Client {
	t.Helper()
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	c, err := New(s.URL, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestAddresses(t *testing.T) {
	for address, local := range map[string]bool{
		"127.0.0.1:4040": true, "localhost:1": true, "[::1]:80": true, "http://127.9.0.1:80/": true, "unix:/run/s": true, "unix:s": true,
		"elector:4040": false, "http://10.0.0.1:80": false,
	} {
		if c, err := New(address); err != nil || c.local != local {
			t.Errorf("%s: %+v, %v", address, c, err)
		}
	}
	for _, address := range []string{"", "a", "unix:", "https://a:1", "a:1/x", "http://u@a:1", "http://a:1?x", "ftp://a:1", ":80", "%zz:1"} {
		if _, err := New(address); err == nil {
			t.Errorf("%q is taken", address)
		}
	}
}

// The server's golden bodies and this package's types have the same fields.
func TestBodiesOfTheServerAreRead(t *testing.T) {
	for pattern, into := range map[string]func() any{
		"leader_*": func() any { return new(Status) }, "status_*": func() any { return new(Status) },
		"candidates": func() any { return new(Queue) }, "history": func() any { return new(History) },
	} {
		files, err := filepath.Glob("../httpapi/testdata/" + pattern + ".json")
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: no bodies, %v", pattern, err)
		}
		for _, file := range files {
			body, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			v := into()
			d := json.NewDecoder(bytes.NewReader(body))
			d.DisallowUnknownFields()
			if err := d.Decode(v); err != nil {
				t.Errorf("%s: %v", file, err)
				continue
			}
			again, err := json.Marshal(v)
			if err != nil || string(again) != strings.TrimSpace(string(body)) && !strings.Contains(string(body), "\ufffd") {
				t.Errorf("%s: a field is missing or moved: %v\n got %s\nwant %s", file, err, again, body)
			}
		}
	}
}

func TestFailuresAreToldApart(t *testing.T) {
	const state = `{"leading":false,"state":"follower"}`
	for _, c := range []struct {
		code   int
		body   string
		answer bool // a state
	}{
		{200, state, true}, {503, state, true}, {200, "nonsense", false}, {404, state, false}, {503, `{"error":"e","hint":"h"}`, false},
		{200, `{"error":"e","hint":"h"}`, false}, {502, "", false},
	} {
		cl := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(c.code)
			_, _ = io.WriteString(w, c.body)
		})
		s, err := cl.Leader(t.Context(), Ask{})
		var refused *StatusError
		if c.answer != (err == nil) || err != nil && (!errors.As(err, &refused) || refused.Code != c.code) {
			t.Errorf("%d %q: %+v, %v", c.code, c.body, s, err)
		}
	}
	cut := serve(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	var silent *NoAnswerError
	if _, err := cut.Status(t.Context(), Ask{}); !errors.As(err, &silent) {
		t.Errorf("cut off: %v", err)
	}
	long := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, maxBody+1)) })
	if _, err := long.Status(t.Context(), Ask{}); !errors.As(err, &silent) {
		t.Errorf("endless: %v", err)
	}
	redirect := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
	})
	if _, err := redirect.Status(t.Context(), Ask{}); errors.As(err, &silent) || err == nil {
		t.Errorf("redirected: %v", err)
	}
}

func TestWritesBringTheirHeadersAndReadsDoNot(t *testing.T) {
	got := make(chan *http.Request, 1)
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got <- r
		_, _ = io.WriteString(w, `{"revision":7,"token":3,"released":true}`)
	}, WithBearer("s3cret"))
	if rev, err := c.PutValue(t.Context(), Value{Token: 3, ContentType: "text/css"}); err != nil || rev != 7 {
		t.Errorf("%d, %v", rev, err)
	}
	if h := (<-got).Header; h.Get("Elector-Token") != "3" || h.Get("Content-Type") != "text/css" || h.Get("Authorization") != "Bearer s3cret" || h.Get("Elector-Request") != "1" {
		t.Errorf("%v", h)
	}
	if r, err := c.Resign(t.Context(), 0, time.Minute); err != nil || !r.Released {
		t.Errorf("%+v, %v", r, err)
	}
	if h := (<-got).Header; h.Get("Elector-Token") != "" || h.Get("Authorization") != "Bearer s3cret" {
		t.Errorf("%v", h)
	}
	_, _ = c.Status(t.Context(), Ask{Wait: time.Second, After: "x-1", Max: time.Millisecond})
	if r := <-got; r.Header.Get("Authorization") != "" || r.URL.RawQuery != "after=x-1&max=1ms&wait=1s" {
		t.Errorf("%v %s", r.Header, r.URL.RawQuery)
	}
}

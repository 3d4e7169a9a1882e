package httpapi

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

const allParameters = "max wait after renewals contact role"

func TestQueriesAreReadStrictly(t *testing.T) {
	for query, want := range map[string]asked{
		"":                             {},
		"&":                            {},
		"contact=required":             {contact: true},
		"role=leader":                  {leading: true},
		"role=leader&contact=required": {contact: true, leading: true},
		"role=leader&role=leader":      {leading: true},
		"%63ontact=%72equired":         {contact: true},
		"wait=0s":                      {waits: true},
		"wait=1m30s&after=abc-7":       {wait: 90 * time.Second, waits: true, after: "abc-7"},
		"max=500ms&renewals=1":         {max: 500 * time.Millisecond, renewals: true},
	} {
		if got, err := parseQuery(query, allParameters); err != nil || got != want {
			t.Errorf("%q: %+v, %v", query, got, err)
		}
	}
	for _, query := range []string{
		"contact", "contact=", "contact=1", "role=follower", "role=leader&role=follower", "Role=leader", "contct=required",
		"role=leader;contact=required", "role=%zz", "x", "wait=30", "wait=-1s", "wait=11m", "wait=", "wait=1s&wait=2s",
		"max=0s", "max=-1s", "max=", "max=1e3", "after=", "renewals=0", "renewals=true", "renewals",
	} {
		if got, err := parseQuery(query, allParameters); err == nil || got != (asked{}) {
			t.Errorf("%q: %+v, %v", query, got, err)
		}
	}
	if got, err := parseQuery("x;y=%zz", anyQuery); err != nil || got != (asked{}) {
		t.Errorf("where any query may be: %+v, %v", got, err)
	}
}

func TestARouteTakesItsOwnParametersOnly(t *testing.T) {
	for _, rt := range newAPI(leading()).routes() {
		if rt.takes == anyQuery {
			continue
		}
		for name, value := range map[string]string{
			"max": "1s", "wait": "0s", "renewals": "1", "contact": "required", "role": "leader", "unknown": "1",
		} {
			if strings.Contains(" "+rt.takes+" ", " "+name+" ") {
				continue
			}
			method := http.MethodGet
			if !rt.methods.has(method) {
				method = rt.methods[0]
			}
			if rec := ask(leading(), method, rt.path+"?"+name+"="+value); rec.Code != http.StatusBadRequest {
				t.Errorf("%s takes %s: %d", rt.path, name, rec.Code)
			}
		}
	}
}

func TestPositionsAreReadAsTheyAreWritten(t *testing.T) {
	for _, p := range []position{{"3f1c9a70", 0}, {"a-b", 12}, {"x", 1<<64 - 1}} {
		if got, ok := parsePosition(p.String()); !ok || got != p {
			t.Errorf("%v: %v, %v", p, got, ok)
		}
	}
	for _, s := range []string{"", "-", "7", "-7", "a-", "a-x", "a--", "a-07", "a-+7", "a-18446744073709551616"} {
		if got, ok := parsePosition(s); ok {
			t.Errorf("%q is %v", s, got)
		}
	}
}

// FuzzQuery holds the parser against a second reading of the query: whatever it accepts consists of nothing
// but known parameters, each with one value, and asks for just what is there.
func FuzzQuery(f *testing.F) {
	for _, query := range []string{
		"", "contact=required&role=leader", "role=leader&role=", "a;b", "%zz", "role=%6ceader", "=&=&",
		"wait=30s&after=3f1c9a70-7&max=500ms", "renewals=1", "wait=30s&wait=30s", "wait=9223372036854775808s",
	} {
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		got, err := parseQuery(query, allParameters)
		if err != nil {
			if got != (asked{}) {
				t.Errorf("%q: demands beside an error", query)
			}
			return
		}
		seen := map[string]string{}
		for pair := range strings.SplitSeq(query, "&") {
			if pair == "" {
				continue
			}
			plain, err := url.QueryUnescape(pair)
			if err != nil {
				t.Fatalf("%q: accepted %q", query, pair)
			}
			name, value, _ := strings.Cut(plain, "=")
			if old, ok := seen[name]; ok && old != value || !strings.Contains(" "+allParameters+" ", " "+name+" ") {
				t.Fatalf("%q: accepted %q", query, pair)
			}
			seen[name] = value
		}
		_, waits := seen["wait"]
		want := asked{
			after: seen["after"], waits: waits, renewals: seen["renewals"] == "1",
			contact: seen["contact"] == "required", leading: seen["role"] == "leader",
		}
		want.max, _ = time.ParseDuration(seen["max"])
		want.wait, _ = time.ParseDuration(seen["wait"])
		if got != want || got.wait < 0 || got.wait > maxWait || got.max < 0 {
			t.Errorf("%q: %+v, want %+v", query, got, want)
		}
	})
}

// FuzzPosition: what is accepted is written in one way only.
func FuzzPosition(f *testing.F) {
	for _, s := range []string{"3f1c9a70-7", "a-b-1", "-1", "x-00", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if p, ok := parsePosition(s); ok && (p.String() != s || p.incarnation == "") {
			t.Errorf("%q is %v", s, p)
		}
	})
}

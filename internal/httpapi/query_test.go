package httpapi

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// everything takes all parameters there are.
var everything = params{contactParam, roleParam, renewalsParam, maxParam, waitParam, afterParam}

func TestQueriesAreReadStrictly(t *testing.T) {
	for raw, want := range map[string]query{
		"":                                       {},
		"&":                                      {},
		"contact=required":                       {contact: true},
		"role=leader&contact=required":           {contact: true, leading: true},
		"role=leader&role=leader":                {leading: true},
		"%63ontact=%72equired":                   {contact: true},
		"wait=0s":                                {waits: true},
		"wait=10m&after=3f1c-7":                  {waits: true, wait: 10 * time.Minute, after: position{"3f1c", 7}, known: true},
		"wait=1s&after=a-b-18446744073709551615": {waits: true, wait: time.Second, after: position{"a-b", 1<<64 - 1}, known: true},
		"max=1ns":                                {max: 1},
		"max=100ms&renewals=1":                   {max: minRenewed, renewals: true},
	} {
		if got, err := everything.read(raw); err != nil || got != want {
			t.Errorf("%q: %+v, %v", raw, got, err)
		}
	}
	for _, raw := range []string{
		"contact", "contact=", "contact=1", "role=follower", "role=leader&role=follower", "Role=leader", "contct=required",
		"role=leader;contact=required", "role=%zz", "x", "=", "renewals=0", "renewals=true",
		"max=0s", "max=-1s", "max=2", "max=1s&max=2s", "max=1s&max=1000ms", "max=99ms&renewals=1",
		"wait=-1ns", "wait=10m1ns", "wait=5", "wait=", "wait=9223372036854775808ns",
		"after=3f1c-7", "wait=1s&after=", "wait=1s&after=7", "wait=1s&after=-7", "wait=1s&after=a-", "wait=1s&after=a-+7",
		"wait=1s&after=a-18446744073709551616",
	} {
		if got, err := everything.read(raw); err == nil || got != (query{}) {
			t.Errorf("%q: %+v, %v", raw, got, err)
		}
	}
}

func TestRoutesTakeTheirOwnParametersOnly(t *testing.T) {
	samples := map[string]string{
		"contact": "contact=required", "role": "role=leader", "renewals": "renewals=1",
		"max": "max=1s", "wait": "wait=0s", "after": "after=3f1c9a70-7&wait=0s",
	}
	takes := map[string][]string{
		"/leader": {"max", "wait"}, "/primary": {"max", "wait"}, "/read-write": {"max", "wait"},
		"/status": {"after", "max", "wait"}, "/events": {"max", "renewals"},
		"/readyz": {"contact", "role"}, "/readiness": {"contact", "role"},
		"/transfer": {"wait"},
		"/value":    {"wait"}, // and after, of another form
		"/":         {"after", "contact", "max", "renewals", "role", "wait"}, "/metrics": {"after", "contact", "max", "renewals", "role", "wait"},
	}
	api := newAPI(leading())
	for _, rt := range api.routes() {
		if rt.path == "/hold" {
			continue // TestHoldsAreRefused: who may ask at all is judged with the query
		}
		for name, sample := range samples {
			rec := askOf(api.Main(), asking(rt, http.MethodHead), rt.path+"?"+sample)
			if bad := rec.Code == http.StatusBadRequest; bad == slices.Contains(takes[rt.path], name) {
				t.Errorf("%s?%s: %d", rt.path, sample, rec.Code)
			}
		}
		var f failure
		rec := askOf(api.Main(), asking(rt, http.MethodGet), rt.path+"?nonsense=1")
		if rt.takes == nil {
			continue
		}
		if err := json.Unmarshal(rec.Body.Bytes(), &f); err != nil || rec.Code != http.StatusBadRequest || f.Error == "" || f.Hint == "" {
			t.Errorf("%s?nonsense=1: %d %s", rt.path, rec.Code, rec.Body)
		}
	}
}

// asking is a method that a route takes: the one that is wanted, if it does.
func asking(rt route, method string) string {
	if rt.methods.has(method) {
		return method
	}
	return rt.methods[0]
}

func TestRevisionsAreReadStrictly(t *testing.T) {
	takes := params{waitParam, revisionParam}
	for raw, want := range map[string]query{
		"wait=1s&after=0":  {waits: true, wait: time.Second, known: true},
		"after=77&wait=0s": {waits: true, known: true, revision: 77},
	} {
		if got, err := takes.read(raw); err != nil || got != want {
			t.Errorf("%q: %+v, %v", raw, got, err)
		}
	}
	for _, raw := range []string{"after=77", "wait=1s&after=", "wait=1s&after=-1", "wait=1s&after=x-7", "wait=1s&after=9223372036854775808", "max=1s"} {
		if got, err := takes.read(raw); err == nil || got != (query{}) {
			t.Errorf("%q: %+v, %v", raw, got, err)
		}
	}
}

// FuzzQuery holds the parser against a second reading of the query: whatever it accepts consists of
// nothing but known pairs that agree, and asks for just those that are there.
func FuzzQuery(f *testing.F) {
	for _, raw := range []string{"", "contact=required&role=leader", "role=leader&role=", "a;b", "%zz", "role=%6ceader", "=&=&"} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		got, err := everything.read(raw)
		if err != nil {
			if got != (query{}) {
				t.Errorf("%q: a query beside an error", raw)
			}
			return
		}
		if want := secondReading(t, raw); got != want {
			t.Errorf("%q: %+v, want %+v", raw, got, want)
		}
		if got.after != (position{}) {
			if again, ok := parsePosition(got.after.String()); !ok || again != got.after {
				t.Errorf("%q: %v is read as %v", raw, got.after, again)
			}
		}
	})
}

// secondReading reads a query that was accepted.
func secondReading(t *testing.T, raw string) (q query) {
	seen := map[string]string{}
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name, err1 := url.QueryUnescape(name)
		value, err2 := url.QueryUnescape(value)
		if old, ok := seen[name]; err1 != nil || err2 != nil || strings.Contains(pair, ";") || ok && old != value {
			t.Fatalf("%q: accepted %q", raw, pair)
		}
		seen[name] = value
		duration, err := time.ParseDuration(value)
		incarnation, seq := "", uint64(0)
		if at := strings.LastIndex(value, "-"); at > 0 {
			var wrong error
			seq, wrong = strconv.ParseUint(value[at+1:], 10, 64)
			if wrong == nil {
				incarnation = value[:at]
			}
		}
		switch {
		case name == "contact" && value == "required":
			q.contact = true
		case name == "role" && value == "leader":
			q.leading = true
		case name == "renewals" && value == "1":
			q.renewals = true
		case name == "max" && err == nil && duration > 0:
			q.max = duration
		case name == "wait" && err == nil && duration >= 0 && duration <= 10*time.Minute:
			q.waits, q.wait = true, duration
		case name == "after" && incarnation != "":
			q.after, q.known = position{incarnation, seq}, true
		default:
			t.Fatalf("%q: accepted %q", raw, pair)
		}
	}
	_, waits := seen["wait"]
	if _, ok := seen["after"]; ok && !waits {
		t.Errorf("%q: accepted after without wait", raw)
	}
	if q.renewals && q.max > 0 && q.max < 100*time.Millisecond {
		t.Errorf("%q: accepted a busy loop", raw)
	}
	return q
}

package httpapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"github.com/elector-dev/elector/internal/election"
)

func document(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromFile("../../docs/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestTheDocumentHasTheRoutesAndNoOthers(t *testing.T) {
	doc := document(t)
	served := map[string]bool{}
	for _, rt := range newAPI(leading()).routes() {
		served[rt.path] = true
		item := doc.Paths.Value(rt.path)
		if item == nil {
			t.Errorf("%s is not documented", rt.path)
			continue
		}
		var documented []string
		for method, op := range item.Operations() {
			documented = append(documented, method)
			if slices.Contains(op.Tags, "probe") != rt.probe {
				t.Errorf("%s %s: tags %v, on the probe listener: %v", method, rt.path, op.Tags, rt.probe)
			}
			wantParameters(t, rt, item, op)
		}
		want := rt.methods
		if len(want) == 0 {
			want = probing
		}
		if slices.Sort(documented); !slices.Equal(documented, slices.Sorted(slices.Values(want))) {
			t.Errorf("%s takes %v, documented are %v", rt.path, want, documented)
		}
	}
	for path := range doc.Paths.Map() {
		if !served[path] {
			t.Errorf("%s is documented and not served", path)
		}
	}
}

func wantParameters(t *testing.T, rt route, item *openapi3.PathItem, op *openapi3.Operation) {
	t.Helper()
	var documented []string
	for _, p := range slices.Concat(item.Parameters, op.Parameters) {
		if p.Value.In == "query" {
			documented = append(documented, p.Value.Name)
		}
	}
	var taken []string
	for _, p := range rt.takes {
		taken = append(taken, p.name)
	}
	slices.Sort(documented)
	if slices.Sort(taken); !slices.Equal(documented, taken) {
		t.Errorf("%s takes %v, documented are %v", rt.path, taken, documented)
	}
}

// exchange is a request and the elector that answers it.
type exchange struct {
	elector *scripted
	order
	writes Writes
}

// exchanges bring about every answer that the document has.
func exchanges(doc *openapi3.T) []exchange {
	var all []exchange
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			if method == http.MethodPut || method == http.MethodPost {
				continue
			}
			stalled := following()
			stalled.stalled = true
			for _, e := range []*scripted{leading(), following(), alone(), standing(), stalled, sharing("text/plain", "x")} {
				all = append(all, exchange{elector: e, order: order{method: method, path: path}})
			}
			all = append(all, exchange{elector: leading(), order: order{method: method, path: path + "?unknown=1"}})
		}
	}
	failing := func(e *scripted, err error) *scripted { e.err = err; return e }
	token := map[string]string{"Elector-Token": "4242"}
	for _, verb := range []order{
		{method: http.MethodPut, path: "/value", body: "x", header: token},
		{method: http.MethodPost, path: "/resign", header: token},
		{method: http.MethodPost, path: "/hold", header: token},
		{method: http.MethodPost, path: "/unfence", header: token},
		{method: http.MethodPost, path: "/transfer", body: `{"to":"b"}`, header: token},
		{method: http.MethodPost, path: "/transfer?wait=1s", body: `{"to":"b"}`, header: token},
		{method: http.MethodPost, path: "/drain", body: `{"reason":"kernel update"}`, header: token},
		{method: http.MethodPost, path: "/undrain", header: token},
	} {
		long, bad, bare := verb, verb, verb
		long.body = strings.Repeat("x", election.MaxValue+1)
		bad.header = map[string]string{"Elector-Token": "x"}
		bare.header = map[string]string{"Elector-Request": "1"}
		wrong, foreign := verb, verb
		wrong.path, _, _ = strings.Cut(wrong.path, "?")
		wrong.path += "?unknown=1"
		foreign.host = "evil.example.org"
		all = append(all,
			exchange{elector: leading(), order: verb}, exchange{elector: leading(), order: wrong}, exchange{elector: leading(), order: long}, exchange{elector: leading(), order: bad},
			exchange{elector: leading(), order: bare}, exchange{elector: leading(), order: foreign},
			exchange{elector: leading(), order: verb, writes: Writes{TokenFile: "one"}},
			exchange{elector: failing(following(), election.ErrNotLeading), order: verb},
			exchange{elector: failing(leading(), election.ErrTokenMismatch), order: verb},
			exchange{elector: failing(leading(), election.ErrNoSession), order: verb})
	}
	return append(all,
		exchange{elector: sharing("text/plain", "x"), order: order{method: "GET", path: "/value", header: map[string]string{"If-None-Match": `"77"`}}},
		exchange{elector: failing(following(), election.ErrNotFenced), order: order{method: "POST", path: "/unfence", header: token}},
		exchange{elector: failing(leading(), election.ErrNotStanding), order: order{method: "POST", path: "/transfer", body: `{"to":"b"}`, header: token}},
		exchange{elector: failing(following(), errors.New("etcd is gone")), order: order{method: "GET", path: "/candidates"}})
}

// unseen are documented answers that only a crowd brings about (TestAsManyWaitAsMay and TestFullHouseAnswersShortQuestions do), or a setting
// (TestHoldsAreRefused has it).
var unseen = []string{"POST /hold 411", "GET /events 503", "GET /sse 503", "GET /status 503", "GET /value 503", "GET /history 503", "GET /metrics 503", "GET /ui 503"}

func TestEveryAnswerIsAsDocumentedAndEveryDocumentedAnswerComes(t *testing.T) {
	doc := document(t)
	openapi3filter.RegisterBodyDecoder("text/event-stream", openapi3filter.FileBodyDecoder)
	openapi3filter.RegisterBodyDecoder("text/html", openapi3filter.FileBodyDecoder)
	seen := map[string]bool{}
	for _, x := range exchanges(doc) {
		path, _, _ := strings.Cut(x.path, "?")
		if x.writes.TokenFile != "" {
			x.writes.TokenFile = tokenFile(t)
		}
		req, rec := x.answer(t)
		seen[fmt.Sprintf("%s %s %d", x.method, path, rec.Code)] = true
		item := doc.Paths.Value(path)
		input := &openapi3filter.ResponseValidationInput{
			RequestValidationInput: &openapi3filter.RequestValidationInput{
				Request: req, Route: &routers.Route{Spec: doc, Path: path, PathItem: item, Method: x.method, Operation: item.GetOperation(x.method)},
			},
			Status: rec.Code, Header: rec.Header(), Body: io.NopCloser(bytes.NewReader(rec.Body.Bytes())),
			Options: &openapi3filter.Options{IncludeResponseStatus: true, ExcludeResponseBody: rec.Body.Len() == 0},
		}
		if err := openapi3filter.ValidateResponse(t.Context(), input); err != nil {
			t.Errorf("%s %s: %d is not as documented: %v\n%s", x.method, x.path, rec.Code, err, rec.Body)
		}
	}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			for status := range op.Responses.Map() {
				if answer := method + " " + path + " " + status; !seen[answer] && !slices.Contains(unseen, answer) {
					t.Errorf("%s is documented and never came", answer)
				}
			}
		}
	}
}

// answer sends the request. A stream is ended by its reader after its first event.
func (x exchange) answer(t *testing.T) (*http.Request, *httptest.ResponseRecorder) {
	t.Helper()
	if x.host == "" {
		x.host = "localhost"
	}
	ctx, cancel := context.WithCancel(t.Context())
	req := httptest.NewRequest(x.method, x.path, strings.NewReader(x.body)).WithContext(ctx)
	req.Host = x.host
	for k, v := range x.header {
		req.Header.Set(k, v)
	}
	rec := httptest.NewRecorder()
	var w http.ResponseWriter = rec
	if strings.HasPrefix(x.path, "/events") || strings.HasPrefix(x.path, "/sse") || x.path == "/hold" {
		w = untilFlushed{rec, cancel}
	}
	guarded(x.elector, x.writes).Main().ServeHTTP(w, req)
	cancel()
	return req, rec
}

// untilFlushed ends the request once the response has been flushed.
type untilFlushed struct {
	*httptest.ResponseRecorder
	end context.CancelFunc
}

func (u untilFlushed) Flush() { u.end() }

func tokenFile(t testing.TB) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("s3cret"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

package httpapi

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/elector-dev/elector/internal/election"
)

// unknownType is the content type of bytes of which nothing is known.
const unknownType = "application/octet-stream"

// value shows what the leader shares with the fleet, with ?wait= as soon as it is another than ?after= says,
// and takes what it wants to share.
func (a *API) value(w http.ResponseWriter, r *http.Request, q query) {
	if r.Method == http.MethodPut {
		a.putValue(w, r)
		return
	}
	seen := q.revision
	if !q.known {
		seen = shown(a.elector.Look())
	}
	if !statusOnly(r) && !a.await(w, r, q, func(election.State) bool { return shown(a.elector.Look()) != seen }) {
		return
	}
	v := a.elector.Look().Value
	if v == nil {
		reply(w, r, http.StatusNotFound, failure{"there is no value", "the leader publishes one with PUT, or --value; nothing is shown while the leader is not known"})
		return
	}
	if statusOnly(r) {
		w.WriteHeader(http.StatusOK)
		return
	}
	h := w.Header()
	h.Set("ETag", etag(v.Revision))
	h.Set("Elector-Token", strconv.FormatInt(v.Token, 10))
	h.Set("Content-Type", typeOf(v.ContentType))
	h.Set("Content-Security-Policy", "sandbox; default-src 'none'") // it is data, in a browser too
	if matches(r.Header.Get("If-None-Match"), v.Revision) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(v.Bytes)
}

// shown is the revision of the value in an answer; 0: none.
func shown(answer election.Answer) int64 {
	if answer.Value == nil {
		return 0
	}
	return answer.Value.Revision
}

func etag(revision int64) string { return `"` + strconv.FormatInt(revision, 10) + `"` }

// typeOf is a content type as it may stand in a header: it comes from etcd, where anybody may have written it.
func typeOf(contentType string) string {
	if _, _, err := mime.ParseMediaType(contentType); err != nil || len(contentType) > 200 ||
		strings.ContainsFunc(contentType, func(r rune) bool { return r < ' ' || r > '~' }) {
		return unknownType
	}
	return contentType
}

// matches reports whether a list of tags has that of a revision, or is *.
func matches(tags string, revision int64) bool {
	for tag := range strings.SplitSeq(tags, ",") {
		if tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/"); tag == "*" || tag == etag(revision) {
			return true
		}
	}
	return false
}

// putValue publishes a value in the name of the term whose token the request has.
func (a *API) putValue(w http.ResponseWriter, r *http.Request) {
	if !a.mayWrite(w, r) {
		return
	}
	put, why := readPut(w, r)
	if why.status != 0 {
		reply(w, r, why.status, why.failure)
		return
	}
	ctx, done := bounded(w, r)
	defer done()
	v, err := a.elector.PutValue(ctx, put)
	switch {
	case err == nil:
		w.Header().Set("ETag", etag(v.Revision))
		reply(w, r, http.StatusOK, struct {
			Revision int64 `json:"revision"`
			Token    int64 `json:"token"`
		}{v.Revision, v.Token})
	case a.replyTerm(w, r, err):
	case errors.Is(err, election.ErrValueChanged):
		reply(w, r, http.StatusPreconditionFailed, failure{"the value is not what If-Match says", "read it again"})
	case errors.Is(err, election.ErrRefused):
		reply(w, r, http.StatusServiceUnavailable, failure{"etcd refuses the value", clean(err.Error())})
	default:
		reply(w, r, http.StatusServiceUnavailable, failure{"etcd did not answer", "the value may have been published, or may still be: read it back"})
	}
}

// readPut reads what is to be published.
func readPut(w http.ResponseWriter, r *http.Request) (election.ValuePut, refusal) {
	put := election.ValuePut{ContentType: unknownType}
	token := r.Header.Get("Elector-Token")
	if token == "" {
		return put, refusal{http.StatusPreconditionRequired, failure{"no Elector-Token", "send the token of the own term, which a yes has"}}
	}
	var ok bool
	if put.Token, ok = parseToken(token); !ok {
		return put, refusal{http.StatusBadRequest, failure{"Elector-Token is not a token", "send the number that a yes has"}}
	}
	if put.Revision, ok = parseIfMatch(r.Header.Values("If-Match")); !ok {
		return put, refusal{http.StatusBadRequest, failure{"If-Match is not a revision", "send the ETag of the value that is to be replaced, or *"}}
	}
	if r.Header.Get("If-None-Match") != "" { // to ignore it would be to replace what was to be kept
		return put, refusal{http.StatusBadRequest, failure{"If-None-Match is not taken with PUT", "send If-Match, or neither"}}
	}
	if given := r.Header.Get("Content-Type"); given != "" {
		if put.ContentType = typeOf(given); put.ContentType != given {
			return put, refusal{http.StatusBadRequest, failure{"Content-Type cannot be read", "send one as in text/plain, or none"}}
		}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, election.MaxValue))
	switch {
	case errors.As(err, new(*http.MaxBytesError)):
		return put, refusal{http.StatusRequestEntityTooLarge, failure{"the value has more than 65536 bytes", "publish where it is to be found"}}
	case err != nil:
		return put, refusal{http.StatusBadRequest, failure{"the body ended early", "send it again"}}
	}
	put.Bytes = body
	return put, refusal{}
}

// parseToken reads a fencing token.
func parseToken(s string) (int64, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil && n > 0 && strconv.FormatInt(n, 10) == s
}

// parseIfMatch reads the revision that is to be replaced. Of several tags none could be told apart later, so
// one is all that is taken.
func parseIfMatch(values []string) (int64, bool) {
	switch {
	case len(values) == 0:
		return election.AnyRevision, true
	case len(values) > 1:
		return 0, false
	case values[0] == "*":
		return election.SomeValue, true
	}
	quoted := values[0]
	if len(quoted) < 3 || quoted[0] != '"' || quoted[len(quoted)-1] != '"' {
		return 0, false
	}
	return parseToken(quoted[1 : len(quoted)-1])
}

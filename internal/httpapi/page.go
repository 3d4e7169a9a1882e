package httpapi

import (
	"crypto/sha256"
	_ "embed" // holds the parts of the page
	"encoding/base64"
	"html"
	"net/http"
	"strings"
	"sync"
)

// The parts of the page. It is one document, which asks nothing of anybody but this server.
var (
	//go:embed page/page.html
	pageDocument string
	//go:embed page/page.css
	pageStyle string
	//go:embed page/page.js
	pageScript string
)

// The places in the document that differ from request to request.
const (
	pageWrites = "{{.Writes}}"
	pageWhy    = "{{.Why}}"
)

// page is the document of /ui and the policy that it is shown under.
type page struct{ document, policy string }

// thePage is put together when somebody first opens it.
var thePage = sync.OnceValue(func() page {
	return page{
		document: strings.NewReplacer("{{.Style}}", pageStyle, "{{.Script}}", pageScript).Replace(pageDocument),
		policy: "default-src 'none'; script-src " + digest(pageScript) + "; style-src " + digest(pageStyle) + "; img-src data:; connect-src 'self'; " +
			"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
	}
})

// digest names an inline part in a Content-Security-Policy: no other runs.
func digest(part string) string {
	sum := sha256.Sum256([]byte(part))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// ui shows this elector to people. What it offers to change is what its own requests will be let do.
func (a *API) ui(w http.ResponseWriter, r *http.Request, _ query) {
	if statusOnly(r) {
		w.WriteHeader(http.StatusOK)
		return
	}
	writes, why := a.guard.offers(r)
	p := thePage()
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", p.policy)
	h.Set("Referrer-Policy", "no-referrer")
	// A reader that is gone is nobody's concern.
	_, _ = strings.NewReplacer(pageWrites, writes, pageWhy, html.EscapeString(why)).WriteString(w, p.document)
}

// offers tells a page that is opened by a request whether requests of its own may change something: yes, token (with
// one) or no, and then why.
func (g *guard) offers(r *http.Request) (writes, why string) {
	own := r.Clone(r.Context())
	own.Header.Set("Elector-Request", "1")
	switch refused := g.refuse(own); refused.status {
	case 0:
		return "yes", ""
	case http.StatusUnauthorized:
		return "token", ""
	default:
		return "no", refused.Error + "; " + refused.Hint
	}
}

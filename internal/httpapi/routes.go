package httpapi

import "net/http"

// routes is the whole surface. Paths match exactly. The probe listener, on an address that others can
// reach, has what is needed to probe and to scrape; nothing on either listener changes anything.
func (a *API) routes() []route {
	return []route{
		{"/", anyMethod, mainOnly, a.oldContract},    // 200: who leads, as the old sidecar said it
		{"/leader", probing, everywhere, a.leader},   // 200 while this elector leads, else 503; the state either way
		{"/status", probing, mainOnly, a.status},     // 200: the state
		{"/livez", probing, everywhere, a.livez},     // 503 when the process must be restarted
		{"/readyz", probing, everywhere, a.readyz},   // 503 until first registered; ?contact=required ?role=leader ask for more
		{"/metrics", reading, everywhere, a.metrics}, // for Prometheus
	}
}

// The method sets. HEAD and OPTIONS get the status line only.
var (
	reading   = methods{http.MethodGet, http.MethodHead}
	probing   = methods{http.MethodGet, http.MethodHead, http.MethodOptions}
	anyMethod methods
)

// The listeners that a route is on.
const (
	mainOnly   = false
	everywhere = true
)

type route struct {
	path    string
	methods methods // empty: any
	probe   bool    // on the probe listener too
	handle  http.HandlerFunc
}

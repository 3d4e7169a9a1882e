package httpapi

import "net/http"

// routes is the whole surface. Paths match exactly. The probe listener, on an address that others can
// reach, has what is needed to probe and to scrape, and nothing on it changes anything.
func (a *API) routes() []route {
	return []route{
		{"/", anyMethod, mainOnly, anyQuery, a.oldContract}, // 200: who leads, as the old sidecar said it

		// 200 while the elector is that, else 503; the state either way.
		{"/leader", probing, everywhere, params{waitParam, maxParam}, a.role(leads)},
		{"/primary", probing, everywhere, params{waitParam, maxParam}, a.role(leads)},
		{"/read-write", probing, everywhere, params{waitParam, maxParam}, a.role(leads)},
		{"/follower", probing, everywhere, noQuery, a.role(follows)},
		{"/replica", probing, everywhere, noQuery, a.role(follows)},
		{"/read-only", probing, everywhere, noQuery, a.role(stands)},
		{"/health", probing, everywhere, noQuery, a.role(a.healthy)},

		{"/status", probing, mainOnly, params{waitParam, afterParam, maxParam}, a.status},     // 200: the state
		{"/events", probing, mainOnly, params{afterParam, renewalsParam, maxParam}, a.events}, // a stream of states
		{"/sse", probing, mainOnly, noQuery, a.sse},                                           // a stream of who leads, as nais/elector has it

		{"/ui", probing, mainOnly, noQuery, slow(a.ui)}, // a page for people

		{"/candidates", probing, mainOnly, noQuery, slow(a.candidates)},                        // the queue, from etcd
		{"/history", probing, mainOnly, noQuery, slow(a.history)},                              // the latest terms
		{"/value", publishing, mainOnly, params{waitParam, revisionParam}, slow(a.value)},      // the fleet's shared value; the leader puts it
		{"/hold", methods{http.MethodPost}, mainOnly, params{maxParam}, slow(a.hold)},          // a worker that may act: a stream of states
		{"/resign", methods{http.MethodPost}, mainOnly, noQuery, slow(a.resign)},               // give the lead up
		{"/transfer", methods{http.MethodPost}, mainOnly, params{waitParam}, slow(a.transfer)}, // pass the lead on to another candidate
		{"/drain", methods{http.MethodPost}, mainOnly, noQuery, slow(a.drain)},                 // stay out of the election
		{"/undrain", methods{http.MethodPost}, mainOnly, noQuery, slow(a.undrain)},             // and come back
		{"/unfence", methods{http.MethodPost}, mainOnly, noQuery, slow(a.unfence)},             // go on with an etcd that went back in time

		// 503 when the process must be restarted.
		{"/livez", probing, everywhere, noQuery, a.livez},
		{"/liveness", probing, everywhere, noQuery, a.livez},
		{"/healthz", probing, everywhere, noQuery, a.livez},

		// 503 until first registered; the query asks for more.
		{"/readyz", probing, everywhere, params{contactParam, roleParam}, a.readyz},
		{"/readiness", probing, everywhere, params{contactParam, roleParam}, a.readyz},

		{"/metrics", reading, everywhere, anyQuery, slow(a.metrics)}, // for Prometheus, whose scrapes may have parameters
	}
}

// The method sets. HEAD and OPTIONS get the status line only.
var (
	reading    = methods{http.MethodGet, http.MethodHead}
	probing    = methods{http.MethodGet, http.MethodHead, http.MethodOptions}
	publishing = methods{http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPut}
	anyMethod  methods
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
	takes   params  // nil: whatever comes
	handle  handler
}

// handler answers a request of its route, whose query has been read.
type handler func(http.ResponseWriter, *http.Request, query)

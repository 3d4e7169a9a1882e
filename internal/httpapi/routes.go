package httpapi

import "net/http"

// routes is the whole surface. Paths match exactly. The probe listener, on an address that others can
// reach, has what is needed to probe and to scrape, and nothing on it changes anything.
func (a *API) routes() []route {
	return []route{
		// Roles, for load balancers and probes: 200 or 503, the state either way.
		{"/leader", probing, everywhere, "max wait", a.leader}, // this elector leads; ?wait= as soon as it does
		{"/primary", probing, everywhere, "max wait", a.leader},
		{"/read-write", probing, everywhere, "max wait", a.leader},
		{"/follower", probing, everywhere, "", a.role(follows)}, // it stands in the queue, in contact with etcd
		{"/replica", probing, everywhere, "", a.role(follows)},
		{"/read-only", probing, everywhere, "", a.role(leadsOrFollows)},
		{"/health", probing, everywhere, "", a.role(a.healthy)}, // it runs and is in contact with etcd

		{"/livez", probing, everywhere, "", a.livez}, // 503 when the process must be restarted
		{"/liveness", probing, everywhere, "", a.livez},
		{"/healthz", probing, everywhere, "", a.livez},
		{"/readyz", probing, everywhere, "contact role", a.readyz}, // 503 until first registered; ?contact=required ?role=leader ask for more
		{"/readiness", probing, everywhere, "contact role", a.readyz},
		{"/metrics", reading, everywhere, anyQuery, a.metrics}, // for Prometheus

		{"/", anyMethod, mainOnly, anyQuery, a.oldContract},            // who leads, as the old sidecar said it
		{"/status", probing, mainOnly, "max wait after", a.status},     // the state; ?wait=&after= as soon as there is a newer one
		{"/events", probing, mainOnly, "max after renewals", a.events}, // every state as a server-sent event
		{"/sse", probing, mainOnly, "", a.sse},                         // who leads, as nais/elector streams it
		{"/candidates", probing, mainOnly, "", a.candidates},           // the queue, from etcd
		{"/history", probing, mainOnly, "", a.history},                 // the latest terms
		{"/value", publishing, mainOnly, "wait after", a.value},        // the fleet's shared value; the leader puts it
		{"/resign", methods{http.MethodPost}, mainOnly, "", a.resign},  // give the lead up
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

// anyQuery is for a route that does not look at its query.
const anyQuery = "*"

type route struct {
	path    string
	methods methods // empty: any
	probe   bool    // on the probe listener too
	takes   string  // the names of the query's parameters; any other is an error
	handle  handler
}

type handler = func(http.ResponseWriter, *http.Request, asked)

package client

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/elector-dev/elector/internal/boottime"
)

// Status is what an elector was when it answered. Times are of its wall clock, for people.
type Status struct {
	Election          string    `json:"election"`
	Identity          string    `json:"identity"`
	State             string    `json:"state"`
	Leading           bool      `json:"leading"`
	Token             int64     `json:"token"`
	ExpiresInMs       int64     `json:"expires_in_ms"`
	ExpiresBoottimeMs int64     `json:"expires_boottime_ms"`
	Leader            Leader    `json:"leader"`
	Lease             Lease     `json:"lease"`
	Registered        bool      `json:"registered"`
	Eligible          bool      `json:"eligible"`
	IneligibleReason  string    `json:"ineligible_reason"`
	Connected         bool      `json:"connected"`
	Refusal           string    `json:"refusal"`
	Cause             string    `json:"cause"`
	Since             time.Time `json:"since"`
	Seq               uint64    `json:"seq"`
	Incarnation       string    `json:"incarnation"`
	ValueRevision     int64     `json:"value_revision"`

	until time.Duration // on this host's boot clock: the end of a yes
}

// Leader is who leads, as far as an elector knows.
type Leader struct {
	Identity string     `json:"identity"`
	Token    int64      `json:"token"`
	Since    *time.Time `json:"since"`
}

// Lease is an elector's lease in etcd.
type Lease struct {
	ID             string `json:"id"`
	TTLMs          int64  `json:"ttl_ms"`
	SinceRenewalMs int64  `json:"since_renewal_ms"`
}

// Certain is for how long from now the elector's yes is certain; zero or less for a no.
func (s *Status) Certain() time.Duration {
	if !s.Leading {
		return 0
	}
	return s.until - boottime.Now()
}

// settle works out the end of a yes that was evaluated between sent and received. Counted from before the request
// it holds whatever the elector's clock is, but one that was waited for or streamed has then passed on arrival. So
// its end on the boot clock counts, where that clock may be ours. The near end of a tunnel is a loopback address too:
// an end that cannot have been read on this clock meanwhile is of another host.
func (s *Status) settle(local bool, sent, received time.Duration) {
	certain := time.Duration(s.ExpiresInMs) * time.Millisecond
	end := time.Duration(s.ExpiresBoottimeMs) * time.Millisecond
	s.until = sent + certain
	if local && end > s.until && end <= received+certain+time.Millisecond { // durations are rounded down
		s.until = end
	}
}

// Ask says what is wanted of an answer. The zero Ask is answered at once.
type Ask struct {
	Wait  time.Duration // how long the elector may wait with its answer for what is asked for
	After string        // of Status: what the caller has seen, Position of it; the answer comes when there is something newer
	Max   time.Duration // the longest promise wanted; 0: as long as there is
}

// Position names a state among all, for Ask.After.
func (s *Status) Position() string { return position(s.Incarnation, s.Seq) }

func (a Ask) query() url.Values {
	q := url.Values{}
	if a.Wait > 0 || a.After != "" {
		q.Set("wait", a.Wait.String())
	}
	if a.After != "" {
		q.Set("after", a.After)
	}
	if a.Max > 0 {
		q.Set("max", a.Max.String())
	}
	return q
}

// slack is the time that an exchange may take beyond the wait that it asks for. A frozen elector keeps its
// connections, and a host that has gone does not close them.
const slack = 10 * time.Second

// Status asks for all that the elector knows. It blocks for ask.Wait and ten seconds at most if it is to wait; else
// until ctx ends.
func (c *Client) Status(ctx context.Context, ask Ask) (*Status, error) {
	return c.status(ctx, "/status", ask, http.StatusOK)
}

// Leader asks whether the elector leads; Status.Certain says for how long. With ask.Wait the answer comes as soon as
// it does. It blocks as Status does.
func (c *Client) Leader(ctx context.Context, ask Ask) (*Status, error) {
	return c.status(ctx, "/leader", ask, http.StatusOK, http.StatusServiceUnavailable)
}

func (c *Client) status(ctx context.Context, path string, ask Ask, accepted ...int) (*Status, error) {
	if ask.Wait > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, ask.Wait+slack)
		defer cancel()
	}
	s := &Status{}
	sent, err := c.call(ctx, request{method: http.MethodGet, path: path, query: ask.query()}, s, accepted...)
	if err != nil {
		return nil, err
	}
	s.settle(c.local, sent, boottime.Now())
	return s, nil
}

// Probe asks a path for its status line, as a probe does: true for 200, false for 503. It is promised
// nothing.
func (c *Client) Probe(ctx context.Context, path string) (bool, error) {
	resp, _, err := c.send(ctx, request{method: http.MethodHead, path: path})
	if err != nil {
		return false, err
	}
	_ = resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
		return true, nil
	case http.StatusServiceUnavailable:
		return false, nil
	}
	return false, failureOf(resp.StatusCode, nil)
}

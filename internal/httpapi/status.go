package httpapi

import (
	"net/http"
	"strconv"
	"time"

	"github.com/elector-dev/elector/internal/election"
)

// Status is the body of the role routes, of /status and of each of /events: what the elector is at the
// instant of the answer. All fields are always there. Durations are in milliseconds and rounded down, so
// that an expiry never says more than is certain. Times are RFC 3339 in UTC by the host's wall clock: for
// people, not for deciding.
type Status struct {
	// Election is "<namespace>/<name>".
	Election string `json:"election"`
	// Identity names this elector among the candidates.
	Identity string `json:"identity"`
	// State is connecting, follower, verifying, leader, stepping-down, ineligible or fenced. It is
	// leader only while Leading.
	State string `json:"state"`
	// Leading is the answer: whether this elector leads at this instant.
	Leading bool `json:"leading"`
	// Token is the fencing token of the own term; 0 when not leading.
	Token int64 `json:"token"`
	// ExpiresInMs is how long the yes is certain, counted from when the request was sent; 0 for a no.
	// It can be 0 in a yes, in the last millisecond: such a yes is over on arrival. So is, by this
	// count, one that was waited for or streamed; its end is ExpiresBoottimeMs.
	ExpiresInMs int64 `json:"expires_in_ms"`
	// ExpiresBoottimeMs is the same end on this host's CLOCK_BOOTTIME; 0 for a no.
	ExpiresBoottimeMs int64 `json:"expires_boottime_ms"`
	// Leader is who leads, as far as this elector knows.
	Leader LeaderStatus `json:"leader"`
	// Lease is the etcd lease of the current session.
	Lease LeaseStatus `json:"lease"`
	// Registered: the own key stands in the queue.
	Registered bool `json:"registered"`
	// Eligible: nothing stands against a candidacy: no check, no drain, no missing hold, no rest after a term, no fence.
	Eligible bool `json:"eligible"`
	// IneligibleReason is what does, for people; empty while Eligible.
	IneligibleReason string `json:"ineligible_reason"`
	// Connected: etcd has answered lately. Without contact the leader is not known.
	Connected bool `json:"connected"`
	// Refusal is what etcd refuses this elector, or will when it next connects, and what to do about it: the sentence
	// of the log. Empty while it refuses nothing.
	Refusal string `json:"refusal"`
	// Cause says why State was entered; empty at the start.
	Cause string `json:"cause"`
	// Since is when State was entered.
	Since time.Time `json:"since"`
	// Seq counts the states of this process, changes of the observed leader included.
	Seq uint64 `json:"seq"`
	// Incarnation is random per process: a Seq of another incarnation does not compare.
	Incarnation string `json:"incarnation"`
	// ValueRevision is the revision of the fleet's shared value as it may be shown now; 0 when there
	// is none.
	ValueRevision int64 `json:"value_revision"`
}

// LeaderStatus is the leader as this elector knows it.
type LeaderStatus struct {
	// Identity is empty when nobody leads or the leader is not known. It is the own identity only
	// while this elector is leading.
	Identity string `json:"identity"`
	// Token is the leader's fencing token; 0 when unknown.
	Token int64 `json:"token"`
	// Since is when this elector first saw this leader; null when unknown.
	Since *time.Time `json:"since"`
}

// LeaseStatus is a lease in etcd.
type LeaseStatus struct {
	// ID is in hexadecimal, as etcdctl shows it; empty without a lease.
	ID string `json:"id"`
	// TTLMs is the time to live that etcd granted; 0 without a lease.
	TTLMs int64 `json:"ttl_ms"`
	// SinceRenewalMs is how long ago the newest acknowledged keep-alive was sent; 0 before the first.
	SinceRenewalMs int64 `json:"since_renewal_ms"`
}

// status says all that the elector knows. With wait it does so as soon as there is a state newer than the
// one that the request knows, which is the present one if it names none, or when the time is up.
func (a *API) status(w http.ResponseWriter, r *http.Request, q query) {
	if statusOnly(r) {
		w.WriteHeader(http.StatusOK)
		return
	}
	known := q.after
	if known == (position{}) {
		present, _ := a.elector.Watch()
		known = position{a.self.Incarnation, present.Seq}
	}
	newer := func(s election.State) bool { return known.incarnation != a.self.Incarnation || s.Seq > known.seq }
	if !a.await(w, r, q, newer) {
		return
	}
	a.tell(w, http.StatusOK, a.elector.Answer(a.limit(q)))
}

// tell writes an answer, which must come from Answer and not from Look, since its yes is a promise. This is what
// workers ask for all day long, so it allocates nothing of its own.
func (a *API) tell(w http.ResponseWriter, status int, answer election.Answer) {
	f := a.formOf(&answer)
	buffer := a.bodies.Get().(*[]byte)
	defer a.bodies.Put(buffer)
	body, digits := f.fill((*buffer)[:0], &answer)
	body = append(body, '\n')
	*buffer = body
	h := w.Header()
	h["Content-Type"], h["Content-Length"] = jsonType, f.lengths[digits]
	if answer.Leading {
		h["Elector-Token"], h["Elector-Expires-In-Ms"] = f.token, a.expiry(answer.ExpiresIn)
	}
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// expiry is the value of a header; most promises are of the longest.
func (a *API) expiry(d time.Duration) []string {
	if d == a.longest {
		return a.longestText
	}
	return []string{strconv.FormatInt(d.Milliseconds(), 10)}
}

// attest puts a yes into the headers, for readers that do not parse JSON.
func attest(h http.Header, answer election.Answer) {
	if answer.Leading {
		h.Set("Elector-Token", strconv.FormatInt(answer.Token, 10))
		h.Set("Elector-Expires-In-Ms", strconv.FormatInt(answer.ExpiresIn.Milliseconds(), 10))
	}
}

// Encode is the body of /status for an answer, without a newline: for files, which tell the same.
func (a *API) Encode(answer election.Answer) []byte {
	body, _ := a.formOf(&answer).fill(nil, &answer)
	return body
}

func (a *API) body(answer election.Answer) Status {
	s := a.self
	s.State, s.Cause = string(answer.Phase), string(answer.Cause)
	s.Leading, s.Token = answer.Leading, answer.Token
	s.ExpiresInMs = answer.ExpiresIn.Milliseconds()
	s.ExpiresBoottimeMs = time.Duration(answer.ExpiresAt).Milliseconds()
	s.Leader = a.named(answer)
	if answer.Value != nil {
		s.ValueRevision = answer.Value.Revision
	}
	if answer.Lease != 0 {
		s.Lease.ID = answer.Lease.String()
	}
	s.Lease.TTLMs = answer.LeaseTTL.Milliseconds()
	s.Lease.SinceRenewalMs = answer.SinceRenewal.Milliseconds()
	s.Registered, s.Connected = answer.Registered, answer.Connected
	s.Eligible, s.IneligibleReason = answer.Eligible(), reason(answer.State)
	s.Refusal = clean(answer.Refusal)
	s.Since, s.Seq = wall(answer.Since), answer.Seq
	return s
}

// reason is why an elector may not campaign; empty when it may.
func reason(s election.State) string {
	switch {
	case s.Bar.Cause != election.CauseNone:
		return clean(s.Bar.Why)
	case s.Phase == election.Fenced:
		return "fenced: etcd went back in time"
	case s.Phase == election.Ineligible:
		return "rests before it campaigns again" // the cause may have changed since it began to
	}
	return ""
}

// named is the leader as it may be told. While this elector does not lead, an identity that would read
// like its own is not told: readers compare it with their own name and take a match for a yes.
func (a *API) named(answer election.Answer) LeaderStatus {
	name := clean(answer.Leader.Identity)
	if answer.Leader == (election.Candidate{}) || !answer.Leading && name == a.self.Identity {
		return LeaderStatus{}
	}
	since := wall(answer.LeaderFrom)
	return LeaderStatus{Identity: name, Token: answer.Leader.Token, Since: &since}
}

// wall is a time as bodies show it.
func wall(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

// oldStatus is the body of "/": what the old Kubernetes sidecar said (name), what nais/elector added
// (last_update), and what makes it safe to act on.
type oldStatus struct {
	// Name is the leader's identity; empty when nobody leads or the leader is not known. A reader
	// that finds its own name here takes it for a yes, so it is told only while leading.
	Name string `json:"name"`
	// LastUpdate is when this elector first saw that leader, or, while none is named, when it
	// entered its state: RFC 3339, whole seconds, UTC.
	LastUpdate string `json:"last_update"`
	// IsLeader is whether this elector leads at this instant.
	IsLeader bool `json:"is_leader"`
	// ExpiresInMs is as in Status.
	ExpiresInMs int64 `json:"expires_in_ms"`
}

// oldContract answers every method with 200 and who leads, in one compact object without a newline, as
// the old sidecar did. HEAD and OPTIONS, which health checks use, get the status line: a body would
// promise.
func (a *API) oldContract(w http.ResponseWriter, r *http.Request, _ query) {
	if statusOnly(r) {
		w.WriteHeader(http.StatusOK)
		return
	}
	answer := a.elector.Answer(a.elector.AnswerMax())
	body := encode(a.oldBody(answer))
	attest(w.Header(), answer)
	write(w, http.StatusOK, body)
}

func (a *API) oldBody(answer election.Answer) oldStatus {
	leader, update := a.named(answer), answer.Since
	if leader.Since != nil {
		update = *leader.Since
	}
	return oldStatus{
		Name:        leader.Identity,
		LastUpdate:  update.UTC().Format(time.RFC3339),
		IsLeader:    answer.Leading,
		ExpiresInMs: answer.ExpiresIn.Milliseconds(),
	}
}

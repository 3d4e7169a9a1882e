package httpapi

import (
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/elector-dev/elector/internal/election"
)

// anyAnswer is an answer as no elector may ever give it, for what writes it down has to bear it all the same.
func anyAnswer(r *rand.Rand) election.Answer {
	pick := func(from ...string) string { return from[r.IntN(len(from))] }
	name := func() string {
		return pick("", "a", `"expires_in_ms":0,"expires_boottime_ms":0,`, `\"since_renewal_ms":0}`, "\xff", "<&>\u2028", "ä\n")
	}
	number := func() int64 { return []int64{0, 1, -1, 999, 1 << 40, 1<<63 - 1, -1 << 63}[r.IntN(7)] }
	a := election.Answer{
		State: election.State{
			Seq: uint64(r.IntN(3)), Phase: election.Phases[r.IntN(len(election.Phases))], Cause: election.Cause(pick("", "won", "resigned")),
			Since: time.Unix(int64(r.IntN(2)), 0), Token: number(), Registered: r.IntN(2) == 0, Lease: election.LeaseID(number()),
			LeaseTTL: time.Duration(number()), Leader: election.Candidate{Identity: name(), Token: number()}, LeaderFrom: time.Unix(int64(r.IntN(2)), 0),
			Bar: election.Bar{Cause: election.Cause(pick("", "drained")), Why: name()},
		},
		At: election.Instant(number()), Leading: r.IntN(2) == 0, Connected: r.IntN(2) == 0,
		ExpiresIn: time.Duration(number()), ExpiresAt: election.Instant(number()), SinceRenewal: time.Duration(number()),
	}
	if r.IntN(3) == 0 {
		a.Value = &election.Value{Revision: number()}
	}
	return a
}

func TestTheFormSaysWhatTheBodySays(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	e := &scripted{identity: `me","expires_in_ms":0,"expires_boottime_ms":0,`}
	a := newAPI(e)
	h := a.Main()
	for range 5000 {
		if r.IntN(2) == 0 { // else it is the state of before, with other times
			e.now = anyAnswer(r)
		}
		e.now.ExpiresIn, e.now.SinceRenewal = time.Duration(r.Int64()), time.Duration(r.Int64N(1e10))
		if got, want := string(a.Encode(e.now)), string(encode(a.body(e.now))); got != want {
			t.Fatalf("seed %d: %+v:\n%s\nis not\n%s", seed, e.now, got, want)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/leader", nil))
		if want := string(encode(a.body(e.now))) + "\n"; w.Body.String() != want || w.Header().Get("Content-Length") != strconv.Itoa(len(want)) {
			t.Fatalf("seed %d: %+v:\n%v\n%s\nis not\n%s", seed, e.now, w.Header(), w.Body, want)
		}
	}
}

// bin takes an answer as net/http does, with a header that is used again.
type bin struct{ header http.Header }

func (b *bin) Header() http.Header            { return b.header }
func (b *bin) Write(body []byte) (int, error) { return len(body), nil }
func (b *bin) WriteHeader(int)                {}

// It is 0 but under the race detector, which empties pools now and then. An answer that is encoded takes a dozen.
const mostAllocations = 2

func TestAnAnswerAllocatesNextToNothing(t *testing.T) {
	for path, e := range map[string]*scripted{"/leader": leading(), "/follower": leading(), "/status": leading()} {
		e.now.ExpiresIn = e.AnswerMax()
		h, w := newAPI(e).Main(), &bin{http.Header{}}
		r := httptest.NewRequest(http.MethodGet, path, nil)
		n := testing.AllocsPerRun(2000, func() {
			e.now.ExpiresAt += election.Instant(time.Millisecond) // which is what moves
			h.ServeHTTP(w, r)
		})
		if n > mostAllocations {
			t.Errorf("%s: %v allocations for each answer, more than %d", path, n, mostAllocations)
		}
		t.Logf("%s: %v", path, n)
	}
}

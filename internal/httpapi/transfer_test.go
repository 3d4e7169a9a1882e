package httpapi

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/elector-dev/elector/internal/election"
)

// say sends a verb with a body and returns the answer and how long it took.
func say(e Elector, path, body string) (*httptest.ResponseRecorder, time.Duration) {
	asked := time.Now()
	rec := order{method: http.MethodPost, path: path, header: map[string]string{"Content-Type": "application/json", "Elector-Request": "1"}, body: body}.send(newAPI(e).Main())
	return rec, time.Since(asked)
}

func TestTransferIsAnsweredAtOnceOrWhenAnotherLeads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		a, b := f.pair()
		c := f.join("c")
		c.await("following", follows)
		a.get("/leader") // promised for 2 s
		rec, took := say(a, "/transfer", `{"to":"c"}`)
		if rec.Code != http.StatusAccepted || took > time.Second || !strings.HasPrefix(rec.Body.String(), `{"to":"c","token":`) {
			t.Errorf("after %v: %d %s", took, rec.Code, rec.Body)
		}
		if now := a.Look(); now.Leading || now.Cause != election.CauseTransferred {
			t.Errorf("after it: %+v", now)
		}
		c.await("leading", leads)
		synctest.Wait() // until b, which was passed over, knows that its key has gone
		b.await("standing again", stands)
		c.get("/leader")
		rec, took = say(c, "/transfer?wait=1m", `{"to":"b"}`)
		if rec.Code != http.StatusOK || took < 2*time.Second || took > 3*time.Second ||
			!strings.Contains(rec.Body.String(), `"transferred":true,"leader":{"identity":"b"`) {
			t.Errorf("after %v: %d %s", took, rec.Code, rec.Body)
		}
	})
}

func TestTransferTellsWhoLeadsInTheEnd(t *testing.T) {
	for name, c := range map[string]struct {
		meanwhile func(f *fleet, b *member)
		says      string
	}{
		"the other has gone, and nobody else is there":    {func(_ *fleet, b *member) { b.stop() }, `"transferred":false,"leader":{"identity":"a"`},
		"the other has lost its place, and has come back": {func(f *fleet, b *member) { f.cluster.Revoke(b.Look().Lease) }, `"transferred":true,"leader":{"identity":"b"`},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t)
				a, b := f.pair()
				a.get("/leader") // promised for 2 s
				go func() {
					time.Sleep(time.Second) // of the bubble's time
					c.meanwhile(f, b)
				}()
				if rec, _ := say(a, "/transfer?wait=1m", `{"to":"b"}`); rec.Code != http.StatusOK || !strings.Contains(rec.Body.String(), c.says) {
					t.Errorf("%d %s", rec.Code, rec.Body)
				}
			})
		})
	}
}

func TestTransferThatCannotBeSaysWhy(t *testing.T) {
	for _, c := range []struct {
		e      *scripted
		err    error
		body   string
		status int
		says   string
	}{
		{following(), election.ErrNotLeading, `{"to":"b"}`, 409, `"leader":{`},
		{leading(), election.ErrTokenMismatch, `{"to":"b"}`, 412, "token"},
		{leading(), election.ErrNotStanding, `{"to":"b"}`, 404, "/candidates"},
		{leading(), election.ErrTooFarBack, `{"to":"b"}`, 412, "127"},
		{leading(), election.ErrForeignBetween, `{"to":"b"}`, 412, "no elector"},
		{leading(), election.ErrNoSession, `{"to":"b"}`, 503, "session"},
		{leading(), errors.New("etcd is away"), `{"to":"b"}`, 503, "not known"},
		{leading(), nil, "", 400, "to whom"},
		{leading(), nil, `{}`, 400, "to whom"},
		{leading(), nil, `{"to":""}`, 400, "to whom"},
		{leading(), nil, `{"to":"b","now":true}`, 400, "now"},
		{leading(), nil, strings.Repeat("x", maxOrder+1), 413, "too long"},
	} {
		c.e.err = c.err
		rec, _ := say(c.e, "/transfer", c.body)
		if rec.Code != c.status || !strings.Contains(rec.Body.String(), c.says) {
			t.Errorf("%q, %v: %d %s", c.body[:min(len(c.body), 40)], c.err, rec.Code, rec.Body)
		}
	}
}

func TestDrainedElectorIsOutUntilItIsUndrained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newFleet(t).pair()
		a.get("/leader") // promised for 2 s
		rec, took := say(a, "/drain", `{"reason":"kernel update"}`)
		if rec.Code != http.StatusOK || rec.Body.String() != "{\"drained\":true,\"released\":true}\n" || took < 2*time.Second || took > 3*time.Second {
			t.Errorf("after %v: %d %s", took, rec.Code, rec.Body)
		}
		b.await("leading", leads)
		if _, body := a.get("/status"); !strings.Contains(body, `"eligible":false,"ineligible_reason":"kernel update"`) || !strings.Contains(body, `"cause":"drained"`) {
			t.Errorf("drained: %s", body)
		}
		rec, _ = say(a, "/undrain", "")
		if rec.Code != http.StatusOK || !strings.HasPrefix(rec.Body.String(), `{"drained":false`) {
			t.Errorf("undrained: %d %s", rec.Code, rec.Body)
		}
		if now := a.await("standing again", stands); now.Bar != (election.Bar{}) {
			t.Errorf("undrained: %+v", now)
		}
	})
}

// A follower's key stands until its session has been closed, though it has said ineligible before.
func TestDrainedFollowerIsReleasedWhenItsKeyHasGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, b := newFleet(t).pair()
		for _, path := range []string{"/drain", "/drain"} { // the second finds it gone
			rec, _ := say(b, path, "")
			if now, _ := b.Watch(); rec.Body.String() != "{\"drained\":true,\"released\":true}\n" || now.Registered {
				t.Errorf("%d %s, registered: %v", rec.Code, rec.Body, now.Registered)
			}
		}
	})
}

func TestDrainThatIsNotKeptSaysSo(t *testing.T) {
	for path, says := range map[string]string{"/drain": "drained for this process only", "/undrain": "undrained for this process only"} {
		e := following()
		e.err = errors.Join(ErrNotKept, errors.New("disk full"))
		if rec, _ := say(e, path, ""); rec.Code != 503 || !strings.Contains(rec.Body.String(), says) || !strings.Contains(rec.Body.String(), "disk full") {
			t.Errorf("%s: %d %s", path, rec.Code, rec.Body)
		}
		e.err = context.DeadlineExceeded
		if rec, _ := say(e, path, ""); rec.Code != 503 || !strings.Contains(rec.Body.String(), "ask again") {
			t.Errorf("%s: %d %s", path, rec.Code, rec.Body)
		}
	}
	if rec, _ := say(following(), "/drain", `{"reason":"`+strings.Repeat("x", maxReason+1)+`"}`); rec.Code != 400 {
		t.Errorf("a reason too long: %d %s", rec.Code, rec.Body)
	}
}

func TestStatusSaysWhyAnElectorMayNotCampaign(t *testing.T) {
	for _, c := range []struct {
		state    election.State
		eligible bool
		why      string
	}{
		{election.State{Phase: election.Follower}, true, ""},
		{election.State{Phase: election.SteppingDown, Cause: election.CauseResigned}, true, ""},
		{election.State{Phase: election.SteppingDown, Bar: election.Bar{Cause: election.CauseDrained, Why: "drained: \xff"}}, false, "drained: \ufffd"},
		{election.State{Phase: election.Ineligible, Cause: election.CauseVetoed}, false, "rests before it campaigns again"},
		{election.State{Phase: election.Fenced}, false, "fenced: etcd went back in time"},
	} {
		s := newAPI(following()).body(election.Answer{State: c.state})
		if s.Eligible != c.eligible || s.IneligibleReason != c.why {
			t.Errorf("%+v: %v, %q", c.state, s.Eligible, s.IneligibleReason)
		}
	}
}

package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/elector-dev/elector/internal/election"
	"github.com/elector-dev/elector/internal/electiontest"
)

// put publishes a value through a member that leads.
func (m *member) put(text string) *election.Value {
	m.t.Helper()
	v, err := m.PutValue(m.t.Context(), election.ValuePut{Bytes: []byte(text), ContentType: "text/plain", Token: m.Look().Token})
	if err != nil {
		m.t.Fatal(err)
	}
	return v
}

func TestValueIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newFleet(t).pair()
		first, changed := b.inBackground("/value?wait=1m&after=0"), b.inBackground("/value?wait=1m")
		v := a.put("one")
		for _, got := range []answered{<-first, <-changed} {
			if got.status != http.StatusOK || got.body != "one" || got.after >= time.Second {
				t.Errorf("%+v", got)
			}
		}
		if got := <-b.inBackground("/value?wait=1m&after=0"); got.body != "one" || got.after != 0 {
			t.Errorf("there is one already: %+v", got)
		}
		known := b.inBackground("/value?wait=1m&after=" + strings.Trim(etag(v.Revision), `"`))
		time.Sleep(30 * time.Second)
		a.put("two")
		if got := <-known; got.body != "two" || got.after < 30*time.Second {
			t.Errorf("%+v", got)
		}
		gone := b.inBackground("/value?wait=1m")
		a.resign()
		if got := <-gone; got.status != http.StatusNotFound || got.after >= time.Minute {
			t.Errorf("the term is over: %+v", got)
		}
	})
}

// resignOver asks for a resignation over HTTP and returns the answer and how long it took.
func resignOver(m *member, header ...string) (*httptest.ResponseRecorder, time.Duration) {
	h := map[string]string{"Content-Type": "application/json"}
	for i := 0; i < len(header); i += 2 {
		h[header[i]] = header[i+1]
	}
	asked := time.Now()
	rec := order{method: http.MethodPost, path: "/resign", header: h}.send(newAPI(m).Main())
	return rec, time.Since(asked)
}

func TestResignationIsAnsweredWhenTheKeyHasGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newFleet(t).pair()
		token := a.Look().Token
		a.get("/leader") // promised for 2 s
		rec, took := resignOver(a)
		if rec.Code != http.StatusOK || !strings.Contains(rec.Body.String(), `"released":true`) || took < 2*time.Second || took > 3*time.Second {
			t.Errorf("after %v: %d %s", took, rec.Code, rec.Body)
		}
		next := b.await("leading", leads)
		a.await("standing again", stands)
		b.get("/leader")
		rec, _ = resignOver(b, "Elector-Token", etag(token)[1:len(etag(token))-1])
		if rec.Code != http.StatusPreconditionFailed {
			t.Errorf("with the token of the term before: %d %s", rec.Code, rec.Body)
		}
		word := strings.Trim(etag(next.Token), `"`)
		rec, took = resignOver(b, "Elector-Token", word)
		if rec.Code != http.StatusOK || took >= time.Second {
			t.Errorf("with its worker's word after %v: %d %s", took, rec.Code, rec.Body)
		}
		a.await("leading again", leads)
		b.await("seeing it", func(now election.Answer) bool { return now.Leader.Identity == "a" })
		if rec, _ = resignOver(b); rec.Code != http.StatusConflict || !strings.Contains(rec.Body.String(), `"identity":"a"`) {
			t.Errorf("a follower: %d %s", rec.Code, rec.Body)
		}
	})
}

// What etcd does not answer is not known to have gone: not when the session has ended either, whose end does not
// wait for etcd.
func TestKeyIsNotSaidToHaveGoneWhileEtcdIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		a := f.join("a")
		token := a.await("leading", leads).Token
		f.cluster.Inject(func(string, string) electiontest.Fault { return electiontest.BeforeApply })
		rec, _ := resignOver(a)
		want := fmt.Sprintf("{\"resigned\":true,\"released\":false,\"token\":%d}\n", token)
		if !f.cluster.Stands(token) || rec.Code != http.StatusOK || rec.Body.String() != want {
			t.Errorf("the key stands: %v; %d %s", f.cluster.Stands(token), rec.Code, rec.Body)
		}
	})
}

// mute is an elector whose loop and etcd answer nobody.
type mute struct{ *scripted }

func (mute) Candidates(ctx context.Context) (election.Queue, error) {
	<-ctx.Done()
	return election.Queue{}, ctx.Err()
}

func (mute) PutValue(ctx context.Context, _ election.ValuePut) (*election.Value, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func (mute) Resign(ctx context.Context, _ election.Resignation) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestWhoeverAsksIsAnsweredThoughEtcdIsNot(t *testing.T) {
	for _, o := range []order{
		{method: http.MethodGet, path: "/candidates"},
		{method: http.MethodPut, path: "/value", header: map[string]string{"Elector-Token": "4242"}},
		{method: http.MethodPost, path: "/resign", header: map[string]string{"Elector-Request": "1"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			rec := o.send(newAPI(mute{leading()}).Main())
			if rec.Code != http.StatusServiceUnavailable || !strings.Contains(rec.Body.String(), `"hint":"`) {
				t.Errorf("%s: %d %s", o.path, rec.Code, rec.Body)
			}
		})
	}
}

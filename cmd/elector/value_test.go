package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/elector-dev/elector/internal/client"
	"github.com/elector-dev/elector/internal/devetcd"
)

// ask is a client of the elector.
func (p *process) ask() *client.Client {
	p.t.Helper()
	c, err := client.New(p.addr)
	must(p.t, err)
	p.t.Cleanup(c.Close)
	return c
}

// shows waits until the elector shows a value and returns it.
func (p *process) shows(text string) *client.Value {
	p.t.Helper()
	c := p.ask()
	for limit := time.Now().Add(patience); time.Now().Before(limit); pause(p.t) {
		v, err := c.Value(p.t.Context())
		if err == nil && string(v.Bytes) == text || text == "" && errors.Is(err, client.ErrNoValue) {
			return v
		}
	}
	p.t.Fatalf("%s never shows %q", p.id, text)
	return nil
}

func TestValueIsSharedByTheFleetWhileItsTermLasts(t *testing.T) {
	e := startEtcd(t, devetcd.Options{})
	fleet := e.fleetOf(t, 3)
	first, yes := leader(t, fleet...)
	rest := others(fleet, first)
	var late []time.Duration
	for i := range 20 {
		text := fmt.Sprintf("value %d", i)
		seen := make(chan time.Time, len(rest))
		known := fmt.Sprint(first.get("/status").ValueRevision)
		for _, p := range rest {
			go func() {
				resp, err := p.http.Get("http://" + p.addr + "/value?wait=4s&after=" + known)
				if err == nil {
					resp.Body.Close()
				}
				seen <- time.Now()
			}()
		}
		at := time.Now()
		_, err := first.ask().PutValue(t.Context(), client.Value{Bytes: []byte(text), Token: yes.Token})
		must(t, err)
		for range rest {
			late = append(late, (<-seen).Sub(at))
		}
		for _, p := range fleet {
			if v := p.shows(text); v.Token != yes.Token {
				t.Errorf("%s shows the value with token %d, of a term with %d", p.id, v.Token, yes.Token)
			}
		}
	}
	slices.Sort(late)
	t.Logf("from before PUT to the others' long polls: median %v, worst %v", late[len(late)/2], late[len(late)-1])

	// It moves with the key when etcd's leader changes, and outlives the lease that it was put on.
	before := first.get("/status").Lease.ID
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	l, err := e.Leader(ctx)
	must(t, err)
	must(t, e.MoveLeader(ctx, (l+1)%3))
	first.await("a new lease", "/status", func(a answer) bool { return leads(a) && a.Lease.ID != before })
	for limit := time.Now().Add(ttl + 2*time.Second); time.Now().Before(limit); pause(t) {
		for _, p := range fleet {
			if a := p.get("/status"); a.Leader.Token == yes.Token && a.ValueRevision == 0 {
				t.Fatalf("%s lost the value in its term: %+v", p.id, a)
			}
		}
	}
	if _, now := leader(t, fleet...); now.Token != yes.Token {
		t.Fatalf("token %d became %d", yes.Token, now.Token)
	}

	// It goes with its term.
	_, err = first.ask().Resign(t.Context(), yes.Token, time.Minute)
	must(t, err)
	_, next := leader(t, rest...)
	for _, p := range fleet {
		p.shows("")
	}
	if found, err := e.client.Get(t.Context(), "/elector/default/e2e#value"); err != nil || found.Count != 0 {
		t.Errorf("the value's key is left behind: %v, %v", found, err)
	}
	t.Logf("token %d after %d", next.Token, yes.Token)
}

func TestLatePutOfADeposedLeaderIsRefused(t *testing.T) {
	e := startEtcd(t, devetcd.Options{})
	fleet := e.fleetOf(t, 2)
	first, yes := leader(t, fleet...)
	must(t, first.Pause())
	second, next := leader(t, others(fleet, first)...)
	_, err := second.ask().PutValue(t.Context(), client.Value{Bytes: []byte("new"), Token: next.Token})
	must(t, err)
	put := make(chan error, 1)
	go func() { // it waits in the frozen process's socket
		_, err := first.ask().PutValue(context.Background(), client.Value{Bytes: []byte("old"), Token: yes.Token})
		put <- err
	}()
	must(t, first.Resume())
	var refused *client.StatusError
	if err := <-put; !errors.As(err, &refused) || refused.Code != http.StatusConflict && refused.Code != http.StatusPreconditionFailed {
		t.Errorf("the late PUT: %v", err)
	}
	first.await("following", "/status", follows)
	for _, p := range fleet {
		if v := p.shows("new"); v.Token != next.Token {
			t.Errorf("%s shows %+v", p.id, v)
		}
	}
}

func TestFirstValueIsPublishedInEachTerm(t *testing.T) {
	e := startEtcd(t, devetcd.Options{})
	var fleet []*process
	for _, id := range []string{"w1", "w2"} {
		fleet = append(fleet, e.start(t, id, "--value", "at "+id))
	}
	for range 2 {
		l, yes := leader(t, fleet...)
		for _, p := range fleet {
			p.await("following", "/status", func(a answer) bool { return a.Leader.Identity == l.id })
			if v := p.shows("at " + l.id); v.Token != yes.Token || v.ContentType != "text/plain; charset=utf-8" {
				t.Errorf("%s shows %+v", p.id, v)
			}
		}
		_, err := l.ask().Resign(t.Context(), yes.Token, 0)
		must(t, err)
	}
}

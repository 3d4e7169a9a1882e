package main

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/elector-dev/elector/internal/boottime"
)

// witness polls a fleet all the time and watches the keys in etcd, and at the end compares the two.
type witness struct {
	t       *testing.T
	cancel  context.CancelFunc
	workers sync.WaitGroup

	mu   sync.Mutex              // guards the fields below
	yes  map[string][]answer     // by identity, in order
	gone map[int64]time.Duration // when a key's deletion was seen, by token
	kept map[string]int64        // token by key
}

// observe starts a witness that judges when the test ends, or when judge is called.
func (e *etcd) observe(t *testing.T, fleet ...*process) *witness {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w := &witness{t: t, cancel: cancel, yes: map[string][]answer{}, gone: map[int64]time.Duration{}, kept: map[string]int64{}}
	const prefix = "/elector/default/e2e/"
	r, err := e.client.Get(ctx, prefix, clientv3.WithPrefix())
	must(t, err)
	for _, kv := range r.Kvs {
		w.kept[string(kv.Key)] = kv.CreateRevision
	}
	keys := e.client.Watch(ctx, prefix, clientv3.WithPrefix(), clientv3.WithRev(r.Header.Revision+1))
	w.workers.Go(func() {
		for r := range keys {
			w.see(r.Events)
		}
	})
	for _, p := range fleet {
		w.poll(ctx, p)
	}
	t.Cleanup(w.judge)
	return w
}

func (w *witness) see(events []*clientv3.Event) {
	now := boottime.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range events {
		key := string(e.Kv.Key)
		if e.Type == clientv3.EventTypeDelete {
			w.gone[w.kept[key]] = now
		} else {
			w.kept[key] = e.Kv.CreateRevision
		}
	}
}

func (w *witness) poll(ctx context.Context, p *process) {
	w.workers.Go(func() {
		for ctx.Err() == nil {
			if a := p.get("/leader"); leads(a) {
				w.mu.Lock()
				w.yes[p.id] = append(w.yes[p.id], a)
				w.mu.Unlock()
			}
			select {
			case <-time.After(2 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	})
}

// term is the time in which one elector is known to have said yes with one token: from when its first
// yes had come to when its last was asked for.
type term struct {
	id       string
	token    int64
	from, to time.Duration
}

// judge checks what was seen: never two terms at one instant, tokens that grow with time, and no
// promise that ended after its key was seen to go.
func (w *witness) judge() {
	w.t.Helper()
	w.cancel()
	w.workers.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	var terms []term
	answers := 0
	for id, yes := range w.yes {
		answers += len(yes)
		for _, a := range yes {
			if n := len(terms); n == 0 || terms[n-1].id != id || terms[n-1].token != a.Token {
				terms = append(terms, term{id, a.Token, a.received, a.sent})
			} else {
				terms[n-1].to = a.sent
			}
			end := time.Duration(a.ExpiresBoottimeMs) * time.Millisecond
			if gone, ok := w.gone[a.Token]; ok && end > gone {
				w.t.Errorf("%s promised until %v with token %d; the key was gone at %v", id, end, a.Token, gone)
			}
		}
	}
	w.yes = nil
	for i, x := range terms {
		for _, y := range terms[i+1:] {
			if x.from < y.to && y.from < x.to {
				w.t.Errorf("two yes at once: %+v and %+v", x, y)
			}
			if (x.from < y.from) != (x.token < y.token) {
				w.t.Errorf("tokens do not grow: %+v and %+v", x, y)
			}
		}
	}
	var told []string
	for _, x := range terms {
		told = append(told, x.id)
	}
	w.t.Logf("%d yes in %d terms (%s)", answers, len(terms), strings.Join(told, " "))
}

package rig

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// pollEvery is the pause between two questions where milliseconds are measured.
const pollEvery = 200 * time.Microsecond

// Fleet is the candidates of one election, all of one kind. It is for one goroutine.
type Fleet struct {
	Kind     Kind
	etcd     *Etcd
	Members  []*Member
	Behind   int // other candidates, which stand behind all of these
	election string
}

// NewFleet starts n candidates and returns when they stand in the queue and the first one leads.
func NewFleet(ctx context.Context, p Programs, k Kind, e *Etcd, election string, n int, ttl time.Duration, extra ...string) (*Fleet, error) {
	f := &Fleet{Kind: k, etcd: e, election: election}
	for i := range n {
		m, err := NewMember(p, k, fmt.Sprintf("member-%04d", i), election, e.Endpoints(), ttl, extra...)
		if err == nil {
			err = m.Start()
		}
		f.Members = append(f.Members, m)
		if err == nil && i%8 == 7 { // as many at once as the machine can start
			_, err = f.queue(ctx, i+1)
		}
		if err != nil {
			f.Close()
			return nil, err
		}
	}
	if _, err := f.Leader(ctx); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// Close kills the candidates and removes their keys.
func (f *Fleet) Close() {
	for _, m := range f.Members {
		m.Kill()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_, _ = f.etcd.Client.Delete(ctx, f.Members[0].Prefix(), clientv3.WithPrefix())
}

// queue waits until n candidates have keys and returns them in their order.
func (f *Fleet) queue(ctx context.Context, n int) ([]*Member, error) {
	for {
		r, err := f.etcd.Client.Get(ctx, f.Members[0].Prefix(), clientv3.WithPrefix(), clientv3.WithSort(clientv3.SortByCreateRevision, clientv3.SortAscend))
		f.etcd.own++
		if err != nil {
			return nil, err
		}
		if len(r.Kvs) == n+f.Behind {
			var order []*Member
			for _, kv := range r.Kvs {
				for _, m := range f.Members {
					if strings.Contains(string(kv.Value), m.ID) {
						order = append(order, m)
					}
				}
			}
			if len(order) == n {
				return order, nil
			}
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for %d of %s in the queue, now %d: %w", n, f.Kind, len(r.Kvs), context.Cause(ctx))
		case <-time.After(3 * time.Millisecond):
		}
	}
}

// Queue is the candidates in their order, when all have a key.
func (f *Fleet) Queue(ctx context.Context) ([]*Member, error) { return f.queue(ctx, len(f.Members)) }

// Leader waits until all stand in the queue and the first says that it leads.
func (f *Fleet) Leader(ctx context.Context) (*Member, error) {
	order, err := f.Queue(ctx)
	if err != nil {
		return nil, err
	}
	l := NewLine(order[0].Addr)
	defer l.Close()
	_, _, err = l.Await(ctx, "/leader", time.Millisecond, Yes)
	return order[0], err
}

// HandOver has the leader give the lead up by choice and returns the time from its first no to the next one's
// first yes, as pollers see it. Then the old leader has been started anew at the end of the queue. An elector resigns on
// the word that its worker has stopped; what knows no such thing is asked to end.
func (f *Fleet) HandOver(ctx context.Context) (time.Duration, error) {
	h, err := f.Handover(ctx)
	return h.Took, err
}

// Handover is one handover by choice.
type Handover struct {
	Took time.Duration // from the old one's first no to the next one's first yes
	Kept time.Duration // of that, from the first no until the key was seen to be gone
}

// Handover is HandOver with its parts.
func (f *Fleet) Handover(ctx context.Context) (h Handover, err error) {
	order, err := f.Queue(ctx)
	if err != nil {
		return h, err
	}
	watching, done := context.WithCancel(ctx)
	defer done()
	gone := make(chan time.Time, 1)
	events := f.etcd.Client.Watch(watching, f.Members[0].Prefix(), clientv3.WithPrefix(), clientv3.WithFilterPut(), clientv3.WithCreatedNotify())
	if r := <-events; !r.Created {
		return h, errors.New("the watch does not begin")
	}
	go func() {
		<-events // a deletion, or the end
		gone <- time.Now()
	}()
	old, next := NewLine(order[0].Addr), NewLine(order[1].Addr)
	defer old.Close()
	defer next.Close()
	_, body, err := old.Get("/leader")
	if err != nil {
		return h, err
	}
	if status, _, err := next.Get("/leader"); err != nil || status == 200 {
		return h, fmt.Errorf("%s before the handover: status %d, %w", order[1].ID, status, err)
	}
	no, yes := make(chan time.Time, 1), make(chan time.Time, 1)
	go func() { _, came, _ := old.Await(ctx, "/leader", pollEvery, No); no <- came }()
	go func() { _, came, _ := next.Await(ctx, "/leader", pollEvery, Yes); yes <- came }()
	switch f.Kind {
	case Elector:
		err = order[0].Resign(Token(body))
	default:
		err = order[0].Terminate()
	}
	from, to := <-no, <-yes
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		err = order[0].Stop(ctx)
	}
	if err == nil {
		err = order[0].Start()
	}
	if err != nil {
		return h, err
	}
	h.Took, h.Kept = to.Sub(from), max(0, (<-gone).Sub(from))
	_, err = f.Queue(ctx)
	return h, err
}

// Relay is a fleet of etcdctl: two processes, the second of which leads when the first is asked to end.
type Relay struct {
	etcd         *Etcd
	first, later *Member
}

// NewRelay starts both.
func NewRelay(ctx context.Context, p Programs, k Kind, e *Etcd, election string, ttl time.Duration) (*Relay, error) {
	r := &Relay{etcd: e}
	var err error
	if r.first, err = NewMember(p, k, "first", election, e.Endpoints(), ttl); err != nil {
		return nil, err
	}
	if r.later, err = NewMember(p, k, "later", election, e.Endpoints(), ttl); err != nil {
		return nil, err
	}
	if err = r.first.Start(); err != nil {
		return nil, err
	}
	if err = r.await(ctx, r.first.Leads); err == nil {
		err = r.line(ctx)
	}
	return r, err
}

// line has the second one stand in the queue.
func (r *Relay) line(ctx context.Context) error {
	if err := r.later.Start(); err != nil {
		return err
	}
	for {
		n, err := r.etcd.Client.Get(ctx, r.first.Prefix(), clientv3.WithPrefix(), clientv3.WithCountOnly())
		if err != nil || n.Count == 2 {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(3 * time.Millisecond):
		}
	}
}

func (r *Relay) await(ctx context.Context, leads <-chan time.Time) error {
	select {
	case <-leads:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// HandOver asks the leader to end and returns the time until the next one says that it leads.
func (r *Relay) HandOver(ctx context.Context) (time.Duration, error) {
	asked := time.Now()
	if err := r.first.Terminate(); err != nil {
		return 0, err
	}
	var took time.Duration
	select {
	case at := <-r.later.Leads:
		took = at.Sub(asked)
	case <-ctx.Done():
		return 0, fmt.Errorf("wait for %s: %w", r.later.Kind, context.Cause(ctx))
	}
	r.first.Kill() // its key has gone; the rest of its end takes a second
	r.first, r.later = r.later, r.first
	return took, r.line(ctx)
}

// Leader is the one that leads.
func (r *Relay) Leader() *Member { return r.first }

// Close kills both.
func (r *Relay) Close() { r.first.Kill(); r.later.Kill() }

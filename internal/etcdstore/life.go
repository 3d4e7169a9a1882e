package etcdstore

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/elector-dev/elector/internal/election"
)

// askForLife asks on the watch stream, which all watches of the session share, for a sign of life every
// third of a TTL. An endpoint that is silent is then left for another (see watched), so that the watch
// which is to report the leader's end is on a living member when that end comes. Where the keep-alives go by the
// same connection their answers are such signs, and it asks once a TTL; more often only where there is a value.
//
// It asks by watching a key that never exists: etcd acknowledges every watch. A request for progress
// would be answered only while no watch on the stream waits for a later revision than the store's
// (server/storage/mvcc/watchable_store.go, progressIfSync), which on a quiet etcd they all do.
//
// It is also how a candidate that only waits learns that its permission to read has been taken away: watches
// that stand go on, and keep-alives need at most the permission to write (since etcd 3.7,
// server/etcdserver/v3_server.go, checkLeaseRenew).
func (ss *session) askForLife() {
	if !ss.rest(rand.N(ss.req.TTL / 3)) { // those that began together need not ask together
		return
	}
	t := time.NewTicker(ss.req.TTL / 3)
	defer t.Stop()
	for n := 1; ; n++ {
		if ss.wantsLife(n) {
			ss.askOnce()
		}
		select {
		case <-ss.ctx.Done():
			return
		case <-t.C:
		}
	}
}

// wantsLife reports whether a sign of life is due at the n-th third of a TTL.
func (ss *session) wantsLife(n int) bool { return n%3 == 0 || ss.shares.Load() || !ss.oneConnection() }

func (ss *session) askOnce() {
	err := ss.askWatching(ss.key + "/never")
	if err != nil { // a watch does not say why its user is not let in
		_, err = ss.get(ss.store.nothing())
	}
	ss.refused.tell(ss, theElection, err)
	if !ss.shares.Load() {
		return
	}
	if err = ss.askWatching(ss.store.valueKey); err != nil {
		_, err = ss.read(clientv3.OpGet(ss.store.valueKey, clientv3.WithCountOnly()))
	}
	if err != nil {
		ss.refused.tell(ss, theValue, ss.store.wrapValue("read the value", err))
	} else if ss.refused.are(theValue) {
		ss.refused.tell(ss, theValue, ss.store.wrapValue("write the value", ss.tryKey(ss.store.valueKey)))
	}
}

// oneConnection reports whether the watches and the keep-alives go by the same connection. Whichever of them is left
// unanswered, both are then given up.
func (ss *session) oneConnection() bool {
	w, r := ss.watching.Load(), ss.renewing.Load()
	return w != nil && r != nil && w.conn() != "" && w.conn() == r.conn()
}

// errNoAnswer is returned by askWatching when no answer came in time; the stream's breaker deals with that.
var errNoAnswer = errors.New("no answer on the watch stream")

// askWatching begins to watch a key, and ends with the acknowledgement.
func (ss *session) askWatching(key string) error {
	ctx, cancel := context.WithTimeout(clientv3.WithRequireLeader(ss.ctx), ss.req.TTL/3)
	defer cancel()
	r, ok := <-ss.client.Watch(ctx, key, clientv3.WithCreatedNotify())
	if !ok {
		return errNoAnswer
	}
	return r.Err()
}

// tryKey asks for leave to read and write a key, and does neither: no key has been created before revision 0.
func (ss *session) tryKey(key string) error {
	ctx, cancel := context.WithTimeout(ss.ctx, ss.store.requestTimeout())
	defer cancel()
	_, err := ss.client.Txn(ctx).If(clientv3.Compare(clientv3.CreateRevision(key), "<", 0)).
		Then(clientv3.OpDelete(key)).Else(clientv3.OpGet(key)).Commit()
	return err
}

// What is refused besides the candidacy's own requests.
const (
	theElection = "election"
	theValue    = "value"
)

// refusals are what etcd refuses a session besides the requests whose errors go to the elector.
type refusals struct {
	mu  sync.Mutex // guards now, and orders the events
	now map[string]string
}

// tell takes the outcome of a request. A refusal that is news is logged and reported, and so is that it is over; an
// error of another kind says nothing of permission.
func (r *refusals) tell(ss *session, about string, err error) {
	why := ""
	switch {
	case errors.Is(err, election.ErrRefused):
		why = err.Error()
	case err != nil:
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.now[about] == why {
		return
	}
	if r.now == nil {
		r.now = make(map[string]string)
	}
	if r.now[about] = why; why == "" {
		delete(r.now, about)
	} else {
		ss.store.cfg.Logger.Error("etcd refuses an elector that is in contact; it goes on asking", "err", err)
	}
	all := slices.Sorted(maps.Values(r.now))
	ss.emit(election.Refused{Session: ss.req.Number, Why: strings.Join(all, "; ")})
}

// are reports whether something is refused.
func (r *refusals) are(about string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now[about] != ""
}

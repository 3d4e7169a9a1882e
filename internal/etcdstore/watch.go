package etcdstore

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/elector-dev/elector/internal/election"
)

// errWatchEnded stands for a watch that closed without saying why.
var errWatchEnded = errors.New("watch ended")

// watchPause is the longest pause before a watch that failed is taken up again.
const watchPause = 200 * time.Millisecond

// watchOwnKey reports every write to the own key and its deletion, from revision rev on. A watch that
// fails (compaction, a member without leader) is taken up after reading how the key stands.
func (ss *session) watchOwnKey(rev int64) {
	seen := false
	for ss.ctx.Err() == nil {
		err := ss.follow(rev, &seen)
		if err == nil || !ss.pause(err) {
			return
		}
		sent := ss.now()
		r, err := ss.get(clientv3.OpGet(ss.key))
		if err != nil {
			continue
		}
		switch {
		case len(r.Kvs) > 0:
			seen = true
			ss.emit(election.OwnKeyPut{Session: ss.req.Number, Key: ss.keyState(r.Kvs[0])})
		case seen:
			ss.emit(election.OwnKeyDeleted{Session: ss.req.Number})
			return
		}
		ss.emit(election.InTouch{Session: ss.req.Number, Sent: sent})
		rev = r.Header.Revision + 1
	}
}

// follow watches the own key until it is deleted, which gives nil, or the watch fails.
func (ss *session) follow(rev int64, seen *bool) error {
	return ss.watch(ss.key, func(e *clientv3.Event) bool {
		if e.Type == clientv3.EventTypeDelete {
			ss.emit(election.OwnKeyDeleted{Session: ss.req.Number})
			return true
		}
		*seen = true
		ss.emit(election.OwnKeyPut{Session: ss.req.Number, Key: ss.keyState(e.Kv)})
		return false
	}, clientv3.WithRev(rev))
}

// The time within which candidates that are not next in the queue look who leads now, for each that stands in it,
// and at most.
const (
	spreadEach = 2 * time.Millisecond
	spreadMost = 250 * time.Millisecond
)

// observe reports who owns the oldest key, and that nobody does. It reads linearizably and then
// watches the key that it found, or the whole election when it found none; whatever ends the watch,
// it reads again. When the oldest key goes, the next candidate reads at once. The others see the deletion at the
// same instant, and spread their reads, so that the one which is to lead does not stand in line behind them all.
func (ss *session) observe() {
	var deleted election.Instant
	var spread time.Duration
	for ss.ctx.Err() == nil {
		sent := ss.now()
		r, err := ss.get(ss.store.firstTwo())
		if err != nil {
			if !ss.pause(err) {
				return
			}
			continue
		}
		ev := election.Observed{
			Session: ss.req.Number, Reply: reply(sent, ss.now(), r.Header), Predecessor: deleted,
		}
		deleted = 0
		key, opts := ss.store.prefix+"/", []clientv3.OpOption{clientv3.WithPrefix(), clientv3.WithFilterDelete()}
		var value string
		if len(r.Kvs) > 0 {
			ev.Leader = candidate(r.Kvs[0])
			key, opts, value = string(r.Kvs[0].Key), nil, string(r.Kvs[0].Value)
		}
		ss.emit(ev)
		spread = spreadOf(r, ss.key)
		err = ss.watch(key, func(e *clientv3.Event) bool {
			if e.Type == clientv3.EventTypeDelete && key != ss.key {
				deleted = ss.now()
				if spread > 0 {
					ss.rest(rand.N(spread)) // the end of the watch is a request as well
				}
			}
			return e.Type == clientv3.EventTypeDelete || string(e.Kv.Value) != value
		}, append(opts, clientv3.WithRev(r.Header.Revision+1))...)
		if err != nil && !ss.pause(err) {
			return
		}
	}
}

// spreadOf is the time within which the candidate of a key looks who leads when the oldest key of a reading has gone:
// none if it stands next.
func spreadOf(firstTwo *clientv3.GetResponse, key string) time.Duration {
	if len(firstTwo.Kvs) > 1 && string(firstTwo.Kvs[1].Key) == key {
		return 0
	}
	return min(time.Duration(firstTwo.Count)*spreadEach, spreadMost)
}

// watch hands events to done until that says true, which gives nil, or the watch fails. The watch ends
// with this call and with the session. It requires a leader: a member that lost the quorum would
// otherwise keep it open and silent.
func (ss *session) watch(key string, done func(*clientv3.Event) bool, opts ...clientv3.OpOption) error {
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ss.ctx))
	defer cancel()
	for r := range ss.client.Watch(ctx, key, opts...) {
		if err := r.Err(); err != nil {
			return ss.store.wrap("watch the election", err)
		}
		for _, e := range r.Events {
			if done(e) {
				return nil
			}
		}
	}
	return errWatchEnded
}

// get reads with a deadline.
func (ss *session) get(op clientv3.Op) (*clientv3.GetResponse, error) {
	r, err := ss.read(op)
	return r, ss.store.wrap("read the election", err)
}

// read is get with etcd's own error.
func (ss *session) read(op clientv3.Op) (*clientv3.GetResponse, error) {
	ctx, cancel := context.WithTimeout(ss.ctx, ss.store.requestTimeout())
	defer cancel()
	r, err := ss.client.Do(ctx, op)
	if err != nil {
		return nil, err
	}
	return r.Get(), nil
}

// pause waits a little after an error, so that many watchers do not come back at once, and longer after
// a refusal, which a person has to lift. It reports whether the session goes on.
func (ss *session) pause(err error) bool {
	longest := watchPause
	if errors.Is(err, election.ErrRefused) {
		longest = ss.req.TTL / 2
	}
	return ss.rest(rand.N(longest))
}

// rest waits, and reports whether the session goes on.
func (ss *session) rest(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ss.ctx.Done():
		return false
	}
}

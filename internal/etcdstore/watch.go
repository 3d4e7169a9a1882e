package etcdstore

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/elector-dev/elector/internal/election"
)

// errWatchEnded stands for a watch that closed without saying why.
var errWatchEnded = errors.New("watch ended")

// watchPause is the longest pause before a watch that failed is taken up again. It doubles for each failure in a row: an
// etcd that is too slow to answer in time works all the same, and for many.
const watchPause = 200 * time.Millisecond

// watchOwnKey reports every write to the own key and its deletion, from revision rev on. A watch that
// fails (compaction, a member without leader) is taken up after reading how the key stands.
func (ss *session) watchOwnKey(rev int64) {
	seen, failed := false, 0
	for ss.ctx.Err() == nil {
		err := ss.follow(rev, &seen)
		failed++
		if err == nil || !ss.pause(err, failed) {
			return
		}
		sent := ss.now()
		r, err := ss.get(clientv3.OpGet(ss.key))
		if err != nil {
			continue
		}
		failed = 0
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

// Candidates do some things at the same time, and are not to stand in line for etcd all at once, which sorts the whole
// queue for each: that takes it some askTime where a thousand stand. lookEach is the time, for each candidate, within
// which those that are not next in the queue look who leads now; joinEach that within which they put their keys and begin,
// or begin anew, to wait, with two such requests.
const (
	askTime  = 2 * time.Millisecond
	lookEach = askTime
	joinEach = 4 * askTime
)

// watchedBy is the largest election in which each candidate watches the oldest key. etcd tells all that watch a key of its
// deletion before it does much else, which with a thousand of them takes it 40 ms, and the next one waits for its turn to
// be told, to read, and to confirm. In larger elections those that are not next look at the key: a third of a TTL later at
// most, or up to a TTL more where etcd is written to all the time.
const watchedBy = 64

// observe reports who owns the oldest key, and that nobody does. It reads linearizably and then
// watches the key that it found, or the whole election when it found none; whatever ends the watch,
// it reads again. When the oldest key goes, the next candidate reads at once. The others see the deletion at the
// same instant, and spread their reads, so that the one which is to lead does not stand in line behind them all; in a
// large election they do not watch.
func (ss *session) observe() {
	if !ss.rest(ss.inCrowd(joinEach, 0)) {
		return
	}
	var deleted election.Instant
	failed := 0
	for ss.ctx.Err() == nil {
		sent := ss.now()
		r, err := ss.get(ss.store.firstTwo())
		if err != nil {
			if failed++; !ss.pause(err, failed) {
				return
			}
			continue
		}
		failed = 0
		ev := election.Observed{
			Session: ss.req.Number, Reply: reply(sent, ss.now(), r.Header), Standing: int(r.Count), Predecessor: deleted,
		}
		deleted = 0
		key, opts := ss.store.prefix+"/", []clientv3.OpOption{clientv3.WithPrefix(), clientv3.WithFilterDelete()}
		var value string
		if len(r.Kvs) > 0 {
			ev.Leader = candidate(r.Kvs[0])
			key, opts, value = string(r.Kvs[0].Key), nil, string(r.Kvs[0].Value)
		}
		ss.emit(ev)
		crowd := ss.crowdIn(r)
		ss.crowd.Store(crowd)
		if crowd > watchedBy {
			ss.lookAt(r.Kvs[0], r.Header.Revision)
			continue
		}
		err = ss.watch(key, func(e *clientv3.Event) bool {
			if e.Type == clientv3.EventTypeDelete && key != ss.key {
				deleted = ss.now()
				ss.rest(ss.inCrowd(lookEach, 0)) // the end of the watch is a request as well
			}
			return len(r.Kvs) == 0 || e.Type == clientv3.EventTypeDelete || string(e.Kv.Value) != value
		}, append(opts, clientv3.WithRev(r.Header.Revision+1))...)
		if err != nil && !ss.pause(err, 1) {
			return
		}
	}
}

// lookAt looks at a key until it is not as it was at a revision, or the session ends. Each renewal tells etcd's revision:
// while that stays, nothing has changed, and nothing is asked. Looks that found nothing come later and later, since where
// much else is written they all would, as while a crowd enters. It asks one member what that knows, as a watch would.
func (ss *session) lookAt(was *mvccpb.KeyValue, revision int64) {
	for vain, failed := 0, 0; ; {
		select {
		case <-ss.renewed:
		case <-ss.ctx.Done():
			return
		}
		if ss.revision.Load() == revision {
			vain = 0
			continue
		}
		if !ss.rest(ss.inCrowd(lookEach, vain)) {
			return
		}
		r, err := ss.get(clientv3.OpGet(string(was.Key), clientv3.WithSerializable()))
		if err != nil {
			failed++
			if !ss.pause(err, failed) {
				return
			}
			continue
		}
		if len(r.Kvs) == 0 || r.Kvs[0].CreateRevision != was.CreateRevision || string(r.Kvs[0].Value) != string(was.Value) {
			return
		}
		vain, failed, revision = vain+1, 0, r.Header.Revision
	}
}

// crowdIn is how many stand in the queue, 0 if this candidate is to lead next, or does.
func (ss *session) crowdIn(firstTwo *clientv3.GetResponse) int64 {
	for _, kv := range firstTwo.Kvs {
		if string(kv.Key) == ss.key {
			return 0
		}
	}
	return firstTwo.Count
}

// took guesses the crowd from how long etcd took to answer a request. How many electors start together none of them can
// know, and a count of the keys that stand tells it too late. Less than TTL/40 is no sign of a crowd.
func (ss *session) took(d time.Duration) {
	for {
		crowd, guess := ss.crowd.Load(), int64(d/askTime)
		if d < ss.req.TTL/40 || crowd == 0 || guess <= crowd || ss.crowd.CompareAndSwap(crowd, guess) {
			return
		}
	}
}

// inCrowd is a random time for something that all candidates do: within so much for each of them, half of the
// TTL at most. It doubles for each failure in a row, up to the TTL: an etcd with so much to do that it answers too late
// has to do it all the same, and would do no more than that if all asked again at once.
func (ss *session) inCrowd(each time.Duration, failures int) time.Duration {
	within := min(time.Duration(max(0, ss.crowd.Load()-1))*each, ss.req.TTL/2)
	return rand.N(1 + min(within<<min(failures, 8), ss.req.TTL))
}

// watch hands events to done until that says true, which gives nil, or the watch fails. The watch ends
// with this call and with the session. It requires a leader: a member that lost the quorum would
// otherwise keep it open and silent.
func (ss *session) watch(key string, done func(*clientv3.Event) bool, opts ...clientv3.OpOption) error {
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ss.ctx))
	defer cancel()
	for r := range ss.client.Watch(ctx, key, opts...) {
		if err := r.Err(); err != nil {
			return ss.store.wrap("watch the election", ss.deniedTo(err, func() error {
				_, err := ss.read(clientv3.OpGet(key, clientv3.WithCountOnly()))
				return err
			}))
		}
		for _, e := range r.Events {
			if done(e) {
				return nil
			}
		}
	}
	return errWatchEnded
}

// deniedTo looks into the end of a watch that was denied. etcd up to 3.4 denies it also to a token that no longer counts:
// a request that wants the same permission is then let through, with a new token.
func (ss *session) deniedTo(err error, try func() error) error {
	if denied(err) && try() == nil {
		return errStale
	}
	return err
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

// pause waits a little after an error, so that many watchers do not come back at once; longer after several in a row,
// after a refusal, which a person has to lift, and among many candidates. It reports whether the session goes on.
func (ss *session) pause(err error, failures int) bool {
	return ss.rest(max(rand.N(longestPause(err, failures, ss.req.TTL)), ss.inCrowd(joinEach, failures-1)))
}

func longestPause(err error, failures int, ttl time.Duration) time.Duration {
	if errors.Is(err, election.ErrRefused) {
		return ttl / 2
	}
	return min(watchPause<<min(failures-1, 8), max(watchPause, ttl/4))
}

// rest waits, and reports whether the session goes on.
func (ss *session) rest(d time.Duration) bool { return rest(ss.ctx, d) }

// rest waits, and reports whether ctx goes on.
func rest(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

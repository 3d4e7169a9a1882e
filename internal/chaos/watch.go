package chaos

import (
	"context"
	"encoding/json"
	"maps"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/elector-dev/elector/internal/chaos/history"
)

// prefix is where the candidates' keys of a run live.
const (
	electionName = "chaos"
	prefix       = "/elector/default/" + electionName + "/"
)

// keyLog merges what the members tell about the election's keys: of each change the earliest telling
// counts. All methods may be called concurrently.
type keyLog struct {
	recorder *recorder

	mu    sync.Mutex // guards the fields below
	epoch int        // counts restores, after which revisions begin again
	known map[string]knownKey
}

// knownKey is the newest change of a key.
type knownKey struct {
	revision int64
	token    int64
	identity string
	deleted  bool
}

func newKeyLog(r *recorder) *keyLog { return &keyLog{recorder: r, known: map[string]knownKey{}} }

// put takes a key as a member told it at an instant. Members lag behind each other, so only what is newer
// than what is known is news.
func (l *keyLog) put(epoch int, kv *mvccpb.KeyValue, seen history.Instant) {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := string(kv.Key)
	if old := l.known[key]; epoch != l.epoch || kv.ModRevision <= old.revision {
		return
	}
	k := knownKey{revision: kv.ModRevision, token: kv.CreateRevision, identity: identityOf(kv.Value)}
	l.known[key] = k
	l.recorder.key(history.KeyEvent{
		Key: key, Revision: k.revision, Token: k.token, Lease: kv.Lease, Identity: k.identity, Seen: seen,
	})
}

// gone takes a deletion at a revision.
func (l *keyLog) gone(epoch int, key string, revision int64, seen history.Instant) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if epoch == l.epoch {
		l.delete(key, revision, seen)
	}
}

// delete wants the lock.
func (l *keyLog) delete(key string, revision int64, seen history.Instant) {
	k, found := l.known[key]
	if !found || k.deleted || revision <= k.revision {
		return
	}
	k.deleted, k.revision = true, revision
	l.known[key] = k
	l.recorder.key(history.KeyEvent{
		Key: key, Deleted: true, Revision: revision, Token: k.token, Identity: k.identity, Seen: seen,
	})
}

// listing takes all keys as one read found them: what is missing has been deleted by then. It is how a
// watcher goes on after a compaction or a restore.
func (l *keyLog) listing(epoch int, r *clientv3.GetResponse, seen history.Instant) {
	there := map[string]bool{}
	for _, kv := range r.Kvs {
		there[string(kv.Key)] = true
		l.put(epoch, kv, seen)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if epoch != l.epoch {
		return
	}
	for key := range maps.Keys(l.known) {
		if !there[key] {
			l.delete(key, r.Header.Revision, seen)
		}
	}
}

// rewind is for after a restore: revisions begin again, and every key has to be told anew.
func (l *keyLog) rewind() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.epoch++
	for key, k := range l.known {
		k.revision = 0
		l.known[key] = k
	}
}

func (l *keyLog) now() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.epoch
}

// identityOf reads who owns a key; what is no record is a plain proposal.
func identityOf(value []byte) string {
	var r struct{ Identity string }
	if json.Unmarshal(value, &r) == nil && r.Identity != "" {
		return r.Identity
	}
	return string(value)
}

// watcher hears of changes from one member, without asking that the member has a leader: what a member
// that was cut off tells late does no harm, and what it tells alone may be the earliest.
type watcher struct {
	log  *keyLog
	open func(ctx context.Context) (*clientv3.Client, error)
}

// run watches until the context ends, with a new client whenever it was interrupted.
func (w *watcher) run(ctx context.Context) {
	next, epoch := int64(0), -1
	for ctx.Err() == nil {
		if e := w.log.now(); e != epoch {
			next, epoch = 0, e
		}
		next = w.attempt(ctx, epoch, next)
		pause(ctx, 50*time.Millisecond)
	}
}

// attempt watches from a revision, or from a listing if that is 0, and returns from which to go on.
func (w *watcher) attempt(ctx context.Context, epoch int, next int64) int64 {
	cli, err := w.open(ctx)
	if err != nil {
		return next
	}
	defer cli.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if next == 0 {
		within, done := context.WithTimeout(ctx, 2*time.Second)
		r, err := cli.Get(within, prefix, clientv3.WithPrefix(), clientv3.WithSerializable())
		done()
		if err != nil {
			return 0
		}
		w.log.listing(epoch, r, now())
		next = r.Header.Revision + 1
	}
	changes := cli.Watch(ctx, prefix, clientv3.WithPrefix(), clientv3.WithRev(next))
	look := time.NewTicker(200 * time.Millisecond)
	defer look.Stop()
	for {
		select {
		case r, ok := <-changes:
			seen := now()
			switch {
			case !ok:
				return next
			case r.CompactRevision > 0:
				return 0
			case r.Err() != nil:
				return next
			}
			w.hear(epoch, r.Events, seen)
			next = max(next, r.Header.Revision+1)
		case <-look.C:
			if w.log.now() != epoch {
				return 0
			}
		}
	}
}

func (w *watcher) hear(epoch int, events []*clientv3.Event, seen history.Instant) {
	for _, e := range events {
		if e.Type == clientv3.EventTypeDelete {
			w.log.gone(epoch, string(e.Kv.Key), e.Kv.ModRevision, seen)
		} else {
			w.log.put(epoch, e.Kv, seen)
		}
	}
}

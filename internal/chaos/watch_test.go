package chaos

import (
	"testing"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/elector-dev/elector/internal/chaos/history"
)

func kv(key string, created, modified int64) *mvccpb.KeyValue {
	return &mvccpb.KeyValue{Key: []byte(key), CreateRevision: created, ModRevision: modified, Value: []byte(`{"identity":"w1"}`)}
}

func keysTold(tell func(l *keyLog)) []history.KeyEvent {
	r := newRecorder(history.Run{})
	l := newKeyLog(r)
	tell(l)
	return r.snapshot().Keys
}

func TestOfEachChangeTheEarliestTellingCounts(t *testing.T) {
	got := keysTold(func(l *keyLog) {
		l.put(0, kv("a", 5, 5), 10)
		l.gone(0, "a", 8, 20)
		l.put(0, kv("a", 5, 5), 30) // a member that lags
		l.gone(0, "a", 8, 40)
	})
	if len(got) != 2 || got[0].Deleted || got[0].Seen != 10 || !got[1].Deleted || got[1].Seen != 20 || got[1].Token != 5 || got[1].Identity != "w1" {
		t.Errorf("recorded %+v", got)
	}
}

func TestAKeyThatIsMadeAgainHasAnotherToken(t *testing.T) {
	got := keysTold(func(l *keyLog) {
		l.put(0, kv("a", 5, 5), 10)
		l.put(0, kv("a", 5, 7), 11) // bound to another lease
		l.gone(0, "a", 8, 20)
		l.put(0, kv("a", 9, 9), 30)
		l.gone(0, "a", 12, 40)
	})
	if len(got) != 5 || got[1].Token != 5 || got[3].Token != 9 || got[4].Token != 9 {
		t.Errorf("recorded %+v", got)
	}
}

func TestAListingTellsWhatACompactionSwallowed(t *testing.T) {
	listing := func(revision int64, kvs ...*mvccpb.KeyValue) *clientv3.GetResponse {
		return &clientv3.GetResponse{Header: &etcdserverpb.ResponseHeader{Revision: revision}, Kvs: kvs}
	}
	got := keysTold(func(l *keyLog) {
		l.put(0, kv("a", 5, 5), 10)
		l.put(0, kv("b", 9, 9), 11)
		l.listing(0, listing(7, kv("a", 5, 5)), 12) // a member that lags has not seen b yet
		l.listing(0, listing(20, kv("c", 15, 15)), 30)
	})
	gone := map[int64]history.Instant{}
	for _, k := range got {
		if k.Deleted {
			gone[k.Token] = k.Seen
		}
	}
	if len(got) != 5 || gone[5] != 30 || gone[9] != 30 {
		t.Errorf("recorded %+v", got)
	}
}

func TestAfterARestoreRevisionsBeginAgain(t *testing.T) {
	got := keysTold(func(l *keyLog) {
		l.put(0, kv("a", 100, 100), 10)
		l.gone(0, "a", 120, 20)
		l.rewind()
		l.put(0, kv("z", 130, 130), 25) // told by a watcher that has not noticed
		l.put(1, kv("a", 100, 100), 30) // it stands again
		l.gone(1, "a", 110, 40)
	})
	if len(got) != 4 || got[2].Deleted || got[2].Seen != 30 || !got[3].Deleted || got[3].Seen != 40 {
		t.Errorf("recorded %+v", got)
	}
}

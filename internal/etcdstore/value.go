package etcdstore

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/elector-dev/elector/internal/election"
	"github.com/elector-dev/elector/internal/record"
)

// valueTries is how often a put is made anew because the value or the key's lease had changed meanwhile.
const valueTries = 4

// PutValue implements election.Session. Besides the key's token the put is conditional on the key's lease,
// on which the value goes: a put that a rebind overtook would leave the value on a lease that is about to run
// out. It is conditional too on the revision that the value had when it was looked at, so that a put whose
// reply was lost can not be applied over a later one.
func (ss *session) PutValue(ctx context.Context, claim election.Claim, put election.ValuePut) (*election.Value, error) {
	ctx, done, ok := ss.call(ctx)
	if !ok {
		return nil, election.ErrSessionEnded
	}
	defer done()
	ss.valued.Store(true)
	ss.shares.Store(true)
	for range valueTries {
		v, err := ss.tryPut(ctx, claim.Token, put)
		if !errors.Is(err, errOvertaken) {
			ss.refused.tell(ss, theValue, err)
			return v, err
		}
	}
	return nil, fmt.Errorf("publish the value: %w", errOvertaken)
}

// errOvertaken is returned by tryPut when the value or the key's lease had changed since they were read.
var errOvertaken = errors.New("others wrote at the same time, each time")

func (ss *session) tryPut(ctx context.Context, token int64, put election.ValuePut) (*election.Value, error) {
	key, value := clientv3.OpGet(ss.key), clientv3.OpGet(ss.store.valueKey)
	look, err := ss.client.Txn(ctx).Then(key, value).Commit()
	if err != nil {
		return nil, ss.store.wrapValue("read the value", err)
	}
	own, old := look.Responses[0].GetResponseRange().Kvs, look.Responses[1].GetResponseRange().Kvs
	if len(own) == 0 || own[0].CreateRevision != token {
		return nil, election.ErrTokenMismatch
	}
	revision, current := int64(0), int64(0) // of what is stored, and of it as the value of this term
	if len(old) > 0 {
		revision = old[0].ModRevision
		if v, err := decodeValue(old[0]); err == nil && v.Token == token {
			current = revision
		}
	}
	if put.Revision == election.SomeValue && current == 0 || put.Revision > 0 && current != put.Revision {
		return nil, election.ErrValueChanged
	}
	lease := clientv3.LeaseID(own[0].Lease)
	r, err := ss.client.Txn(ctx).
		If(clientv3.Compare(clientv3.CreateRevision(ss.key), "=", token),
			clientv3.Compare(clientv3.LeaseValue(ss.key), "=", lease),
			clientv3.Compare(clientv3.ModRevision(ss.store.valueKey), "=", revision)).
		Then(clientv3.OpPut(ss.store.valueKey, record.EncodeValue(put), clientv3.WithLease(lease))).
		Commit()
	switch {
	case err != nil:
		return nil, ss.store.wrapValue("publish the value", err)
	case !r.Succeeded:
		return nil, errOvertaken
	}
	return &election.Value{
		Bytes: put.Bytes, ContentType: put.ContentType, Token: put.Token, Revision: r.Header.Revision,
	}, nil
}

// moveValue is the part of a rebind that takes the term's value along to the new lease: nothing while none
// was ever put. A role that lacks the value's key does not cost the lead: see Rebind.
func (ss *session) moveValue(to election.LeaseID) []clientv3.Op {
	if !ss.valued.Load() {
		return nil
	}
	return []clientv3.Op{clientv3.OpTxn(
		[]clientv3.Cmp{clientv3.Compare(clientv3.CreateRevision(ss.store.valueKey), ">", 0)},
		[]clientv3.Op{clientv3.OpPut(ss.store.valueKey, "", clientv3.WithIgnoreValue(), clientv3.WithLease(clientv3.LeaseID(to)))},
		nil,
	)}
}

// fetchValue moves the value after a rebind that did not, when the first one was put meanwhile. A put that
// etcd applied later finds the key's lease changed, and follows by itself.
func (ss *session) fetchValue(ctx context.Context, to election.LeaseID) {
	for _, move := range ss.moveValue(to) {
		if _, err := ss.client.Do(ctx, move); err != nil {
			ss.store.cfg.Logger.Warn("the shared value may be gone before its term is; publish it again",
				"err", ss.store.wrapValue("take the value along", err))
		}
	}
}

// observeValue reports the shared value and its absence: it reads, and then watches from there on.
func (ss *session) observeValue() {
	failed := 0
	for ss.ctx.Err() == nil {
		r, err := ss.read(clientv3.OpGet(ss.store.valueKey))
		err = ss.store.wrapValue("read the value", err)
		ss.refused.tell(ss, theValue, err)
		failed++
		if err == nil {
			failed = 1
			var kv *mvccpb.KeyValue
			if len(r.Kvs) > 0 {
				kv = r.Kvs[0]
			}
			ss.showValue(kv)
			err = ss.watch(ss.store.valueKey, func(e *clientv3.Event) bool {
				if e.Type == clientv3.EventTypeDelete {
					e.Kv = nil
				}
				ss.showValue(e.Kv)
				return false
			}, clientv3.WithRev(r.Header.Revision+1))
		}
		if !ss.pause(err, failed) { // that watch ends with an error alone
			return
		}
	}
}

func (ss *session) showValue(kv *mvccpb.KeyValue) {
	var v *election.Value
	if kv != nil {
		ss.shares.Store(true)
		var err error
		if v, err = decodeValue(kv); err != nil && !ss.strange { // whoever writes them may write many
			ss.store.cfg.Logger.Warn("what stands under the value's key is not a value of elector; delete it", "key", ss.store.valueKey, "err", err)
		}
	}
	ss.strange = kv != nil && v == nil
	ss.emit(election.ValueSeen{Session: ss.req.Number, Value: v})
}

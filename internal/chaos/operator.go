package chaos

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/elector-dev/elector/internal/chaos/history"
)

// What an operator does in etcd behind the electors' backs. Before it is done, the record names the tokens
// that it may take away; afterwards, those that it did. So no judgement in between takes it for a fault of
// the electors, and a request whose outcome is not known counts as one that was applied.

// operatorPatience bounds each of an operator's requests.
const operatorPatience = 5 * time.Second

// standing reads the election's keys, oldest first.
func (n *nemesis) standing(ctx context.Context) (*clientv3.GetResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, operatorPatience)
	defer cancel()
	return n.ground.operator.Get(ctx, prefix, clientv3.WithPrefix(),
		clientv3.WithSort(clientv3.SortByCreateRevision, clientv3.SortAscend))
}

func tokensOf(r *clientv3.GetResponse) []int64 {
	var tokens []int64
	for _, kv := range r.Kvs {
		tokens = append(tokens, kv.CreateRevision)
	}
	return tokens
}

// chosen is the key that a step hits: the oldest, or one that waits.
func chosen(r *clientv3.GetResponse, s step) int {
	if s.atLeader || len(r.Kvs) < 2 {
		return 0
	}
	return 1 + int(s.pick%uint64(len(r.Kvs)-1))
}

// operate does one thing to the keys that stand. It is no error of the harness if etcd cannot be reached
// meanwhile, since other faults see to that.
func (n *nemesis) operate(ctx context.Context, kind string, act func(context.Context, *fault, *clientv3.GetResponse) (effective bool, err error)) error {
	r, err := n.standing(ctx)
	if err != nil || len(r.Kvs) == 0 {
		n.recorder.begin(kind, "nothing stood, or etcd was out of reach").end(false)
		return nil
	}
	f := n.recorder.begin(kind, "")
	within, cancel := context.WithTimeout(ctx, operatorPatience)
	defer cancel()
	effective, err := act(within, f, r)
	if err != nil {
		f.change(func(h *history.Fault) { h.Detail += " (outcome unknown: " + err.Error() + ")" })
	}
	f.end(effective && err == nil)
	return nil
}

// describe says whose keys a fault is about, before anything is done to them.
func (f *fault) describe(r *clientv3.GetResponse, which ...int) {
	f.change(func(h *history.Fault) {
		for _, i := range which {
			kv := r.Kvs[i]
			h.Tokens = append(h.Tokens, kv.CreateRevision)
			h.Targets = append(h.Targets, identityOf(kv.Value))
		}
		h.Detail = fmt.Sprintf("tokens %v", h.Tokens)
	})
}

func (n *nemesis) keyDelete(ctx context.Context, s step) error {
	return n.operate(ctx, history.KeyDelete, func(ctx context.Context, f *fault, r *clientv3.GetResponse) (bool, error) {
		i := chosen(r, s)
		f.describe(r, i)
		kv := r.Kvs[i]
		done, err := n.ground.operator.Txn(ctx).
			If(clientv3.Compare(clientv3.CreateRevision(string(kv.Key)), "=", kv.CreateRevision)).
			Then(clientv3.OpDelete(string(kv.Key))).Commit()
		if err == nil && !done.Succeeded {
			f.took(nil)
		}
		return err == nil && done.Succeeded, err
	})
}

func (n *nemesis) prefixDelete(ctx context.Context, _ step) error {
	return n.operate(ctx, history.PrefixDelete, func(ctx context.Context, f *fault, r *clientv3.GetResponse) (bool, error) {
		f.describe(r, everyIndex(r)...)
		done, err := n.ground.operator.Delete(ctx, prefix, clientv3.WithPrefix(), clientv3.WithPrevKV())
		if err != nil {
			return false, err
		}
		f.took(tokensOf(&clientv3.GetResponse{Kvs: done.PrevKvs}))
		return done.Deleted > 0, nil
	})
}

func everyIndex(r *clientv3.GetResponse) []int {
	var all []int
	for i := range r.Kvs {
		all = append(all, i)
	}
	return all
}

func (n *nemesis) leaseRevoke(ctx context.Context, s step) error {
	return n.operate(ctx, history.LeaseRevoke, func(ctx context.Context, f *fault, r *clientv3.GetResponse) (bool, error) {
		i := chosen(r, s)
		f.describe(r, i)
		kv := r.Kvs[i]
		if _, err := n.ground.operator.Revoke(ctx, clientv3.LeaseID(kv.Lease)); err != nil {
			return false, err
		}
		// The key may have been bound to another lease in between, and then it still stands.
		left, err := n.standing(ctx)
		if err == nil && slices.Contains(tokensOf(left), kv.CreateRevision) {
			f.took(nil)
			return false, nil
		}
		return err == nil, err
	})
}

func (n *nemesis) compact(ctx context.Context, _ step) error {
	f := n.recorder.begin(history.Compact, "", memberNames(n.ground.members)...)
	ctx, cancel := context.WithTimeout(ctx, operatorPatience)
	defer cancel()
	r, err := n.ground.operator.Get(ctx, prefix)
	if err == nil {
		_, err = n.ground.operator.Compact(ctx, r.Header.Revision)
	}
	f.end(err == nil)
	if errors.Is(err, context.Canceled) {
		return err
	}
	return nil // out of reach, or compacted already: the fault was not effective
}

package devetcd

import (
	"context"
	"errors"
	"fmt"
	"os"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Replace takes member i out of the cluster, throws its data away and adds it again under its name and addresses, as one
// does with a member whose disk has died. It returns when the cluster is healthy. A learner is one that has no vote until
// it has caught up, and is promoted then; it answers next to nothing meanwhile.
//
// After an error the member may be away; call it again. Nobody else may start, stop or change members meanwhile.
func (c *Cluster) Replace(ctx context.Context, i int, learner bool) error {
	m := c.members[i]
	if err := c.takeOut(ctx, m); err != nil {
		return fmt.Errorf("take member %d out: %w", i, err)
	}
	if err := m.Stop(ctx); err != nil {
		return err
	}
	if err := os.RemoveAll(m.config.dataDir()); err != nil {
		return err
	}
	err := c.change(ctx, fmt.Sprintf("add member %d again", i), m, func(ctx context.Context, cli *clientv3.Client) error {
		add := cli.MemberAdd
		if learner {
			add = cli.MemberAddAsLearner
		}
		_, err := add(ctx, []string{m.config.PeerURL})
		return err
	})
	if err != nil {
		return err
	}
	m.mu.Lock()
	m.config.Existing = true
	m.mu.Unlock()
	if err := m.Restart(); err != nil {
		return err
	}
	if learner {
		err := c.change(ctx, fmt.Sprintf("promote member %d", i), m, func(ctx context.Context, cli *clientv3.Client) error {
			id, err := memberAt(ctx, cli, m.config.PeerURL)
			if err != nil {
				return err
			}
			_, err = cli.MemberPromote(ctx, id)
			if errors.Is(err, rpctypes.ErrMemberNotLearner) {
				return nil // an attempt before was late
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return c.WaitHealthy(ctx)
}

// takeOut removes whichever member has the addresses of m, if there is one.
func (c *Cluster) takeOut(ctx context.Context, m *Member) error {
	return c.change(ctx, "remove a member", m, func(ctx context.Context, cli *clientv3.Client) error {
		id, err := memberAt(ctx, cli, m.config.PeerURL)
		if err != nil || id == 0 {
			return err
		}
		_, err = cli.MemberRemove(ctx, id)
		return err
	})
}

// memberAt is the number of the member with an address; 0: there is none.
func memberAt(ctx context.Context, cli *clientv3.Client, peerURL string) (uint64, error) {
	list, err := cli.MemberList(ctx)
	if err != nil {
		return 0, err
	}
	for _, m := range list.Members {
		for _, url := range m.PeerURLs {
			if url == peerURL {
				return m.ID, nil
			}
		}
	}
	return 0, nil
}

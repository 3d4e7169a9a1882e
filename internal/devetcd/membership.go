package devetcd

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Remove takes member i out of the cluster and ends its process. It keeps its index, and must not be restarted. It waits
// for the cluster to have a leader.
func (c *Cluster) Remove(ctx context.Context, i int) error {
	m := c.members[i]
	status, err := c.status(ctx, m)
	if err != nil {
		return fmt.Errorf("ask member %d for its number: %w", i, err)
	}
	err = c.change(ctx, fmt.Sprintf("remove member %d", i), m, func(ctx context.Context, cli *clientv3.Client) error {
		_, err := cli.MemberRemove(ctx, status.Header.MemberId)
		return err
	})
	if err != nil {
		return err
	}
	m.removed = true
	return m.Stop(ctx)
}

// Add starts a further member, of the first one's program, and returns its index when it is one and the cluster is
// healthy. It must not run while other methods of the cluster do.
func (c *Cluster) Add(ctx context.Context) (int, error) {
	return c.add(ctx, false, func(ctx context.Context, cli *clientv3.Client, peerURL string) error {
		_, err := cli.MemberAdd(ctx, []string{peerURL})
		return err
	})
}

// AddLearner is Add for a member that has no vote.
func (c *Cluster) AddLearner(ctx context.Context) (int, error) {
	return c.add(ctx, true, func(ctx context.Context, cli *clientv3.Client, peerURL string) error {
		_, err := cli.MemberAddAsLearner(ctx, []string{peerURL})
		return err
	})
}

func (c *Cluster) add(ctx context.Context, learner bool, ask func(context.Context, *clientv3.Client, string) error) (int, error) {
	i := len(c.members)
	config := c.members[0].config
	config.Name = "m" + strconv.Itoa(i)
	config.Dir = strings.TrimSuffix(config.Dir, c.members[0].config.Name) + config.Name
	config.Disk, config.Existing = "", true
	for _, url := range []*string{&config.ClientURL, &config.PeerURL} {
		addr, err := FreeAddress("127.0.0.1")
		if err != nil {
			return 0, err
		}
		scheme, _, _ := strings.Cut(*url, "://")
		*url = scheme + "://" + addr
	}
	config.InitialCluster = config.Name + "=" + config.PeerURL
	for _, m := range c.members {
		if !m.removed {
			config.InitialCluster += "," + m.config.Name + "=" + m.config.PeerURL
		}
	}
	err := c.change(ctx, "add a member", nil, func(ctx context.Context, cli *clientv3.Client) error {
		return ask(ctx, cli, config.PeerURL)
	})
	if err != nil {
		return 0, err
	}
	m := &Member{config: config, program: c.members[0].program, learner: learner}
	if err := m.Restart(); err != nil {
		return 0, err
	}
	c.members, c.endpoints = append(c.members, m), append(c.endpoints, m.Endpoint())
	return i, c.WaitHealthy(ctx)
}

// change asks the members, but for one, until one has changed the membership: etcd refuses that while it has not been in
// contact with all of them for some seconds.
func (c *Cluster) change(ctx context.Context, what string, but *Member, ask func(context.Context, *clientv3.Client) error) error {
	var last error
	err := poll(ctx, what, func() (bool, error) {
		for _, m := range c.members {
			if m == but || !m.Running() || m.Paused() {
				continue
			}
			cli, err := c.NewClient(ctx, m.Endpoint())
			if err != nil {
				continue
			}
			attempt, cancel := context.WithTimeout(ctx, 2*time.Second)
			err = ask(attempt, cli)
			cancel()
			cli.Close()
			if err == nil || errors.Is(err, rpctypes.ErrMemberNotFound) || errors.Is(err, rpctypes.ErrPeerURLExist) { // an attempt before was late
				return true, nil
			}
			last = err
		}
		return false, nil
	})
	if err != nil {
		return errors.Join(err, last)
	}
	return nil
}

package devetcd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Cluster is etcd as one process per member, all started and ended by this process.
type Cluster struct {
	access
	members []*Member
	dir     string
	once    sync.Once // closes
}

// StartProcesses runs n member processes, which are this executable again unless Options.Program names
// others, and returns when they form a healthy cluster. Close it. The context bounds the start alone.
func StartProcesses(ctx context.Context, n int, opts Options) (*Cluster, error) {
	dir, tls, err := prepare(n, opts)
	if err != nil {
		return nil, err
	}
	var c *Cluster
	for range 5 { // a port that was free a moment ago may be taken
		c, err = startCluster(ctx, n, dir, opts, tls)
		if err == nil || !strings.Contains(err.Error(), "address already in use") {
			break
		}
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := c.protect(ctx, opts.Auth); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func startCluster(ctx context.Context, n int, dir string, opts Options, tls *TLSFiles) (*Cluster, error) {
	configs, err := newMemberConfigs(n, dir, opts, tls)
	if err != nil {
		return nil, err
	}
	c := &Cluster{access: access{tls: tls}, dir: dir}
	for i := range configs {
		m := &Member{config: configs[i], wrap: opts.wrap(i), program: opts.program(i)}
		if err = m.Restart(); err != nil {
			break
		}
		c.members = append(c.members, m)
		c.endpoints = append(c.endpoints, m.Endpoint())
	}
	if err == nil {
		err = c.WaitHealthy(ctx)
	}
	if err != nil {
		c.wipe()
		return nil, err
	}
	return c, nil
}

// Size returns the number of members.
func (c *Cluster) Size() int { return len(c.members) }

// Member returns member i, from 0.
func (c *Cluster) Member(i int) *Member { return c.members[i] }

// WaitHealthy blocks until every running and unfrozen member serves and all of them follow the same
// leader. It returns early if a member's process ends meanwhile, with the reason.
func (c *Cluster) WaitHealthy(ctx context.Context) error {
	var expected []*Member
	for _, m := range c.members {
		if m.Running() && !m.Paused() {
			expected = append(expected, m)
		}
	}
	return poll(ctx, "wait for a healthy cluster", func() (bool, error) {
		var leader uint64
		agree := true
		for _, m := range expected {
			if !m.Running() {
				return false, m.post()
			}
		}
		for _, m := range expected {
			s, err := c.status(ctx, m)
			if err != nil || s.Leader == 0 || leader != 0 && s.Leader != leader {
				agree = false
				break
			}
			leader = s.Leader
		}
		return agree, nil
	})
}

// Leader returns the index of the leading member, as told by the members of the highest raft term; it
// waits for one until the context ends. Frozen and dead members are not asked.
func (c *Cluster) Leader(ctx context.Context) (int, error) {
	leader := -1
	err := poll(ctx, "find etcd's leader", func() (bool, error) {
		var newest *clientv3.StatusResponse
		index := map[uint64]int{}
		for i, m := range c.members {
			if !m.Running() || m.Paused() {
				continue
			}
			s, err := c.status(ctx, m)
			if err != nil {
				continue
			}
			index[s.Header.MemberId] = i
			if newest == nil || s.RaftTerm > newest.RaftTerm {
				newest = s
			}
		}
		if newest == nil {
			return false, nil
		}
		i, found := index[newest.Leader]
		leader = i
		return found, nil
	})
	return leader, err
}

// MoveLeader makes member i the leader and returns once the members agree that it is. It waits for a
// leader to ask, and does nothing if that is i.
func (c *Cluster) MoveLeader(ctx context.Context, i int) error {
	target, err := c.status(ctx, c.members[i])
	if err != nil {
		return fmt.Errorf("ask member %d for its number: %w", i, err)
	}
	return poll(ctx, fmt.Sprintf("make member %d the leader", i), func() (bool, error) {
		old, err := c.Leader(ctx)
		if err != nil || old == i {
			return old == i, err
		}
		cli, err := c.NewClient(ctx, c.members[old].Endpoint())
		if err != nil {
			return false, nil // it may just have been deposed: ask again
		}
		defer cli.Close()
		ask, cancel := context.WithTimeout(ctx, 3*time.Second)
		defer cancel()
		_, _ = cli.MoveLeader(ask, target.Header.MemberId)
		return false, nil
	})
}

// status asks one member, for half a second at most.
func (c *Cluster) status(ctx context.Context, m *Member) (*clientv3.StatusResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	defer cancel()
	who := []string{m.Endpoint()}
	if m.learner && c.auth != nil { // it gives nobody a token
		who = c.voters()
	}
	cli, err := c.NewClient(ctx, who...)
	if err != nil {
		return nil, err
	}
	defer cli.Close()
	return cli.Status(ctx, m.Endpoint())
}

// voters are the client URLs of the members that have a vote.
func (c *Cluster) voters() (endpoints []string) {
	for _, m := range c.members {
		if !m.learner && !m.removed {
			endpoints = append(endpoints, m.Endpoint())
		}
	}
	return endpoints
}

// Close kills what still runs, frozen or not, waits for it and removes all data. Later calls do nothing.
func (c *Cluster) Close() {
	c.once.Do(func() {
		c.wipe()
		_ = os.RemoveAll(c.dir)
	})
}

// wipe ends all members and removes what they wrote.
func (c *Cluster) wipe() {
	for _, m := range c.members {
		_ = m.Kill()
		_ = os.RemoveAll(m.config.dataDir())
		_ = os.RemoveAll(m.config.Dir)
	}
}

// poll calls done twenty times a second until it says so, or the context ends.
func poll(ctx context.Context, what string, done func() (bool, error)) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := done()
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if ok {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", what, context.Cause(ctx))
		}
	}
}

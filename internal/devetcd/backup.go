package devetcd

import (
	"context"
	"errors"
	"fmt"
	"os"

	clientsnapshot "go.etcd.io/etcd/client/v3/snapshot"
	"go.etcd.io/etcd/etcdutl/v3/snapshot"
	"go.uber.org/zap"
)

// Snapshot saves to a file what etcd's leader holds at this moment, as `etcdctl snapshot save` does. The
// directory must be there; a file of that name is replaced.
func (c *Cluster) Snapshot(ctx context.Context, path string) error {
	leader, err := c.Leader(ctx)
	if err != nil {
		return err
	}
	cfg, err := c.ClientConfig(c.Member(leader).Endpoint())
	if err != nil {
		return err
	}
	cfg.Context = ctx // else opening the client would outlive it
	if _, err := clientsnapshot.SaveWithVersion(ctx, zap.NewNop(), cfg, path); err != nil {
		return fmt.Errorf("save a snapshot: %w", err)
	}
	return nil
}

// Restore kills all members, throws their data away and starts them from a snapshot, under their old names and
// addresses, as a person does with `etcdutl snapshot restore`; it returns when they are healthy. The store is
// then what it was when the snapshot was saved, its revision included, unless bump is more than 0: then the
// revision goes on from the snapshot's by that much, and all before is compacted, so that watchers notice
// (--bump-revision and --mark-compacted). Leases live on and get their full time.
//
// After an error the members may be dead and without data; call it again. Nobody else may start or stop members
// meanwhile.
func (c *Cluster) Restore(ctx context.Context, path string, bump uint64) error {
	for _, m := range c.members {
		if err := m.Kill(); err != nil {
			return fmt.Errorf("restore: %w", err)
		}
	}
	for _, m := range c.members {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("restore: %w", context.Cause(ctx))
		}
		if err := m.config.restore(path, bump); err != nil {
			return fmt.Errorf("restore %s: %w", m.config.Name, err)
		}
	}
	var errs []error
	for _, m := range c.members {
		errs = append(errs, m.Restart())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	return c.WaitHealthy(ctx)
}

// restore replaces the data of a member that does not run.
func (c memberConfig) restore(path string, bump uint64) error {
	if err := os.RemoveAll(c.dataDir()); err != nil {
		return err
	}
	cfg, err := c.embedConfig()
	if err != nil {
		return err
	}
	return snapshot.NewV3(zap.NewNop()).Restore(snapshot.RestoreConfig{
		SnapshotPath:        path,
		Name:                c.Name,
		OutputDataDir:       c.dataDir(),
		PeerURLs:            []string{c.PeerURL},
		InitialCluster:      c.InitialCluster,
		InitialClusterToken: cfg.InitialClusterToken,
		RevisionBump:        bump,
		MarkCompacted:       bump > 0,
	})
}

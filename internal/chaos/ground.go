package chaos

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"go.etcd.io/etcd/api/v3/version"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/elector-dev/elector/internal/chaos/havoc"
	"github.com/elector-dev/elector/internal/chaos/history"
	"github.com/elector-dev/elector/internal/devetcd"
	"github.com/elector-dev/elector/internal/netlab"
)

// startPatience bounds the start of a cluster and of a fleet, on a machine that may be busy.
const startPatience = time.Minute

// ground is what the electors stand on: etcd, the network, and the operator's hands. It is made and closed
// by one goroutine.
type ground struct {
	plan     plan
	members  int
	release  string      // of etcd
	lab      *netlab.Lab // nil: everything is on loopback
	etcd     *devetcd.Cluster
	wires    *wires
	operator *clientv3.Client // through all members
	secrets  *secrets         // that the electors are let in by; nil: they need none
	disk     *disk            // of one member; nil if none has one
}

// newGround starts etcd and makes the network. Close it, also after an error.
func newGround(ctx context.Context, o Options, p plan) (*ground, error) {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	g := &ground{plan: p, members: o.Members, release: version.Version}
	opts := devetcd.Options{Dir: o.Dir}
	if o.Etcd != "" {
		r, err := devetcd.Inspect(ctx, o.Etcd)
		if err != nil {
			return g, err
		}
		g.release, opts.Program = r.Version, func(int) string { return o.Etcd }
	}
	if o.Links == Namespaces {
		var err error
		if g.lab, err = netlab.New(g.members + p.electors); err != nil {
			return g, err
		}
		opts.Host, opts.Wrap = g.lab.Addr, g.lab.Exec
	}
	if p.auth {
		// Electors send passwords through TLS only.
		opts.Auth, opts.AuthTokenTTL, opts.TLS = &devetcd.Auth{}, 5*time.Second, true
		if g.lab != nil {
			opts.ServerIPs = []string{g.lab.Addr(-1)} // of the links
		}
	}
	if p.disk {
		d, err := havoc.NewDisk(o.Dir, diskSize)
		if err != nil {
			o.say("left out: %s: %v", history.SlowDisk, err)
		} else {
			g.disk = &disk{d}
			opts.DiskDir = func(i int) string {
				if i == diskMember {
					return d.Dir()
				}
				return ""
			}
		}
	}
	var err error
	if g.etcd, err = devetcd.StartProcesses(ctx, g.members, opts); err != nil {
		return g, err
	}
	if p.auth {
		if g.secrets, err = newSecrets(o.Dir, g.etcd.TLS(), g.addresses()); err != nil {
			return g, err
		}
	}
	if g.wires, err = newWires(g.lab, g.etcd, p.byLink); err != nil {
		return g, err
	}
	g.operator, err = g.client(ctx)
	return g, err
}

// close takes everything down, and leaves the members' logs in dir.
func (g *ground) close(dir string) error {
	var errs []error
	if g.operator != nil {
		errs = append(errs, g.operator.Close())
	}
	if g.wires != nil {
		errs = append(errs, g.wires.close())
	}
	if g.etcd != nil {
		for i := range g.etcd.Size() {
			at := g.etcd.Member(i).LogFile()
			for from, to := range map[string]string{at: ".log", filepath.Join(filepath.Dir(at), "output"): "-output.log"} {
				log, err := os.ReadFile(from)
				if err == nil {
					err = os.WriteFile(filepath.Join(dir, memberName(i)+to), log, 0o600)
				}
				errs = append(errs, err)
			}
		}
		g.etcd.Close()
	}
	if g.disk != nil {
		errs = append(errs, g.disk.Close())
	}
	if g.lab != nil {
		errs = append(errs, g.lab.Close())
	}
	return errors.Join(errs...)
}

// reopen gives the operator a new client, as one has after a restore: the old one's token for its password is
// of a store that is gone. Nobody may use the operator meanwhile.
func (g *ground) reopen(ctx context.Context) error {
	cli, err := g.client(ctx)
	if err != nil {
		return err
	}
	_ = g.operator.Close() // its error is that of its own context
	g.operator = cli
	return nil
}

// access is how electors prove who they are to etcd.
func (g *ground) access() []string {
	if !g.plan.auth {
		return nil
	}
	s := g.secrets
	return []string{
		"--etcd-user", "elector", "--etcd-password-file", s.path(passwordFile),
		"--etcd-cacert", s.path(caFile), "--etcd-cert", s.path(certFile), "--etcd-key", s.path(keyFile),
	}
}

// exec is what to put before the command line of an elector.
func (g *ground) exec(elector int) []string {
	if g.lab == nil {
		return nil
	}
	return g.lab.Exec(g.members + elector)
}

// listenAddress is where an elector answers. It is the same for all processes of its lane.
func (g *ground) listenAddress(elector int) (string, error) {
	if g.lab == nil {
		return devetcd.FreeAddress("127.0.0.1")
	}
	return net.JoinHostPort(g.lab.Addr(g.members+elector), "4040"), nil
}

// every is all members, by index.
func (g *ground) every() []int { return indexes(g.members) }

func indexes(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

// others is all members but one.
func (g *ground) others(member int) []int { return slices.Delete(g.every(), member, member+1) }

// memberNames are the lanes of etcd.
func memberNames(n int) []string {
	var names []string
	for i := range n {
		names = append(names, memberName(i))
	}
	return names
}

func memberName(i int) string { return fmt.Sprintf("m%d", i) }

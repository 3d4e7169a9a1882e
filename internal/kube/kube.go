package kube

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/elector-dev/elector/internal/election"
)

// ReleaseWait is the longest that the release of a key waits for what a term's end changes at the API server.
const ReleaseWait = 2 * time.Second

// Elector is what is told of; *election.Elector is one. Its methods are called concurrently and do not block.
type Elector interface {
	// Look evaluates leadership now and promises nothing.
	Look() election.Answer
	// WorkEnd is when the work of the term under way must have ended. It moves. Zero when there is none.
	WorkEnd() election.Instant
}

var _ Elector = (*election.Elector)(nil)

// Config says what to tell to whom. At least one of Service and PodLabel is set; Env and the four last are required.
type Config struct {
	Service  string // the name of the EndpointSlice that the leader writes itself into; empty: none
	PodLabel string // key=leader-value,follower-value; empty: none

	API         string   // URL of the API server; empty: what KUBERNETES_SERVICE_HOST and _PORT say
	Credentials string   // folder with token, ca.crt and, if POD_NAMESPACE is not set, namespace
	Env         []string // of the process: who the pod is

	Election string // "<namespace>/<name>"
	Elector  Elector
	// Cluster is the id of the etcd that the term under way is in. It is asked when a term begins.
	Cluster func() uint64
	Clock   election.Clock
	Logger  *slog.Logger
}

// Kube tells of one elector. Its methods may be called concurrently.
type Kube struct {
	cfg     Config
	keepers []*keeper
}

// New reads what is set. It starts nothing and contacts nothing. The error has a sentence for each setting that cannot be.
func New(cfg Config) (*Kube, error) {
	s, err := settle(cfg)
	if err != nil {
		return nil, err
	}
	k := &Kube{cfg: cfg}
	if cfg.Service != "" {
		k.keepers = append(k.keepers, newKeeper("service", sliceOf(cfg, s), cfg.Logger))
	}
	if cfg.PodLabel != "" {
		k.keepers = append(k.keepers, newKeeper("pod-label", podOf(s), cfg.Logger))
	}
	return k, nil
}

// Run keeps the objects as they should be until ended is closed, and blocks until then.
func (k *Kube) Run(ended <-chan struct{}) {
	var all sync.WaitGroup
	for _, each := range k.keepers {
		all.Go(func() { each.run(ended) })
	}
	all.Wait()
}

// Lead is the work of a term: it has the objects say that this pod leads until ctx ends, and then that it does not. It
// returns when they do, or when no more can be waited for it; Run goes on with what is not done then. The error is always nil.
func (k *Kube) Lead(ctx context.Context, term election.Term) error {
	c := claim{token: term.Token, cluster: k.cfg.Cluster()}
	for _, each := range k.keepers {
		each.aim(aim{claim: c, leading: true})
	}
	<-ctx.Done()
	var settled []<-chan struct{}
	for _, each := range k.keepers {
		settled = append(settled, each.aim(aim{claim: c}))
	}
	limit := time.NewTimer(ReleaseWait)
	defer limit.Stop()
	for _, s := range settled {
		if !k.await(s, limit.C) {
			k.cfg.Logger.Info("the key is not kept for the API server, which still has this pod as the leader", "token", term.Token, "cause", context.Cause(ctx))
			break
		}
	}
	return nil
}

// await reports whether settled is closed before the limit, and before the work of the term must have ended. It looks
// now and then, as renewals move that.
func (k *Kube) await(settled <-chan struct{}, limit <-chan time.Time) bool {
	for {
		left := k.cfg.Elector.WorkEnd().Sub(k.cfg.Clock.Now())
		look := time.NewTimer(max(0, min(left, 50*time.Millisecond)))
		select {
		case <-settled:
			look.Stop()
			return true
		case <-limit:
			look.Stop()
			return false
		case <-look.C:
			if left <= 0 {
				return false
			}
		}
	}
}

// Object is one that is kept at the API server.
type Object struct {
	Name string // service or pod-label
	Up   bool   // the latest attempt has succeeded, or none was due yet
}

// Objects tells of each as it is now. It does not block.
func (k *Kube) Objects() []Object {
	var all []Object
	for _, each := range k.keepers {
		all = append(all, Object{each.name, !each.down.Load()})
	}
	return all
}

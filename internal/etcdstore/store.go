package etcdstore

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/elector-dev/elector/internal/election"
)

// removeTimeout bounds each request that removes a key or a lease; a session takes twice that to close.
const removeTimeout = 2 * time.Second

// grantTries is how often a lease is granted anew because the raft term changed meanwhile.
const grantTries = 3

// Store opens sessions in etcd for one candidate of one election. It holds no connection of its own:
// every session has its own client.
type Store struct {
	cfg      Config
	secrets  *secrets
	prefix   string // of the candidates' keys, without the closing "/"
	valueKey string // of the shared value
	record   string // value of the own key
	log      *zap.Logger

	openToAll sync.Once // said that etcd asks nobody for a user
	cluster   atomic.Uint64

	mu   sync.Mutex // guards left and dead, for a slice operation
	left []leftover
	dead []election.Predecessor // whose keys may stand
}

// New reads the certificates and the password file. It contacts nothing.
func New(cfg Config) (*Store, error) {
	access := AccessTo(cfg.Prefix, cfg.Namespace, cfg.Election)
	s := &Store{
		cfg:    cfg,
		prefix: strings.TrimSuffix(access.Prefix, "/"),
		record: encodeRecord(cfg, time.Now()),
		log:    zap.New(slogCore{cfg.Logger}),
		dead:   slices.Clone(cfg.Predecessors),
	}
	s.valueKey = access.Value
	if len(cfg.Endpoints) == 0 {
		return nil, errors.New("no etcd endpoints: set --etcd-endpoints")
	}
	if s.cfg.Requests == nil {
		s.cfg.Requests = func(string, string) {}
	}
	var err error
	if s.secrets, err = newSecrets(cfg); err != nil {
		return nil, err
	}
	return s, nil
}

// Cluster is the id of the etcd cluster that the latest session is in, and so that of a term under way; 0 before the first.
func (s *Store) Cluster() uint64 { return s.cluster.Load() }

// Certificates lists the files of certificates that etcd is reached with, and their ends, as they are now.
func (s *Store) Certificates() []Certificate { return s.secrets.certificates() }

// Attend looks at the files that etcd is reached with every few seconds, until ended is closed. It calls tell with what
// keeps them from being used, and what to do, whenever that is another thing than before; with nothing when all can be.
// tell must return once ended is closed.
func (s *Store) Attend(ended <-chan struct{}, tell func(why string)) {
	told := ""
	for {
		wait := attendEvery
		if why := s.secrets.look(); why != told {
			told = why
			tell(why)
		}
		switch {
		case told != "":
			wait = attendTrouble
		case !s.secrets.files():
			wait = math.MaxInt64
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-s.secrets.news:
			t.Stop()
		case <-ended:
			t.Stop()
			return
		}
	}
}

// How often Attend looks: while all is well, and while something is not.
const (
	attendEvery   = 5 * time.Second
	attendTrouble = time.Second
)

// Reread reads the files that etcd is reached with, which each handshake and each authentication does by itself, and logs
// what cannot be used of them: whoever has just replaced them need not wait for that.
func (s *Store) Reread() { s.secrets.reread() }

// Open implements election.Store. It makes a client, reads from the election, grants a lease that is
// settled in the raft term of that reading, and starts to keep it alive and to watch.
func (s *Store) Open(ctx context.Context, req election.OpenRequest) (election.Session, election.Opened, error) {
	ss := newSession(s, req)
	// The client is bound to the session, not to ctx, which ends with this call; but this call ends
	// with ctx, also where the library would go on waiting.
	stop := context.AfterFunc(ctx, ss.cancel)
	opened, err := ss.open(ctx)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		ss.shut()
		return nil, election.Opened{}, err
	}
	ss.run(opened)
	return ss, opened, nil
}

// leftover is what a session could not remove: its key, which somebody may have detached from its
// lease, or a lease. The zero value is nothing.
type leftover struct {
	key   string
	lease election.LeaseID
}

// leave notes what the next session is to remove. The list is short: leases run out by themselves.
func (s *Store) leave(l leftover) {
	if l.key == "" && l.lease == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Contains(s.left, l) {
		return
	}
	s.left = append(s.left, l)
	if len(s.left) > 16 {
		s.left = s.left[1:]
	}
}

// takeLeftover returns what was noted and forgets it.
func (s *Store) takeLeftover() []leftover {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.left
	s.left = nil
	return l
}

// requestTimeout bounds one attempt of a request that comes without a deadline of its own.
func (s *Store) requestTimeout() time.Duration { return 2 * election.CallTimeout(s.cfg.TTL) }

// reply turns a header and its instants into what the core judges.
func reply(sent, received election.Instant, h header) election.Reply {
	return election.Reply{Sent: sent, Received: received, RaftTerm: h.GetRaftTerm(), Revision: h.GetRevision()}
}

// header is the part of etcd's reply header that matters here.
type header interface {
	GetRaftTerm() uint64
	GetRevision() int64
}

// howMany counts the candidates. For that etcd reads its index alone.
func (s *Store) howMany() clientv3.Op {
	return clientv3.OpGet(s.prefix+"/", clientv3.WithPrefix(), clientv3.WithCountOnly())
}

// nothing selects a key of the election that never exists. Unlike the oldest key it costs etcd nothing to find, however
// many candidates stand.
func (s *Store) nothing() clientv3.Op { return clientv3.OpGet(s.prefix + "/") }

// firstCreate selects the oldest key of the election. etcd reads them all for it.
func (s *Store) firstCreate() clientv3.Op {
	return clientv3.OpGet(s.prefix+"/", clientv3.WithFirstCreate()...)
}

// firstTwo selects the two oldest keys, and counts all.
func (s *Store) firstTwo() clientv3.Op {
	return clientv3.OpGet(s.prefix+"/", append(clientv3.WithFirstCreate(), clientv3.WithLimit(2))...)
}

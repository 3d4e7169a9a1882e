//go:build mixed

package mixed

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/elector-dev/elector/internal/boottime"
	"github.com/elector-dev/elector/internal/devetcd"
	"github.com/elector-dev/elector/internal/devetcd/proc"
)

// The TTL where leases are to run out, and where none is; etcdctl elect has one of 60 s, and no setting for it. patience
// bounds every wait.
const (
	short    = 3 * time.Second
	long     = 30 * time.Second
	patience = 60 * time.Second
)

// kind is a kind of candidate.
type kind string

// The kinds.
const (
	now     kind = "elector"
	before  kind = "elector before"
	elect   kind = "etcdctl elect"
	library kind = "plain"
)

// promises reports whether a yes of the kind carries its end.
func (k kind) promises() bool { return k == now || k == before }

// belief is a yes: evaluated at an instant of the boot clock, and promised until another. What promises nothing ends as
// it begins.
type belief struct {
	token     int64
	at, until time.Duration
}

// bed is an election on an etcd.
type bed struct {
	*testing.T
	programs programs
	etcd     *devetcd.Embedded
	client   *clientv3.Client
	election string
	ttl      time.Duration
	dir      string

	mu         sync.Mutex // guards the fields below
	candidates []*candidate
	gone       map[int64]time.Duration // by create revision: when the key's deletion was heard of
}

func newBed(t *testing.T, p programs, e *devetcd.Embedded, client *clientv3.Client, election string, ttl time.Duration) *bed {
	b := &bed{T: t, programs: p, etcd: e, client: client, election: election, ttl: ttl, dir: t.TempDir(), gone: map[int64]time.Duration{}}
	ctx, stop := context.WithCancel(context.Background())
	heard := make(chan struct{})
	deletions := client.Watch(ctx, b.prefix(), clientv3.WithPrefix(), clientv3.WithPrevKV(), clientv3.WithFilterPut(), clientv3.WithCreatedNotify())
	<-deletions
	go func() {
		defer close(heard)
		for r := range deletions {
			at := boottime.Now()
			b.mu.Lock()
			for _, ev := range r.Events {
				b.gone[ev.PrevKv.CreateRevision] = at
			}
			b.mu.Unlock()
		}
	}()
	t.Cleanup(func() { stop(); <-heard })
	return b
}

func (b *bed) prefix() string { return "/elector/default/" + b.election + "/" }

// candidate is one process.
type candidate struct {
	*proc.Process
	bed  *bed
	kind kind
	id   string
	addr string
	log  string // file
	out  string // file, of etcdctl

	mu      sync.Mutex // guards beliefs
	beliefs []belief
}

// start runs a candidate, and polls it until the test's end.
func (b *bed) start(k kind, id string) *candidate {
	b.Helper()
	c := &candidate{bed: b, kind: k, id: id, log: filepath.Join(b.dir, id+".log"), out: filepath.Join(b.dir, id+".out")}
	var err error
	c.addr, err = devetcd.FreeAddress("127.0.0.1")
	must(b.T, err)
	endpoint := b.etcd.Endpoints()[0]
	args := []string{"--election", b.election, "--id", id, "--ttl", b.ttl.String(), "--answer-max", "500ms", "--http", c.addr, "--etcd-endpoints", endpoint}
	program := map[kind]string{now: b.programs.now, before: b.programs.before, library: b.programs.plain, elect: b.programs.etcdctl}[k]
	if k == elect {
		args = []string{"--endpoints", endpoint, "elect", strings.TrimSuffix(b.prefix(), "/"), id}
	}
	log, err := os.Create(c.log)
	must(b.T, err)
	defer log.Close() // the child has its own
	out, err := os.Create(c.out)
	must(b.T, err)
	defer out.Close()
	cmd := exec.Command(program, args...)
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "ELECTOR_") && !strings.HasPrefix(v, "ETCDCTL_") && !strings.HasPrefix(v, "POD_") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, "ETCDCTL_API=3")
	cmd.Stdout, cmd.Stderr = out, log
	c.Process, err = proc.Start(cmd)
	must(b.T, err)
	ctx, stop := context.WithCancel(context.Background())
	polled := make(chan struct{})
	go func() { defer close(polled); c.poll(ctx) }()
	b.Cleanup(func() {
		_ = c.Kill() // fails only when it has ended
		stop()
		<-polled
	})
	b.mu.Lock()
	b.candidates = append(b.candidates, c)
	b.mu.Unlock()
	return c
}

// poll asks all the time. A question to a frozen process waits in its socket until it is thawed.
func (c *candidate) poll(ctx context.Context) {
	client := &http.Client{Timeout: patience}
	defer client.CloseIdleConnections()
	for ctx.Err() == nil && !c.Ended() {
		if c.kind == elect {
			c.listen()
		} else {
			c.ask(ctx, client)
		}
		select {
		case <-ctx.Done():
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// answer is the part of a body of /leader that is of use here.
type answer struct {
	Leading           bool
	Token             int64
	ExpiresInMs       int64 `json:"expires_in_ms"`
	ExpiresBoottimeMs int64 `json:"expires_boottime_ms"`
}

func (c *candidate) ask(ctx context.Context, client *http.Client) {
	rq, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.addr+"/leader", nil)
	if err != nil {
		return
	}
	resp, err := client.Do(rq)
	if err != nil {
		return
	}
	defer resp.Body.Close()
	var a answer
	if json.NewDecoder(resp.Body).Decode(&a) != nil || resp.StatusCode != http.StatusOK || !a.Leading {
		return
	}
	until := time.Duration(a.ExpiresBoottimeMs) * time.Millisecond
	c.believe(belief{a.Token, until - time.Duration(a.ExpiresInMs)*time.Millisecond, until})
}

// listen looks whether etcdctl has printed its key, from when on whoever uses it believes to lead, until it ends.
func (c *candidate) listen() {
	out, err := os.ReadFile(c.out)
	if err != nil || bytes.Count(out, []byte("\n")) < 2 || c.Ended() || c.Paused() {
		return
	}
	key, _, _ := strings.Cut(string(out), "\n")
	if token, at := c.bed.created(key), boottime.Now(); !c.Ended() {
		c.believe(belief{token, at, at})
	}
}

// created is the create revision of a key, or what etcdctl's key had when it was there; 0: unknown.
func (b *bed) created(key string) int64 {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r, err := b.client.Get(ctx, key)
	if err != nil || len(r.Kvs) == 0 {
		return 0
	}
	return r.Kvs[0].CreateRevision
}

func (c *candidate) believe(b belief) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if b.token == 0 && len(c.beliefs) > 0 { // the key has gone, and etcdctl does not know it
		b.token = c.beliefs[len(c.beliefs)-1].token
	}
	c.beliefs = append(c.beliefs, b)
}

func (c *candidate) believed() []belief {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]belief(nil), c.beliefs...)
}

// leads waits for a yes with a token after another, and returns it. It is that of the oldest key.
func (c *candidate) leads(after int64) belief {
	c.bed.Helper()
	var yes belief
	c.bed.await(c.id+" leads", func() bool {
		all := c.believed()
		for _, y := range all {
			if y.token > after {
				yes = y
				return true
			}
		}
		return false
	})
	return yes
}

// await asks again and again whether something has come about.
func (b *bed) await(what string, done func() bool) {
	b.Helper()
	for limit := time.Now().Add(patience); ; {
		if done() {
			return
		}
		if time.Now().After(limit) {
			b.Fatalf("%s: it does not happen\n%+v\n%s", what, b.queue(), b.logs())
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-b.Context().Done():
			b.Fatal(b.Context().Err())
		}
	}
}

// standing is a key of the queue.
type standing struct {
	key, value string
	token      int64
	lease      clientv3.LeaseID
}

func (b *bed) queue() []standing {
	b.Helper()
	r, err := b.client.Get(b.Context(), b.prefix(), clientv3.WithPrefix(), clientv3.WithSort(clientv3.SortByCreateRevision, clientv3.SortAscend))
	must(b.T, err)
	var all []standing
	for _, kv := range r.Kvs {
		all = append(all, standing{string(kv.Key), string(kv.Value), kv.CreateRevision, clientv3.LeaseID(kv.Lease)})
	}
	return all
}

// stand waits until so many keys stand, and returns them.
func (b *bed) stand(n int) (all []standing) {
	b.Helper()
	b.await(strconv.Itoa(n)+" candidates", func() bool { all = b.queue(); return len(all) == n })
	return all
}

// revoke is what an operator does about the key of a dead etcdctl elect.
func (b *bed) revoke(token int64) {
	b.Helper()
	for _, s := range b.queue() {
		if s.token == token {
			_, err := b.client.Revoke(b.Context(), s.lease)
			must(b.T, err)
			return
		}
	}
	b.Fatalf("no key with token %d", token)
}

// stop asks a candidate to end, and waits for that.
func (c *candidate) stop() {
	c.bed.Helper()
	must(c.bed.T, c.Terminate())
	select {
	case <-c.Done():
	case <-time.After(patience):
		c.bed.Fatalf("%s does not end\n%s", c.id, c.bed.logs())
	}
}

func (b *bed) logs() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var text strings.Builder
	for _, c := range b.candidates {
		log, _ := os.ReadFile(c.log) // whatever there is
		fmt.Fprintf(&text, "%s:\n%s\n", c.id, log[max(0, len(log)-4000):])
	}
	return text.String()
}

// tell runs a verb of an elector's command, and returns its exit status and what was said.
func (c *candidate) tell(args ...string) (int, string) {
	c.bed.Helper()
	cmd := exec.CommandContext(c.bed.Context(), c.bed.programs.now, append(args, "--addr", c.addr)...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	_ = cmd.Run() // the exit status tells
	if cmd.ProcessState == nil {
		c.bed.Fatalf("elector %v does not start", args)
	}
	return cmd.ProcessState.ExitCode(), said.String()
}

// shown is what etcdctl shows of the leader: a key and its value.
func (b *bed) shown() (key, value string) {
	b.Helper()
	out, in, err := os.Pipe()
	must(b.T, err)
	defer out.Close()
	cmd := exec.Command(b.programs.etcdctl, "--endpoints", b.etcd.Endpoints()[0], "elect", "--listen", strings.TrimSuffix(b.prefix(), "/"))
	cmd.Env = append(os.Environ(), "ETCDCTL_API=3")
	cmd.Stdout = in
	p, err := proc.Start(cmd)
	must(b.T, errors.Join(err, in.Close()))
	defer func() { _ = p.Kill() }() // fails only when it has ended
	lines := bufio.NewReader(out)
	key, _ = lines.ReadString('\n') // an empty one fails the test
	value, _ = lines.ReadString('\n')
	return strings.TrimSpace(key), strings.TrimSpace(value)
}

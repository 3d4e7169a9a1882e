package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/elector-dev/elector/internal/boottime"
	"github.com/elector-dev/elector/internal/devetcd"
	"github.com/elector-dev/elector/internal/testenv"
)

// The conditions that etcd is in while people work on it, on the release of etcd that the run is about: make compat.

// tokens are the terms in which somebody was seen to say yes so far.
func (w *witness) tokens() map[int64]bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	seen := map[int64]bool{}
	for _, yes := range w.yes {
		for _, a := range yes {
			seen[a.Token] = true
		}
	}
	return seen
}

// oneTerm demands that all that was seen is the term with a token, and that it goes on.
func (w *witness) oneTerm(what string, p *process, token int64) {
	w.t.Helper()
	p.stillLeads(what, token)
	if seen := w.tokens(); len(seen) != 1 || !seen[token] {
		w.t.Errorf("%s: terms with the tokens %v, and %s led with %d", what, seen, p.id, token)
	}
}

// stillLeads demands a renewal from now on, in the same term.
func (p *process) stillLeads(what string, token int64) {
	p.t.Helper()
	begun := boottime.Now()
	p.await(what+": a further renewal", "/leader", func(a answer) bool {
		if a.code != 0 && (!leads(a) || a.Token != token) {
			p.t.Fatalf("%s: %s led with token %d, and now: %+v\n%s", what, p.id, token, a, p.logged())
		}
		return renewedSince(begun, a)
	})
}

// renewedSince reports whether the lease has been renewed, and that confirmed, since an instant.
func renewedSince(begun time.Duration, a answer) bool {
	return leads(a) && a.sent-time.Duration(a.Lease.SinceRenewalMs)*time.Millisecond > begun
}

// patient is a fleet with leases that outlast the moments in which a machine that many share does nothing.
func (e *etcd) patient(t *testing.T, n int) []*process {
	t.Helper()
	return e.fleetOf(t, n, "--ttl", "10s")
}

func bounded(t *testing.T, do func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	must(t, do(ctx))
}

// load writes to etcd until the test ends or the returned function is called, as much as one client can.
func (e *etcd) load(t *testing.T) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var workers sync.WaitGroup
	for i := range 4 {
		workers.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				within, done := context.WithTimeout(ctx, time.Second)
				_, _ = e.client.Put(within, fmt.Sprintf("/load/%d/%d", i, n%100), strings.Repeat("x", 1000))
				done()
			}
		})
	}
	stop = sync.OnceFunc(func() { cancel(); workers.Wait() })
	t.Cleanup(stop)
	return stop
}

// clusterVersion is the version on which all members have agreed.
func clusterVersion(ctx context.Context, endpoint string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, endpoint+"/version", nil)
	if err != nil {
		return "", err
	}
	r, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	var v struct {
		Cluster string `json:"etcdcluster"`
	}
	return v.Cluster, json.NewDecoder(r.Body).Decode(&v)
}

// Each member in turn is stopped and started as the next release, and etcd is never without a majority. A term
// may end when a member that leads etcd does; two never lead.
func TestRollingUpgradeHasOneLeaderAtATime(t *testing.T) {
	programs := testenv.Etcds(t)
	t.Parallel()
	e := startMembers(t, 3, devetcd.Options{Program: func(int) string { return programs[0] }})
	fleet := e.patient(t, 2)
	w := e.observe(t, fleet...)
	restarts := 0
	for _, program := range programs[1:] {
		release, err := devetcd.Inspect(t.Context(), program)
		must(t, err)
		for i := range e.Size() {
			bounded(t, e.Member(i).Stop)
			must(t, e.Member(i).RestartAs(program))
			bounded(t, e.WaitHealthy)
			restarts++
			begun := boottime.Now()
			for renewed := false; !renewed; pause(t) {
				_, yes := leader(t, fleet...)
				renewed = renewedSince(begun, yes)
			}
		}
		// etcd itself goes up by one minor release at a time: the members have to agree on this one first.
		bounded(t, func(ctx context.Context) error {
			for {
				v, err := clusterVersion(ctx, e.Member(0).Endpoint())
				if err != nil || strings.HasPrefix(v, release.Minor()+".") {
					return err
				}
				pause(t)
				if ctx.Err() != nil {
					return fmt.Errorf("the cluster stays at %s: %w", v, ctx.Err())
				}
			}
		})
		t.Logf("all members are %s; %d terms so far", release.Version, len(w.tokens()))
	}
	if n := len(w.tokens()); n > 1+restarts {
		t.Errorf("%d terms in %d restarts of members", n, restarts)
	}
	first, yes := leader(t, fleet...)
	t.Logf("%d restarts of members, %d terms", restarts, len(w.tokens()))
	must(t, first.Terminate())
	if _, next := leader(t, others(fleet, first)...); next.Token <= yes.Token {
		t.Errorf("token %d follows %d", next.Token, yes.Token)
	}
}

func TestOneThreeAndFiveMembers(t *testing.T) {
	testenv.Compat(t)
	t.Parallel()
	for _, members := range []int{1, 3, 5} {
		t.Run(fmt.Sprint(members), func(t *testing.T) {
			t.Parallel()
			e := startMembers(t, members, devetcd.Options{})
			fleet := e.patient(t, 3)
			e.observe(t, fleet...)
			first, yes := leader(t, fleet...)
			// As many members as a majority can be without, etcd's leader first.
			for range (members - 1) / 2 {
				var at int
				bounded(t, func(ctx context.Context) (err error) { at, err = e.Leader(ctx); return err })
				must(t, e.Member(at).Kill())
				bounded(t, e.WaitHealthy)
			}
			first.stillLeads("with the smallest majority", yes.Token)
			must(t, first.Terminate())
			second, next := leader(t, others(fleet, first)...)
			if next.Token <= yes.Token {
				t.Errorf("token %d follows %d", next.Token, yes.Token)
			}
			must(t, second.Kill())
			third, last := leader(t, others(others(fleet, first), second)...)
			if last.Token <= next.Token {
				t.Errorf("token %d follows %d", last.Token, next.Token)
			}
			for i := range members {
				if !e.Member(i).Running() {
					must(t, e.Member(i).Restart())
				}
			}
			bounded(t, e.WaitHealthy)
			third.await("leading", "/leader", leads)
		})
	}
}

// A learner refuses everything that electors ask for. Whoever names it among other members is served by those.
func TestLearnerAmongTheEndpoints(t *testing.T) {
	testenv.Compat(t)
	t.Parallel()
	for _, auth := range []bool{false, true} {
		t.Run(fmt.Sprintf("password %v", auth), func(t *testing.T) {
			t.Parallel()
			opts := devetcd.Options{TLS: auth}
			if auth {
				opts.Auth = &devetcd.Auth{User: "worker", Password: "right"}
			}
			e := startEtcd(t, opts)
			var args []string
			if auth {
				args = e.secured(t)
			}
			outside := &etcd{client: e.client} // its electors are told their endpoints
			voters := strings.Join(e.Endpoints(), ",")
			learner := 0
			bounded(t, func(ctx context.Context) (err error) { learner, err = e.AddLearner(ctx); return err })
			apart := e.Member(learner).Endpoint()

			var fleet []*process
			for i, endpoints := range []string{apart + "," + voters, voters + "," + apart, voters} {
				p := outside.start(t, fmt.Sprintf("w%d", i+1), append(slices.Clone(args), "--etcd-endpoints", endpoints, "--ttl", "10s")...)
				p.await("standing", "/status", func(a answer) bool { return a.Registered && a.Leader.Identity != "" })
				fleet = append(fleet, p)
			}
			for len(fleet) > 1 { // each leads, and knows the learner or not
				w := e.observe(t, fleet...)
				l, yes := leader(t, fleet...)
				for range 3 {
					w.oneTerm("beside a learner", l, yes.Token)
				}
				for _, p := range others(fleet, l) {
					p.await("naming the leader", "/status", func(a answer) bool { return follows(a) && a.Leader.Identity == l.id })
				}
				w.judge()
				must(t, l.Terminate())
				if status := l.awaitExit(); status != 0 {
					t.Errorf("%s exits with %d", l.id, status)
				}
				fleet = others(fleet, l)
			}
			leader(t, fleet...)

			alone := outside.start(t, "w4", append(slices.Clone(args), "--etcd-endpoints", apart, "--ttl", "10s")...)
			alone.await("saying what it lacks", "/status", func(a answer) bool { return strings.Contains(a.Refusal, "learner") })
		})
	}
}

// secured are the flags with which the user worker comes.
func (e *etcd) secured(t *testing.T) []string {
	t.Helper()
	password := t.TempDir() + "/password"
	replace(t, password, "right\n")
	f := e.TLS()
	return []string{
		"--etcd-cacert", f.CACert, "--etcd-cert", f.ClientCert, "--etcd-key", f.ClientKey,
		"--etcd-user", "worker", "--etcd-password-file", password,
	}
}

func TestMemberIsReplacedUnderLoad(t *testing.T) {
	testenv.Compat(t)
	t.Parallel()
	e := startEtcd(t, devetcd.Options{})
	fleet := e.patient(t, 2)
	w := e.observe(t, fleet...)
	l, yes := leader(t, fleet...)
	stop := e.load(t)
	l.stillLeads("under load", yes.Token)
	for _, leads := range []bool{false, true} { // a follower, then etcd's leader
		bounded(t, func(ctx context.Context) error {
			at, err := e.Leader(ctx)
			if err != nil {
				return err
			}
			if !leads {
				at = (at + 1) % e.Size()
			}
			return e.Remove(ctx, at)
		})
		l.stillLeads("without a member", yes.Token)
		bounded(t, func(ctx context.Context) error { _, err := e.Add(ctx); return err })
		w.oneTerm("with another member", l, yes.Token)
	}
	stop()
	must(t, l.Terminate())
	leader(t, others(fleet, l)...)
}

// A member answers nothing while it is defragmented.
func TestEveryMemberIsDefragmented(t *testing.T) {
	testenv.Compat(t)
	t.Parallel()
	e := startEtcd(t, devetcd.Options{})
	fleet := e.patient(t, 2)
	w := e.observe(t, fleet...)
	l, yes := leader(t, fleet...)
	e.fill(t, 96<<20)
	r, err := e.client.Delete(t.Context(), "/junk/", clientv3.WithPrefix())
	must(t, err)
	_, err = e.client.Compact(t.Context(), r.Header.Revision, clientv3.WithCompactPhysical())
	must(t, err)
	for i := range e.Size() {
		begun := time.Now()
		bounded(t, func(ctx context.Context) error {
			before, err := e.client.Status(ctx, e.Member(i).Endpoint())
			if err == nil {
				_, err = e.client.Defragment(ctx, e.Member(i).Endpoint())
			}
			if err != nil {
				return err
			}
			after, err := e.client.Status(ctx, e.Member(i).Endpoint())
			if err == nil && after.DbSize >= before.DbSize/2 {
				err = fmt.Errorf("member %d holds %d bytes after %d", i, after.DbSize, before.DbSize)
			}
			t.Logf("member %d: %d bytes, then %d, in %v", i, before.DbSize, after.DbSize, time.Since(begun))
			return err
		})
		w.oneTerm("defragmented", l, yes.Token)
	}
	must(t, l.Terminate())
	leader(t, others(fleet, l)...)
}

// fill writes so many bytes, and reports whether etcd took them all: it may be full before.
func (e *etcd) fill(t *testing.T, bytes int) (full bool) {
	t.Helper()
	junk := strings.Repeat("junk", 128<<10)
	for i := 0; i*len(junk) < bytes; i++ {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		_, err := e.client.Put(ctx, fmt.Sprintf("/junk/%d", i), junk)
		cancel()
		if errors.Is(err, rpctypes.ErrNoSpace) {
			return true
		}
		must(t, err)
	}
	return false
}

// Compactions, each of all history there is, end watches that are behind, and reads of older revisions.
func TestStormOfCompactions(t *testing.T) {
	testenv.Compat(t)
	t.Parallel()
	e := startEtcd(t, devetcd.Options{})
	fleet := e.patient(t, 3)
	w := e.observe(t, fleet...)
	l, yes := leader(t, fleet...)
	compactions := 0
	storm := func(until func() bool) {
		for !until() {
			r, err := e.client.Put(t.Context(), "/storm", fmt.Sprint(compactions))
			must(t, err)
			_, err = e.client.Compact(t.Context(), r.Header.Revision)
			must(t, err)
			compactions++
		}
	}
	end := time.Now().Add(2 * ttl)
	storm(func() bool { return time.Now().After(end) })
	w.oneTerm("among compactions", l, yes.Token)
	// A candidate that comes, and a leader that goes, among them.
	must(t, l.Terminate())
	var second *process
	var next answer
	storm(func() bool {
		for _, p := range others(fleet, l) {
			if a := p.get("/leader"); leads(a) {
				second, next = p, a
			}
		}
		return second != nil
	})
	if next.Token <= yes.Token {
		t.Errorf("token %d follows %d", next.Token, yes.Token)
	}
	late := e.start(t, "late", "--ttl", "10s")
	storm(func() bool { a := late.get("/status"); return follows(a) && a.Leader.Identity == second.id })
	t.Logf("%d compactions", compactions)
}

// An etcd whose database is full takes neither keys nor leases, but lets the ones that there are live. So a leader goes
// on, until etcd's leadership moves or it ends; nobody can follow it before a person has made room.
func TestFullEtcdKeepsItsLeaderAndSaysWhatItLacks(t *testing.T) {
	testenv.Compat(t)
	t.Parallel()
	e := startEtcd(t, devetcd.Options{Quota: 16 << 20})
	fleet := e.patient(t, 2)
	w := e.observe(t, fleet...)
	l, yes := leader(t, fleet...)
	if !e.fill(t, 64<<20) {
		t.Fatal("etcd takes more than its quota")
	}
	for range 3 {
		w.oneTerm("with a full etcd", l, yes.Token)
	}
	late := e.start(t, "late", "--ttl", "10s")
	said := late.await("saying what it lacks", "/status", func(a answer) bool { return strings.Contains(a.Refusal, "full") })
	t.Logf("a candidate that comes says: %s", said.Refusal)

	// Whoever stands already can lead: it has its lease and its key.
	must(t, l.Terminate())
	second, next := leader(t, others(fleet, l)...)
	if next.Token <= yes.Token {
		t.Errorf("token %d follows %d", next.Token, yes.Token)
	}
	second.stillLeads("with a full etcd", next.Token)

	// When etcd's leadership moves, the key cannot be bound to a new lease, and the term ends with its old one.
	var at int
	bounded(t, func(ctx context.Context) (err error) { at, err = e.Leader(ctx); return err })
	bounded(t, func(ctx context.Context) error { return e.MoveLeader(ctx, (at+1)%e.Size()) })
	second.await("saying what it lacks", "/status", func(a answer) bool { return strings.Contains(a.Refusal, "full") })
	second.await("the end of the term", "/leader", func(a answer) bool { return a.code == http.StatusServiceUnavailable })
	t.Logf("a leader that must bind its key says: %s", second.get("/status").Refusal)

	r, err := e.client.Delete(t.Context(), "/junk/", clientv3.WithPrefix())
	must(t, err)
	_, err = e.client.Compact(t.Context(), r.Header.Revision, clientv3.WithCompactPhysical())
	must(t, err)
	for _, endpoint := range e.Endpoints() {
		bounded(t, func(ctx context.Context) error { _, err := e.client.Defragment(ctx, endpoint); return err })
	}
	bounded(t, func(ctx context.Context) error {
		_, err := e.client.AlarmDisarm(ctx, &clientv3.AlarmMember{})
		return err
	})
	third, last := leader(t, second, late)
	if last.Token <= next.Token {
		t.Errorf("token %d follows %d", last.Token, next.Token)
	}
	for _, p := range []*process{second, late} {
		p.await("nothing refused", "/status", func(a answer) bool { return a.Registered && a.Refusal == "" })
	}
	t.Logf("%s leads after etcd has room again", third.id)
}

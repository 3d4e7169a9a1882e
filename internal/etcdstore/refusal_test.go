package etcdstore_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"

	"github.com/elector-dev/elector/internal/devetcd"
	"github.com/elector-dev/elector/internal/election"
	"github.com/elector-dev/elector/internal/etcdstore"
	"github.com/elector-dev/elector/internal/record"
)

// openWith opens a session with a changed configuration and returns the error.
func openWith(t *testing.T, b *bed, change func(*etcdstore.Config)) error {
	t.Helper()
	b.config = change
	store := b.Store("a", "1")
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	s, _, err := store.Open(ctx, election.OpenRequest{
		Number: 1, TTL: 3 * time.Second, Sink: func(election.Event) {}, Alive: func() bool { return true },
	})
	if err != nil {
		return err
	}
	defer s.Close(true, election.Claim{})
	_, err = s.Campaign(ctx)
	return err
}

// refused checks that an error is a refusal that says what to do.
func refused(t *testing.T, err error, remedy string) {
	t.Helper()
	switch {
	case !errors.Is(err, election.ErrRefused):
		t.Errorf("got %v, not a refusal", err)
	case !strings.Contains(err.Error(), remedy):
		t.Errorf("%q does not say %q", err, remedy)
	}
}

func TestRefusalsByPasswordAccessSayWhatToDo(t *testing.T) {
	etcd := startEtcd(t, devetcd.Options{Auth: &devetcd.Auth{User: "worker", Password: "right", Prefix: "/elector/"}})
	b := newBed(t, etcd.Endpoints())
	user := func(name, password string) func(*etcdstore.Config) {
		return func(c *etcdstore.Config) { c.User, c.Password = name, password }
	}
	if err := openWith(t, b, user("worker", "right")); err != nil {
		t.Errorf("with the right password: %v", err)
	}
	refused(t, openWith(t, b, user("worker", "wrong")), "--etcd-password-file")
	refused(t, openWith(t, b, user("", "")), "set --etcd-user")
	refused(t, openWith(t, b, func(c *etcdstore.Config) {
		user("worker", "right")(c)
		c.Prefix = "/elsewhere"
	}), "readwrite --prefix=true /elsewhere/default/"+b.election+"/")

	file := filepath.Join(t.TempDir(), "password")
	must(t, os.WriteFile(file, []byte("right\n"), 0o600))
	if err := openWith(t, b, func(c *etcdstore.Config) { c.User, c.PasswordFile = "worker", file }); err != nil {
		t.Errorf("with the password from a file: %v", err)
	}
}

// slowToSignIn lets nobody in, and does not say so.
type slowToSignIn struct{ pb.UnimplementedAuthServer }

func (slowToSignIn) Authenticate(ctx context.Context, _ *pb.AuthenticateRequest) (*pb.AuthenticateResponse, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// The library signs in when a client is made, by the client's own context.
func TestAnEtcdThatDoesNotAnswerToAPasswordIsGivenUp(t *testing.T) {
	t.Parallel()
	server := grpc.NewServer()
	pb.RegisterAuthServer(server, slowToSignIn{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	go func() { _ = server.Serve(l) }()
	t.Cleanup(server.Stop)
	b := newBed(t, []string{"http://" + l.Addr().String()})
	b.config = func(c *etcdstore.Config) { c.User, c.Password = "worker", "right" }
	store := b.Store("a", "1")
	opened := make(chan error, 1)
	go func() {
		_, _, err := store.Open(t.Context(), request(3*time.Second, func(election.Event) {}))
		opened <- err
	}()
	if err := await(t, "the end of waiting", opened); err == nil || !strings.Contains(err.Error(), "no answer from etcd") {
		t.Errorf("%v", err)
	}
}

func TestRefusalOfAWriteIsToldAndSurvived(t *testing.T) {
	etcd := startEtcd(t, devetcd.Options{Auth: &devetcd.Auth{User: "worker", Password: "right", ReadOnly: true}})
	b := newBed(t, etcd.Endpoints())
	refused(t, openWith(t, b, func(c *etcdstore.Config) { c.User, c.Password = "worker", "right" }), "readwrite")
}

func TestRefusalsByTLSSayWhatToDo(t *testing.T) {
	etcd := startEtcd(t, devetcd.Options{TLS: true})
	files := etcd.TLS()
	b := newBed(t, etcd.Endpoints())
	right := func(c *etcdstore.Config) { c.CACert, c.Cert, c.Key = files.CACert, files.ClientCert, files.ClientKey }
	if err := openWith(t, b, right); err != nil {
		t.Errorf("with the right certificates: %v", err)
	}
	refused(t, openWith(t, b, func(c *etcdstore.Config) { c.CACert = files.CACert }), "--etcd-cert and --etcd-key")
	refused(t, openWith(t, b, func(*etcdstore.Config) {}), "--etcd-cacert")
	other, err := devetcd.NewTLSFiles(t.TempDir(), "elector", "127.0.0.1")
	must(t, err)
	refused(t, openWith(t, b, func(c *etcdstore.Config) { right(c); c.CACert = other.CACert }), "--etcd-cacert")
	refused(t, openWith(t, b, func(c *etcdstore.Config) { right(c); c.Cert, c.Key = other.ClientCert, other.ClientKey }), "--etcd-cert")

	refused(t, openWith(t, b, func(c *etcdstore.Config) {
		c.Endpoints = []string{strings.Replace(etcd.Endpoints()[0], "https:", "http:", 1)}
	}), "use https://")

	plain := startEtcd(t, devetcd.Options{})
	refused(t, openWith(t, newBed(t, plain.Endpoints()), func(c *etcdstore.Config) {
		right(c)
		c.Endpoints = []string{strings.Replace(plain.Endpoints()[0], "http:", "https:", 1)}
	}), "use http://")
}

func TestBadFilesAreRefusedBeforeAnythingStarts(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty")
	must(t, os.WriteFile(empty, nil, 0o600))
	missing := filepath.Join(dir, "missing")
	for want, change := range map[string]func(*etcdstore.Config){
		`--etcd-cacert "` + missing + `" cannot be read: no such file or directory: put it there`: func(c *etcdstore.Config) { c.CACert = missing },
		"holds no certificate":                                  func(c *etcdstore.Config) { c.CACert = empty },
		"are not a pair: put in a certificate":                  func(c *etcdstore.Config) { c.Cert, c.Key = empty, empty },
		`--etcd-password-file "` + missing + `" cannot be read`: func(c *etcdstore.Config) { c.User, c.PasswordFile = "u", missing },
		"is empty: put the password":                            func(c *etcdstore.Config) { c.User, c.PasswordFile = "u", empty },
		"no etcd endpoints: set --etcd":                         func(c *etcdstore.Config) { c.Endpoints = nil },
	} {
		cfg := etcdstore.Config{Endpoints: []string{"http://127.0.0.1:1"}, TTL: 3 * time.Second}
		change(&cfg)
		if _, err := etcdstore.New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestUnreachableEtcdIsNamedAsTheReason(t *testing.T) {
	b := newBed(t, []string{"http://127.0.0.1:1"})
	err := openWith(t, b, func(*etcdstore.Config) {})
	if err == nil || errors.Is(err, election.ErrRefused) || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("got %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := b.Store("a", "1").Open(ended, request(3*time.Second, func(election.Event) {})); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "read the election") {
		t.Errorf("got %v", err)
	}
}

// workersBed is a bed in an etcd with passwords. Its own client may do everything, and its stores come as a user with a role.
func workersBed(t *testing.T) *bed {
	t.Helper()
	etcd := startEtcd(t, devetcd.Options{Auth: &devetcd.Auth{User: "worker", Password: "right", Prefix: "/elector/"}})
	root, err := etcd.ClientConfig()
	must(t, err)
	b := newBedWith(t, root)
	b.change = func(c *etcdstore.Config) { c.User, c.Password = "worker", "right" }
	return b
}

// A permission that is taken away in the middle of a term is told, and its return is noticed.
func TestPermissionTakenAwayEndsTheTermUntilItIsGivenBack(t *testing.T) {
	b := workersBed(t)
	a := b.join("a", 2*time.Second, nil)
	first := a.awaitPhase(election.Leader)
	end := clientv3.GetPrefixRangeEnd("/elector/")
	within(t, func(ctx context.Context) (any, error) {
		return b.client.RoleRevokePermission(ctx, "worker", "/elector/", end)
	})
	refused := a.await("a refusal", func(s election.State) bool { return s.Cause == election.CauseRefused })
	if !strings.Contains(refused.Refusal, "readwrite --prefix=true /elector/default/") || a.Look().Leading {
		t.Errorf("state %+v", refused)
	}
	within(t, func(ctx context.Context) (any, error) {
		return b.client.RoleGrantPermission(ctx, "worker", "/elector/", end, clientv3.PermissionType(clientv3.PermReadWrite))
	})
	if again := a.awaitPhase(election.Leader); again.Token <= first.Token || again.Refusal != "" {
		t.Errorf("leads again as %+v, after %+v", again, first)
	}
}

// Somebody may have deleted a value, or it has never been there.
func TestAValueThatHasGoneDoesNotKeepTheLeadFromANewLease(t *testing.T) {
	b := trapEtcd(t)
	s := b.seat(nil, time.Minute)
	claim := s.claim(await(t, "the win", s.campaign(b.ctx())).won)
	put := election.ValuePut{Token: claim.Token, Bytes: []byte("here"), ContentType: "text/plain", Revision: election.AnyRevision}
	if _, err := s.PutValue(b.ctx(), claim, put); err != nil {
		t.Fatal(err)
	}
	b.Delete(b.valueKey())
	if rb, err := s.Rebind(b.ctx(), claim, s.opened.Grant.Reply.RaftTerm); err != nil || !rb.Bound {
		t.Errorf("%+v, %v", rb, err)
	}
}

// The value's key is not among the candidates' keys, and a role may come to lack it alone.
func TestLeadDoesNotHangOnThePermissionForTheValue(t *testing.T) {
	b := workersBed(t)
	s := b.seat(nil, 5*time.Second)
	won := await(t, "the win", s.campaign(b.ctx()))
	claim := s.claim(won.won)
	put := election.ValuePut{Token: claim.Token, Bytes: []byte("here"), ContentType: "text/plain", Revision: election.AnyRevision}
	if _, err := s.PutValue(b.ctx(), claim, put); err != nil {
		t.Fatal(err)
	}
	within(t, func(ctx context.Context) (any, error) {
		return b.client.RoleRevokePermission(ctx, "worker", "/elector/", clientv3.GetPrefixRangeEnd("/elector/"))
	})
	within(t, func(ctx context.Context) (any, error) {
		return b.client.RoleGrantPermission(ctx, "worker", b.prefix()+"/", clientv3.GetPrefixRangeEnd(b.prefix()+"/"), clientv3.PermissionType(clientv3.PermReadWrite))
	})
	rb, err := s.Rebind(b.ctx(), claim, s.opened.Grant.Reply.RaftTerm)
	if err != nil || !rb.Bound {
		t.Errorf("without permission for the value: %+v, %v", rb, err)
	}
	_, err = s.PutValue(b.ctx(), election.Claim{Token: claim.Token, Mod: rb.Reply.Revision, Lease: rb.Grant.Lease}, put)
	refused(t, err, "readwrite '"+b.prefix()+"#value'")
}

// Who has never seen a value does not ask for it again and again, and is told all the same that it may not read it.
func TestAnElectorThatMayNotReadTheValueIsTold(t *testing.T) {
	b := workersBed(t)
	own, all := b.prefix()+"/", "/elector/"
	_, err := b.client.RoleGrantPermission(b.ctx(), "worker", own, clientv3.GetPrefixRangeEnd(own), clientv3.PermissionType(clientv3.PermReadWrite))
	must(t, err)
	_, err = b.client.RoleRevokePermission(b.ctx(), "worker", all, clientv3.GetPrefixRangeEnd(all))
	must(t, err)
	s := b.seat(nil, time.Minute)
	event(s, func(e election.Refused) bool { return strings.Contains(e.Why, "readwrite on the value's key too") })
}

// Between the reading of the value and the put somebody else may write there, be it a value or not.
func TestAPutThatIsOvertakenIsMadeAnew(t *testing.T) {
	b := trapEtcd(t)
	var overtake atomic.Pointer[func()]
	b.change = func(c *etcdstore.Config) {
		c.Requests = func(op, _ string) {
			if op != "txn" {
				return
			}
			if f := overtake.Swap(nil); f != nil {
				(*f)()
			}
		}
	}
	s := b.seat(nil, time.Minute)
	claim := s.claim(await(t, "the win", s.campaign(b.ctx())).won)
	event(s, anyOf[election.OwnKeyPut])
	put := election.ValuePut{Token: claim.Token, Bytes: []byte("ours"), ContentType: "text/plain", Revision: election.AnyRevision}
	for _, theirs := range []string{record.EncodeValue(election.ValuePut{Bytes: []byte("theirs"), Token: 1}), "no value at all"} {
		write := func() {
			_, err := b.client.Put(b.ctx(), b.valueKey(), theirs)
			must(t, err)
		}
		overtake.Store(&write)
		v, err := s.PutValue(b.ctx(), claim, put)
		if err != nil || string(v.Bytes) != "ours" || overtake.Load() != nil {
			t.Fatalf("%+v, %v", v, err)
		}
		r, err := b.client.Get(b.ctx(), b.valueKey())
		must(t, err)
		if kv := r.Kvs[0]; string(kv.Value) != record.EncodeValue(put) || kv.ModRevision != v.Revision {
			t.Errorf("%q is there from revision %d, and said to be put is %+v", kv.Value, kv.ModRevision, v)
		}
	}
}

// Whether the value may be read is found out while nobody asks, and that it may be written again.
func TestPermissionForTheValueIsToldAsItIs(t *testing.T) {
	t.Parallel()
	b := workersBed(t)
	var told requests
	b.change = func(c *etcdstore.Config) { c.User, c.Password, c.Requests = "worker", "right", told.tell }
	s := b.seat(nil, 3*time.Second)
	claim := s.claim(await(t, "the win", s.campaign(b.ctx())).won)
	_, err := b.client.Put(b.ctx(), b.valueKey(), record.EncodeValue(election.ValuePut{Bytes: []byte("v"), Token: claim.Token}))
	must(t, err)
	event(s, func(e election.ValueSeen) bool { return e.Value != nil })
	role := func(key, end string, permission clientv3.PermissionType) {
		t.Helper()
		_, err := b.client.RoleGrantPermission(b.ctx(), "worker", key, end, permission)
		must(t, err)
	}
	own, all := b.prefix()+"/", "/elector/"
	role(own, clientv3.GetPrefixRangeEnd(own), clientv3.PermissionType(clientv3.PermReadWrite))
	role(b.valueKey(), "", clientv3.PermissionType(clientv3.PermRead))
	_, err = b.client.RoleRevokePermission(b.ctx(), "worker", all, clientv3.GetPrefixRangeEnd(all))
	must(t, err)
	signs := func() { // two, each of which is two watches, and what comes of them
		t.Helper()
		for range 5 {
			told.awaitMore(t, "watch OK")
		}
	}
	refused := func(e election.Refused) bool {
		return strings.Contains(e.Why, "readwrite on the value's key too")
	}
	over := func(e election.Refused) bool { return e.Why == "" }

	_, err = s.PutValue(b.ctx(), claim, election.ValuePut{Token: claim.Token, Bytes: []byte("here"), ContentType: "text/plain", Revision: election.AnyRevision})
	if !errors.Is(err, election.ErrRefused) {
		t.Errorf("without permission to write: %v", err)
	}
	event(s, refused)
	signs()
	for len(s.events) > 0 {
		if e, ok := (<-s.events).(election.Refused); ok && !refused(e) {
			t.Errorf("nothing has changed, and told is %+v", e)
		}
	}
	role(b.valueKey(), "", clientv3.PermissionType(clientv3.PermReadWrite))
	event(s, over)
	txns, ranges := told.count("txn OK"), told.count("range OK")
	signs()
	if t1, r1 := told.count("txn OK"), told.count("range OK"); t1 != txns || r1 != ranges {
		t.Errorf("%d times it asks for permission that it has", t1-txns+r1-ranges)
	}
	_, err = b.client.RoleRevokePermission(b.ctx(), "worker", b.valueKey(), "")
	must(t, err)
	event(s, refused)
	role(b.valueKey(), "", clientv3.PermissionType(clientv3.PermReadWrite))
	event(s, over)
}

// Who waits asks for nothing, its watches go on without permission to read, and so do its keep-alives.
func TestCandidateThatWaitsIsToldThatItIsRefused(t *testing.T) {
	b := workersBed(t)
	as := func(user, password string, told *requests) func(*etcdstore.Config) {
		return func(c *etcdstore.Config) { c.User, c.Password, c.Requests = user, password, told.tell }
	}
	b.change = as("root", "root", &requests{})
	leader := b.join("a", 3*time.Second, nil)
	term := leader.awaitPhase(election.Leader)
	var told requests
	b.change = as("worker", "right", &told)
	waiting := b.join("b", 3*time.Second, nil)
	place := waiting.awaitPhase(election.Follower)
	told.reach(t, "watch OK", 6, waiting) // four watches, of which the campaign's may be the last, the own key, and a sign of life
	end := clientv3.GetPrefixRangeEnd("/elector/")
	for _, r := range []struct {
		take, give func(context.Context) (any, error)
		says       string
		keeps      bool // its place
	}{
		{
			func(ctx context.Context) (any, error) {
				return b.client.RoleGrantPermission(ctx, "worker", "/elector/", end, clientv3.PermissionType(clientv3.PermWrite))
			},
			func(ctx context.Context) (any, error) {
				return b.client.RoleGrantPermission(ctx, "worker", "/elector/", end, clientv3.PermissionType(clientv3.PermReadWrite))
			}, "readwrite --prefix=true /elector/default/", true,
		},
		{
			func(ctx context.Context) (any, error) { return b.client.UserDelete(ctx, "worker") },
			func(ctx context.Context) (any, error) {
				_, err := b.client.UserAdd(ctx, "worker", "right")
				must(t, err)
				return b.client.UserGrantRole(ctx, "worker", "worker")
			}, `user "worker" or its password is wrong`, false,
		},
	} {
		within(t, r.take)
		refused := waiting.await("a refusal", func(s election.State) bool { return strings.Contains(s.Refusal, r.says) })
		if r.keeps && refused.Cause != election.CauseRegistered {
			t.Errorf("its campaign has failed before it was told: %+v", refused)
		}
		within(t, r.give)
		after := waiting.await("its end", func(s election.State) bool { return s.Refusal == "" })
		if now := leader.Look(); now.Token != term.Token || r.keeps && after.Lease != place.Lease {
			t.Errorf("the leader is %+v; who waits is %+v, and was %+v", now, after, place)
		}
	}
}

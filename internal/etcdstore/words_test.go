package etcdstore

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/elector-dev/elector/internal/election"
)

// Each refusal has a remedy; what is none keeps its own words.
func TestErrorsSayWhatToDoWhereThereIsSomething(t *testing.T) {
	plain := Config{Endpoints: []string{"http://etcd:2379"}, User: "u"}
	secure := Config{Endpoints: []string{"https://etcd:2379"}}
	cert := Config{Endpoints: []string{"unixs://etcd"}, Cert: "c.pem"}
	handshake := func(text string) error {
		return errors.New("connection error: authentication handshake failed: tls: x509: " + text)
	}
	for _, row := range []struct {
		cfg   Config
		err   error
		first bool   // by the first request of a client
		want  string // of the remedy; empty: it is no refusal
	}{
		{plain, rpctypes.ErrGRPCPermissionDenied, false, `user "u" lacks permission: its role needs readwrite on the keys under /p/ (etcdctl role grant-permission ROLE readwrite --prefix=true /p/)`},
		{plain, errors.New("etcdserver: permission denied"), false, `user "u" lacks permission`},
		{plain, rpctypes.ErrGRPCAuthFailed, false, `user "u" or its password is wrong`},
		{plain, rpctypes.ErrAuthFailed, false, `user "u" or its password is wrong`},
		{plain, fmt.Errorf("somewhere: %w", rpctypes.ErrAuthFailed), false, `user "u" or its password is wrong`},
		{plain, rpctypes.ErrGRPCUserEmpty, false, "etcd wants a user"},
		{plain, rpctypes.ErrUserEmpty, true, "etcd wants a user"},
		{secure, handshake("certificate signed by unknown authority"), false, "an authority that is not in --etcd-cacert"},
		{secure, handshake("certificate is valid for a, not b"), false, "other names than the endpoint's: use one of its names in --etcd-endpoints, or have the certificate name the endpoint (x509: certificate is valid for a, not b)"},
		{secure, handshake("certificate is not valid for any names, but wanted b"), false, "other names than the endpoint's"},
		{secure, handshake("cannot validate certificate for 1.2.3.4"), false, "other names than the endpoint's"},
		{secure, handshake("certificate has expired or is not yet valid: x"), false, "has ended, or is not valid yet"},
		{secure, handshake("something new"), false, "is not accepted: check --etcd-cacert and the names in the certificate (x509: something new)"},
		{secure, errors.New("remote error: tls: certificate required"), false, "the member wants a client certificate: set --etcd-cert and --etcd-key (tls: certificate required)"},
		{cert, errors.New("remote error: tls: bad certificate"), false, "check --etcd-cert and --etcd-key, and that the members trust"},
		{cert, errors.New("remote error: tls: unknown certificate authority"), false, "the member does not accept the client's certificate"},
		{cert, errors.New("remote error: tls: expired certificate"), false, "the member does not accept the client's certificate"},
		{cert, errors.New("remote error: tls: unsupported certificate"), false, "the member does not accept the client's certificate"},
		{cert, errors.New("remote error: tls: revoked certificate"), false, "the member does not accept the client's certificate"},
		{secure, errors.New("remote error: tls: protocol version not supported"), false, "the member refuses the TLS handshake: look at its log and its settings for TLS (tls: protocol version not supported)"},
		{secure, errors.New("tls: first record does not look like a TLS handshake"), false, "the endpoint does not speak TLS"},
		{secure, errors.New("authentication handshake failed: EOF"), true, "the endpoint does not speak TLS"},
		{cert, errors.New("authentication handshake failed: read tcp 1.2.3.4:5->6.7.8.9:2379: read: connection reset by peer"), true, "the endpoint does not speak TLS"},
		{plain, errors.New("error reading server preface: EOF"), true, "the member closed the connection, as it does when it speaks TLS: use https://"},
		{plain, errors.New("error reading server preface: connection reset by peer"), true, "the member closed the connection"},
		{plain, errors.New("error reading server preface: EOF"), false, ""},
		{plain, errors.New("write: broken pipe"), true, ""},
		{secure, errors.New("write: broken pipe"), true, "the member wants a client certificate"},
		{cert, errors.New("read: EOF; latest error: remote error: tls: bad certificate"), true, "(tls: bad certificate)"},
		{cert, errors.New("read: EOF"), true, "the member does not accept the client's certificate"},
		{secure, errors.New("no route to host"), true, ""},
		{plain, errors.New("no route to host"), true, ""},
		{plain, context.Canceled, false, ""},
	} {
		row.cfg.Prefix = "/p"
		s := &Store{cfg: row.cfg, prefix: "/p", secrets: &secrets{cfg: row.cfg, tls: &tls.Config{}}}
		wrap := s.wrap
		if row.first {
			wrap = s.wrapFirst
		}
		got := wrap("do something", row.err)
		if want := row.want != ""; errors.Is(got, election.ErrRefused) != want || !strings.HasPrefix(got.Error(), "do something: ") || !strings.Contains(got.Error(), row.want) || strings.Contains(got.Error(), "()") {
			t.Errorf("%v (first %v) becomes %q, want %q in it", row.err, row.first, got, row.want)
		}
		if row.want == "" && (!errors.Is(got, row.err) || got.Error() != "do something: "+row.err.Error()) {
			t.Errorf("%v becomes %q", row.err, got)
		}
	}
	s := &Store{cfg: Config{Endpoints: []string{"http://a", "http://b"}}, secrets: &secrets{tls: &tls.Config{}}, valueKey: "/p#value"}
	if got := s.wrap("ask", context.DeadlineExceeded); !errors.Is(got, context.DeadlineExceeded) || got.Error() != "ask: no answer from etcd at http://a, http://b in time: context deadline exceeded" {
		t.Errorf("%q", got)
	}
	for name, wrap := range map[string]func(string, error) error{"wrap": s.wrap, "wrapFirst": s.wrapFirst, "wrapValue": s.wrapValue} {
		if err := wrap("do nothing", nil); err != nil {
			t.Errorf("%s makes %v of nothing", name, err)
		}
	}
	if got := s.wrapValue("read the value", rpctypes.ErrGRPCPermissionDenied); !errors.Is(got, election.ErrRefused) || !strings.Contains(got.Error(), "readwrite on the value's key too (etcdctl role grant-permission ROLE readwrite '/p#value')") {
		t.Errorf("%q", got)
	}
	told := &Store{cfg: cert, secrets: &secrets{cfg: cert, tls: &tls.Config{}}}
	text := "tls: bad certificate"
	told.secrets.alert.Store(&text)
	if got := told.wrapFirst("connect", errors.New("read: EOF")); !strings.HasSuffix(got.Error(), "(tls: bad certificate)") {
		t.Errorf("what the member said is lost: %q", got)
	}
	if got := s.wrapValue("read the value", rpctypes.ErrGRPCUserEmpty); !errors.Is(got, election.ErrRefused) || strings.Contains(got.Error(), "value's key") {
		t.Errorf("%q", got)
	}
}

// said is a connection whose reads end so.
type said struct {
	net.Conn
	n   int
	err error
}

func (s *said) Read([]byte) (int, error) { return s.n, s.err }

func TestARecordTellsWhoseItIs(t *testing.T) {
	since := time.Date(2026, 11, 28, 5, 0, 0, 0, time.UTC)
	text := encodeRecord(Config{Identity: "w", Incarnation: "i", Version: "v1"}, since)
	got := standing(&mvccpb.KeyValue{Value: []byte(text), CreateRevision: 7})
	if got.Identity != "w" || got.Incarnation != "i" || got.Token != 7 || got.Version != "v1" || !got.Since.Equal(since) {
		t.Errorf("%+v of %s", got, text)
	}
}

func TestAHandshakeIsOneOfTLS(t *testing.T) {
	h := &handshakes{secrets: &secrets{}}
	if info := h.Clone().Info(); info.SecurityProtocol != "tls" { // by which gRPC knows that a request is not sent in clear
		t.Errorf("%+v", info)
	}
}

func TestAnAlertIsRememberedUntilAConnectionIsOfUse(t *testing.T) {
	alert := errors.New("remote error: tls: bad certificate")
	for _, c := range []struct {
		reads []said
		want  string
	}{
		{nil, ""},
		{[]said{{err: alert}}, "tls: bad certificate"},
		{[]said{{err: alert}, {err: io.EOF}}, "tls: bad certificate"},
		{[]said{{err: alert}, {n: 1}}, ""},
		{[]said{{n: 1}, {err: alert}}, "tls: bad certificate"},
		{[]said{{err: io.EOF}}, ""},
		{[]said{{}}, ""}, // nothing has come, and nothing is wrong
		{[]said{{err: alert}, {}}, "tls: bad certificate"},
	} {
		s := &secrets{}
		for _, r := range c.reads {
			if n, err := (&alerted{Conn: &r, secrets: s}).Read(nil); n != r.n || err != r.err {
				t.Errorf("a read of %d, %v became one of %d, %v", r.n, r.err, n, err)
			}
		}
		if got := s.lastAlert(); got != c.want {
			t.Errorf("after %v: %q, want %q", c.reads, got, c.want)
		}
	}
}

func TestCodesAreThoseOfGRPC(t *testing.T) {
	for err, want := range map[error]string{
		nil: "OK", context.Canceled: "Canceled", context.DeadlineExceeded: "DeadlineExceeded", errors.New("x"): "Unknown",
		fmt.Errorf("wrapped: %w", context.Canceled): "Canceled", status.Error(codes.Unavailable, "x"): "Unavailable",
	} {
		if got := code(err); got != want {
			t.Errorf("%v is %s, want %s", err, got, want)
		}
	}
	for err, want := range map[error]bool{
		rpctypes.ErrLeaseNotFound: true, rpctypes.ErrGRPCLeaseNotFound: true, status.Error(codes.NotFound, "etcdserver: requested lease not found"): true,
		rpctypes.ErrGRPCKeyNotFound: false, errors.New("x"): false,
	} {
		if got := leaseGone(err); got != want {
			t.Errorf("%v: the lease is gone: %v", err, got)
		}
	}
	for method, want := range map[string]string{"/etcdserverpb.Lease/LeaseKeepAlive": "keepalive", "/etcdserverpb.KV/Range": "range"} {
		if got := opName(method); got != want {
			t.Errorf("%s is %s", method, got)
		}
	}
}

func TestAKeyIsAPredecessorsByItsTokenOrElseByItsRecord(t *testing.T) {
	record := []byte(`{"identity":"a","incarnation":"a-1"}`)
	dead := func(token int64, incarnation string) election.Predecessor {
		return election.Predecessor{Candidacy: election.Candidacy{Token: token}, Incarnation: incarnation}
	}
	for name, row := range map[string]struct {
		dead election.Predecessor
		kv   *mvccpb.KeyValue
		want bool
	}{
		"its token":                      {dead(5, "a-1"), &mvccpb.KeyValue{CreateRevision: 5}, true},
		"another token":                  {dead(5, "a-1"), &mvccpb.KeyValue{CreateRevision: 6, Value: record}, false},
		"token not known, its record":    {dead(0, "a-1"), &mvccpb.KeyValue{CreateRevision: 5, Value: record}, true},
		"token not known, another's":     {dead(0, "a-2"), &mvccpb.KeyValue{CreateRevision: 5, Value: record}, false},
		"token not known, no record":     {dead(0, "a-1"), &mvccpb.KeyValue{CreateRevision: 5, Value: []byte("x")}, false},
		"its token, overwritten by more": {dead(5, "a-1"), &mvccpb.KeyValue{CreateRevision: 5, Value: []byte("x")}, true},
	} {
		if got := leftBy(row.dead, row.kv); got != row.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestADeadProcessIsWaitedForUntilNobodyActsOnItAnyMore(t *testing.T) {
	unknown := errors.New("unknown")
	for name, row := range map[string]struct {
		free    time.Duration // after which its promises have run out
		stops   time.Duration // after which its work has
		err     error
		ends    time.Duration // after which the session ends
		want    bool
		wantErr error
		after   time.Duration
	}{
		"at once":            {ends: time.Hour, want: true},
		"long ago":           {free: -time.Hour, ends: time.Hour, want: true},
		"by its promises":    {free: time.Minute, ends: time.Hour, want: true, after: time.Minute},
		"by its work":        {stops: 50 * time.Millisecond, ends: time.Hour, want: true, after: 60 * time.Millisecond},
		"by both":            {free: time.Second, stops: 30 * time.Millisecond, ends: time.Hour, want: true, after: time.Second},
		"session ends":       {free: time.Minute, ends: time.Second, after: time.Second},
		"session ends, work": {stops: time.Minute, ends: time.Second, after: time.Second},
		"not known":          {free: time.Minute, err: unknown, ends: time.Hour, wantErr: unknown},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWired()
			began := time.Now()
			time.AfterFunc(row.ends, w.cancel)
			free, err := w.awaitFree(election.Predecessor{
				FreeAt:  w.clock.Now().Add(row.free),
				Stopped: func() (bool, error) { return row.err == nil && time.Since(began) >= row.stops, row.err },
			})
			if took := time.Since(began); free != row.want || err != row.wantErr || took != row.after {
				t.Errorf("%s: %v, %v after %v", name, free, err, took)
			}
			w.cancel()
			time.Sleep(2 * time.Hour)
		})
	}
}

func TestPredecessorsAreThoseOfTheSameEtcdUntilTheyAreSettled(t *testing.T) {
	w := newWired()
	forgot := 0
	dead := func(cluster uint64, incarnation string) election.Predecessor {
		return election.Predecessor{Candidacy: election.Candidacy{ClusterID: cluster, Key: "/k/" + incarnation}, Incarnation: incarnation, Forget: func() { forgot++ }}
	}
	s := w.store
	s.dead = []election.Predecessor{dead(1, "a"), dead(2, "b"), dead(1, "c"), dead(1, "d")}
	names := func() (all string) {
		for _, p := range s.predecessors(1) {
			all += p.Incarnation
		}
		return all
	}
	if got := names(); got != "acd" || strings.Count(w.logged.String(), "in another etcd") != 1 || !strings.Contains(w.logged.String(), "dead=b") {
		t.Errorf("%s; logged %q", got, w.logged.String())
	}
	s.settled(dead(1, "c"), false)
	if got := names(); got != "ad" || forgot != 0 {
		t.Errorf("%s, %d forgotten", got, forgot)
	}
	s.settled(dead(1, "a"), true)
	if got := names(); got != "d" || forgot != 1 || strings.Count(w.logged.String(), "in another etcd") != 1 {
		t.Errorf("%s, %d forgotten", got, forgot)
	}
	w.cancel()
}

func TestRefusalsBesideTheCandidacyAreToldWhenTheyChange(t *testing.T) {
	w := newWired()
	refused := func(why string) error { return fmt.Errorf("%w: %s", election.ErrRefused, why) }
	no, never := refused("no"), refused("never")
	for i, row := range []struct {
		about string
		err   error
		says  string // empty: nothing is said
		why   string
	}{
		{theValue, nil, "", ""},
		{theValue, errors.New("no answer"), "", ""},
		{theValue, no, "1", no.Error()},
		{theValue, no, "", ""},
		{theValue, errors.New("no answer"), "", ""},
		{theElection, never, "1", never.Error() + "; " + no.Error()},
		{theValue, nil, "1", never.Error()},
		{theElection, no, "1", no.Error()},
		{theElection, nil, "1", ""},
	} {
		w.events = nil
		logged := strings.Count(w.logged.String(), "etcd refuses an elector")
		w.refused.tell(w.session, row.about, row.err)
		if (len(w.events) == 1) != (row.says != "") || len(w.events) == 1 && w.events[0] != (election.Refused{Session: 1, Why: row.why}) {
			t.Errorf("%d: said %+v, want %q", i, w.events, row.why)
		}
		if n, news := strings.Count(w.logged.String(), "etcd refuses an elector")-logged, row.says != "" && row.err != nil; (n == 1) != news || n > 1 {
			t.Errorf("%d: logged %d times", i, n)
		}
		if got, want := w.refused.are(row.about), w.refused.now[row.about] != ""; got != want {
			t.Errorf("%d: refused %v", i, got)
		}
	}
	if w.refused.are(theValue) || w.refused.are(theElection) {
		t.Error("still refused")
	}
	w.refused.tell(w.session, theValue, no)
	if !w.refused.are(theValue) || w.refused.are(theElection) {
		t.Error("refused, and does not say so")
	}
	w.cancel()
}

func TestAPauseAfterARefusalIsLongerAndEndsWithTheSession(t *testing.T) {
	longest := func(err error, failures int, crowd int64) (most time.Duration) {
		synctest.Test(t, func(t *testing.T) {
			w := newWired()
			w.crowd.Store(crowd)
			for range 200 {
				began := time.Now()
				if !w.pause(err, failures) {
					t.Fatal("the session goes on")
				}
				most = max(most, time.Since(began))
			}
			w.cancel()
			if w.pause(err, failures) && w.rest(time.Hour) {
				t.Error("the session has ended")
			}
		})
		return most
	}
	if got := longest(errWatchEnded, 1, 0); got > watchPause || got < watchPause/2 {
		t.Errorf("pauses for up to %v", got)
	}
	if got := longest(election.ErrRefused, 1, 0); got > wiredTTL/2 || got < wiredTTL/4 {
		t.Errorf("after a refusal, pauses for up to %v", got)
	}
	for failures, want := range map[int]time.Duration{1: wiredTTL / 2, 2: wiredTTL} {
		if got := longest(errWatchEnded, failures, 10_000); got > want || got < want*9/10 {
			t.Errorf("after %d failures in a crowd, pauses for up to %v, not %v", failures, got, want)
		}
	}
}

func TestASilentPeerIsGivenUpInAFractionOfTheTTL(t *testing.T) {
	for ttl, want := range map[time.Duration]time.Duration{2 * time.Second: time.Second, 4 * time.Second: time.Second, 10 * time.Second: 2500 * time.Millisecond} {
		if got := (Config{TTL: ttl}).silence(); got != want {
			t.Errorf("TTL %v: %v", ttl, got)
		}
		ss := newSession(&Store{cfg: Config{TTL: ttl}}, election.OpenRequest{TTL: ttl})
		if r, w := &ss.renewalPatience, &ss.watchPatience; r.first != ttl/8 || r.limit != ttl/3 || w.first != ttl/4 || w.limit != ttl/2 {
			t.Errorf("TTL %v: patience %v to %v, of watches %v to %v", ttl, r.first, r.limit, w.first, w.limit)
		}
		if got := ss.store.requestTimeout(); got != 2*election.CallTimeout(ttl) {
			t.Errorf("TTL %v: requests get %v", ttl, got)
		}
		ss.cancel()
	}
}

func TestACertificateIsToldOfInRefusals(t *testing.T) {
	now := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	leaf := &x509.Certificate{Subject: pkix.Name{CommonName: "worker"}, NotBefore: now.Add(-time.Hour), NotAfter: now}
	store := func(user string) *Store {
		cfg := Config{Endpoints: []string{"https://etcd:2379"}, Cert: "c.pem", User: user}
		sec := &secrets{cfg: cfg, now: func() time.Time { return now }, tls: &tls.Config{Certificates: []tls.Certificate{{Leaf: leaf}}}}
		return &Store{cfg: cfg, secrets: sec}
	}
	for user, want := range map[string]string{"": `"worker" (the common name of the client certificate)`, "u": `"u"`} {
		if got := store(user).user(); got != want {
			t.Errorf("user %q is %s, want %s", user, got, want)
		}
	}
	leaf.Subject.CommonName = ""
	if got := store("").user(); got != `""` {
		t.Errorf("nobody is %s", got)
	}
	s := store("")
	if got := s.refusedCertificate(); !strings.HasPrefix(got, "the member does not accept the client's certificate: check ") {
		t.Errorf("%q", got)
	}
	now = now.Add(1)
	if got := s.refusedCertificate(); !strings.HasPrefix(got, `the member does not accept the client's certificate: --etcd-cert "c.pem" has ended at 2024-01-01T00:00:00Z`) {
		t.Errorf("%q", got)
	}
}

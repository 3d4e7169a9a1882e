package etcdstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/elector-dev/elector/internal/election"
)

// bubbleClock counts from an hour before the bubble's start, so that no instant is zero.
type bubbleClock struct{ start time.Time }

func (c bubbleClock) Now() election.Instant {
	return election.Instant(time.Hour + time.Since(c.start))
}

// scripted is a stream whose messages the test brings.
type scripted struct {
	grpc.ClientStream
	ctx   context.Context
	sent  []any
	fails error // of what is sent
	come  chan func(message any) error
}

func (s *scripted) Context() context.Context { return s.ctx }
func (s *scripted) SendMsg(m any) error      { s.sent = append(s.sent, m); return s.fails }

func (s *scripted) RecvMsg(m any) error {
	select {
	case f := <-s.come:
		return f(m)
	case <-s.ctx.Done():
		return status.FromContextError(s.ctx.Err()).Err()
	}
}

// wired is a session without a client, with what it says.
type wired struct {
	*session
	clock    bubbleClock
	events   []election.Event
	requests []string
	alive    bool
	logged   strings.Builder
}

const wiredTTL = 12 * time.Second // a first patience of 1.5 s for renewals, and of 3 s for watches

func newWired() *wired {
	w := &wired{clock: bubbleClock{time.Now()}, alive: true}
	store := &Store{secrets: &secrets{}, cfg: Config{
		TTL: wiredTTL, Clock: w.clock, Requests: func(op, code string) { w.requests = append(w.requests, op+" "+code) },
		Logger: slog.New(slog.NewTextHandler(&w.logged, nil)),
	}}
	w.session = newSession(store, election.OpenRequest{
		Number: 1, TTL: wiredTTL, Alive: func() bool { return w.alive }, Sink: func(ev election.Event) { w.events = append(w.events, ev) },
	})
	return w
}

// open opens a stream of a method.
func (w *wired) open(t *testing.T, method string) (grpc.ClientStream, *scripted) {
	t.Helper()
	inner := &scripted{come: make(chan func(any) error, 16)}
	s, err := w.stream(t.Context(), nil, nil, method, func(ctx context.Context, _ *grpc.StreamDesc, _ *grpc.ClientConn, _ string, _ ...grpc.CallOption) (grpc.ClientStream, error) {
		inner.ctx = ctx
		return inner, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return s, inner
}

var (
	create   = &pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: &pb.WatchCreateRequest{}}}
	progress = &pb.WatchRequest{RequestUnion: &pb.WatchRequest_ProgressRequest{ProgressRequest: &pb.WatchProgressRequest{}}}
	created  = func(m any) error { m.(*pb.WatchResponse).Created = true; return nil }
	event    = func(any) error { return nil }
)

func TestPatienceDoublesUpToItsLimitAndAnswersTakeSomeBack(t *testing.T) {
	p := patience{first: 800, limit: 2000}
	for i, row := range []struct {
		what func()
		want time.Duration
	}{
		{func() {}, 800}, {p.answered, 800}, {p.tripped, 1600}, {p.answered, 1400}, {p.tripped, 2000}, {p.tripped, 2000},
		{p.answered, 1750}, {p.answered, 1531}, {p.answered, 1339}, {p.answered, 1171}, {p.answered, 1024}, {p.answered, 896}, {p.answered, 800},
	} {
		if row.what(); p.now() != row.want {
			t.Errorf("step %d: %d, want %d", i, p.now(), row.want)
		}
	}
}

func TestAStreamIsGivenUpWhenItIsSilentThoughItOwesAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWired()
		for _, patience := range []time.Duration{3 * time.Second, 6 * time.Second, 6 * time.Second} {
			s, inner := w.open(t, pb.Watch_Watch_FullMethodName)
			opened := time.Now()
			time.AfterFunc(time.Hour, func() { inner.come <- func(any) error { return io.EOF } })
			time.Sleep(time.Minute) // a stream on which nothing is owed may be silent
			if inner.ctx.Err() != nil {
				t.Fatal("given up though it owes nothing")
			}
			for _, m := range []any{create, progress} {
				if err := s.SendMsg(m); err != nil {
					t.Fatal(err)
				}
			}
			err := s.RecvMsg(&pb.WatchResponse{})
			if took := time.Since(opened) - time.Minute; err != errSilent || took != patience {
				t.Errorf("given up after %v with %v, want %v", took, err, patience)
			}
		}
		if got := fmt.Sprint(w.requests); got != "[watch Unavailable watch Unavailable watch Unavailable]" || len(w.events) != 0 {
			t.Errorf("counted %s, said %v", got, w.events)
		}
		s, inner := w.open(t, pb.Watch_Watch_FullMethodName)
		if err := s.SendMsg(create); err != nil {
			t.Fatal(err)
		}
		inner.come <- created
		if err := s.RecvMsg(&pb.WatchResponse{}); err != nil || w.watchPatience.now() != 5250*time.Millisecond {
			t.Errorf("after an answer the patience is %v; %v", w.watchPatience.now(), err)
		}
		w.cancel()
	})
}

func TestAKeepAliveThatIsNotAnsweredEndsItsStream(t *testing.T) {
	for won, patience := range map[bool]time.Duration{true: wiredTTL / 8, false: wiredTTL / 4} {
		synctest.Test(t, func(t *testing.T) { endsUnanswered(t, won, patience) })
	}
}

// endsUnanswered runs in a bubble, where time costs nothing.
func endsUnanswered(t *testing.T, won bool, patience time.Duration) {
	w := newWired()
	w.won.Store(won)
	s, inner := w.open(t, pb.Lease_LeaseKeepAlive_FullMethodName)
	send := func() {
		t.Helper()
		if err := s.SendMsg(&pb.LeaseKeepAliveRequest{ID: 7}); err != nil {
			t.Fatal(err)
		}
	}
	send()
	inner.come <- renewal(7, 10, 5)
	if err := s.RecvMsg(&pb.LeaseKeepAliveResponse{}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Minute) // in which nothing is owed
	send()
	began := time.Now()
	err := s.RecvMsg(&pb.LeaseKeepAliveResponse{})
	if took := time.Since(began); err != errSilent || took != patience {
		t.Errorf("given up after %v with %v, want %v; has led: %v", took, err, patience, won)
	}
	if got := fmt.Sprint(w.requests); got != "[keepalive OK keepalive Unavailable]" {
		t.Errorf("counted %s", got)
	}
	inner.fails = errors.New("broken")
	for _, m := range []any{&pb.LeaseKeepAliveRequest{ID: 7}, create} {
		if err := s.SendMsg(m); err != inner.fails {
			t.Errorf("sent: %v", err)
		}
	}
	w.cancel()
}

func TestWhateverComesShowsThatAStreamIsAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWired()
		s, inner := w.open(t, pb.Watch_Watch_FullMethodName)
		receive := func(f func(any) error) {
			t.Helper()
			inner.come <- f
			if err := s.RecvMsg(&pb.WatchResponse{}); err != nil {
				t.Fatal(err)
			}
		}
		sent := w.clock.Now()
		for range 2 { // of which the clock runs for the first
			if err := s.SendMsg(create); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		receive(event) // 2 s after the first was sent
		if len(w.events) != 0 {
			t.Errorf("an event is taken for an answer: %+v", w.events)
		}
		time.Sleep(2 * time.Second)
		receive(created)
		time.Sleep(2 * time.Second)
		receive(event)
		time.Sleep(2 * time.Second)
		receive(created)
		time.Sleep(time.Hour) // nothing is owed any more
		receive(event)
		receive(created) // which nobody asked for
		want := []election.Event{election.InTouch{Session: 1, Sent: sent}, election.InTouch{Session: 1, Sent: sent.Add(time.Second)}}
		if !slices.Equal(w.events, want) || inner.ctx.Err() != nil || len(w.requests) != 6 || w.requests[0] != "watch OK" {
			t.Errorf("said %+v, counted %q", w.events, w.requests)
		}
		inner.come <- func(any) error { return io.EOF }
		if err := s.RecvMsg(&pb.WatchResponse{}); err != io.EOF || inner.ctx.Err() == nil {
			t.Errorf("ended with %v", err)
		}
		before := len(w.requests)
		if err := s.SendMsg(create); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if w.watchPatience.now() != 3*time.Second || len(w.requests) != before {
			t.Error("a stream that has ended is found silent")
		}
		w.cancel()
	})
}

func TestWhatIsOwedIsOwedAfterAnotherMessageToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for owed, patience := range []time.Duration{1: 3 * time.Second, 2: 6 * time.Second} {
			w := newWired()
			w.watchPatience.current = patience
			s, inner := w.open(t, pb.Watch_Watch_FullMethodName)
			for range owed {
				if err := s.SendMsg(create); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(2 * time.Second)
			inner.come <- event
			if err := s.RecvMsg(&pb.WatchResponse{}); err != nil {
				t.Fatal(err)
			}
			time.AfterFunc(time.Hour, func() { inner.come <- func(any) error { return io.EOF } })
			began := time.Now()
			err := s.RecvMsg(&pb.WatchResponse{})
			if took := time.Since(began); owed > 0 && (err != errSilent || took != patience) {
				t.Errorf("%d owed: given up after %v with %v", owed, took, err)
			}
			w.cancel()
		}
	})
}

func TestAWatchWithAStaleTokenEndsItsStream(t *testing.T) {
	denial := rpctypes.ErrorDesc(rpctypes.ErrGRPCPermissionDenied)
	for _, row := range []struct {
		reason string
		newer  bool // the client has got another token since
		want   error
	}{
		{rpctypes.ErrorDesc(rpctypes.ErrGRPCInvalidAuthToken), false, errStale},
		{rpctypes.ErrorDesc(rpctypes.ErrGRPCAuthOldRevision), false, errStale},
		{denial, false, nil},
		{denial, true, errStale},
		{"", false, nil},
		{"", true, nil},
	} {
		for _, cancelled := range []bool{true, false} {
			w := newWired()
			w.tokens.Store(1)
			s, inner := w.open(t, pb.Watch_Watch_FullMethodName)
			if row.newer {
				w.tokens.Add(1)
			}
			inner.come <- func(m any) error {
				r := m.(*pb.WatchResponse)
				r.Canceled, r.CancelReason = cancelled, row.reason
				return nil
			}
			expected := row.want
			if !cancelled {
				expected = nil
			}
			if err := s.RecvMsg(&pb.WatchResponse{}); err != expected {
				t.Errorf("%q, another token since %v, cancelled %v: %v", row.reason, row.newer, cancelled, err)
			}
			w.cancel()
		}
	}
}

func TestAStreamThatHasComeToALearnerGoesToAnotherEndpoint(t *testing.T) {
	for _, row := range []struct{ comes, want error }{{rpctypes.ErrGRPCNotSupportedForLearner, errLearner}, {rpctypes.ErrGRPCNoLeader, rpctypes.ErrGRPCNoLeader}} {
		w := newWired()
		s, inner := w.open(t, pb.Watch_Watch_FullMethodName)
		inner.come <- func(any) error { return row.comes }
		if err := s.RecvMsg(&pb.WatchResponse{}); err != row.want {
			t.Errorf("%v becomes %v, want %v", row.comes, err, row.want)
		}
		w.cancel()
	}
}

func TestARequestThatHasComeToALearnerIsMadeAgain(t *testing.T) {
	learner, no := rpctypes.ErrGRPCNotSupportedForLearner, errors.New("no")
	for _, row := range []struct {
		answers []error // the last one again and again
		calls   int
	}{
		{[]error{nil}, 1},
		{[]error{no}, 1},
		{[]error{learner, learner, nil}, 3},
		{[]error{learner, no}, 2},
		{[]error{learner}, 7}, // all endpoints may be left twice
	} {
		ss := &session{store: &Store{cfg: Config{Endpoints: []string{"a", "b", "c"}}}}
		calls := 0
		answer := func() error {
			calls++
			return row.answers[min(calls, len(row.answers))-1]
		}
		if err := ss.serve(answer); calls != row.calls || err != row.answers[len(row.answers)-1] {
			t.Errorf("answers %v: %d calls, want %d; %v", row.answers, calls, row.calls, err)
		}
	}
}

func TestAStreamThatCannotBeOpenedIsCounted(t *testing.T) {
	w := newWired()
	no := status.Error(codes.Unavailable, "no")
	var given context.Context
	_, err := w.stream(t.Context(), nil, nil, pb.Lease_LeaseKeepAlive_FullMethodName, func(ctx context.Context, _ *grpc.StreamDesc, _ *grpc.ClientConn, _ string, _ ...grpc.CallOption) (grpc.ClientStream, error) {
		given = ctx
		return nil, no
	})
	if err != no || given.Err() == nil || fmt.Sprint(w.requests) != "[keepalive Unavailable]" {
		t.Errorf("%v, counted %q", err, w.requests)
	}
	w.cancel()
}

// renewal is what etcd says of a lease.
func renewal(lease election.LeaseID, ttl int64, raftTerm uint64) func(any) error {
	return func(m any) error {
		r := m.(*pb.LeaseKeepAliveResponse)
		r.ID, r.TTL, r.Header = int64(lease), ttl, &pb.ResponseHeader{RaftTerm: raftTerm}
		return nil
	}
}

func TestARenewalIsTheAnswerToTheOldestRequestForItsLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWired()
		w.kept = election.Grant{Lease: 7, Reply: election.Reply{RaftTerm: 5}}
		s, inner := w.open(t, pb.Lease_LeaseKeepAlive_FullMethodName)
		start := w.clock.Now()
		for _, lease := range []int64{7, 8, 7} {
			if err := s.SendMsg(&pb.LeaseKeepAliveRequest{ID: lease}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		// The last: two that answer nothing; and a denial in the name of an older raft term, which the library must not see.
		for _, f := range []func(any) error{renewal(7, 10, 5), renewal(7, 12, 6), renewal(8, 10, 5), renewal(7, 10, 5), renewal(7, 11, 4), renewal(7, 0, 4), renewal(8, 0, 4)} {
			inner.come <- f
		}
		var shown []int64
		for range 6 {
			r := &pb.LeaseKeepAliveResponse{}
			if err := s.RecvMsg(r); err != nil {
				t.Fatal(err)
			}
			shown = append(shown, r.ID, r.TTL)
		}
		if want := []int64{7, 10, 7, 12, 8, 10, 7, 10, 7, 11, 8, 0}; !slices.Equal(shown, want) {
			t.Errorf("the library is shown %v, want %v", shown, want)
		}
		now := w.clock.Now()
		renewed := func(lease election.LeaseID, sent time.Duration, ttl time.Duration, raftTerm uint64) election.Event {
			return election.Renewed{Session: 1, Renewal: election.Renewal{Lease: lease, Sent: start.Add(sent), Received: now, RaftTerm: raftTerm, TTL: ttl}}
		}
		want := []election.Event{
			renewed(7, 0, 10*time.Second, 5), renewed(7, 200*time.Millisecond, 12*time.Second, 6), renewed(8, 100*time.Millisecond, 10*time.Second, 5),
		}
		if !slices.Equal(w.events, want) {
			t.Errorf("said %+v, want %+v", w.events, want)
		}
		for _, term := range []uint64{5, 6} { // whoever knows the lease is believed
			if err := s.SendMsg(&pb.LeaseKeepAliveRequest{ID: 7}); err != nil {
				t.Fatal(err)
			}
			inner.come <- renewal(7, 0, term)
			if r := (&pb.LeaseKeepAliveResponse{}); s.RecvMsg(r) != nil || r.TTL != 0 || w.events[len(w.events)-1].(election.Renewed).Renewal.TTL != 0 {
				t.Errorf("a denial in raft term %d is kept back", term)
			}
		}
		inner.come <- func(any) error { return io.EOF }
		if err := s.RecvMsg(&pb.LeaseKeepAliveResponse{}); err != io.EOF {
			t.Error(err)
		}
		w.cancel()
	})
}

func TestKeepAlivesOfALoopThatStandsStillAreNotSent(t *testing.T) {
	w := newWired()
	s, inner := w.open(t, pb.Lease_LeaseKeepAlive_FullMethodName)
	w.alive = false
	if err := s.SendMsg(&pb.LeaseKeepAliveRequest{ID: 7}); err != errWithheld || len(inner.sent) != 0 || inner.ctx.Err() == nil {
		t.Errorf("%v, sent %v", err, inner.sent)
	}
	w.cancel()
}

func TestADeniedRequestMayHaveComeWithATokenThatHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		denial, no := rpctypes.ErrGRPCPermissionDenied, errors.New("no")
		for _, row := range []struct {
			user, cert  string
			age         time.Duration // of the token, when the request is sent
			renewed     bool          // while the request is under way
			comes, want error
		}{
			{"u", "c", time.Second, false, denial, rpctypes.ErrGRPCInvalidAuthToken},
			{"u", "c", time.Second - 1, false, denial, denial},
			{"u", "c", 0, false, denial, denial},
			{"u", "c", 1, true, denial, rpctypes.ErrGRPCInvalidAuthToken},
			{"u", "", time.Second, false, denial, denial},
			{"", "c", time.Second, false, denial, denial},
			{"u", "c", time.Second, false, no, no},
			{"u", "c", time.Second, false, nil, nil},
		} {
			w := newWired()
			w.store.cfg.User, w.store.cfg.Cert = row.user, row.cert
			answered := func(err error) grpc.UnaryInvoker {
				return func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error { return err }
			}
			token := func() {
				if err := w.unary(t.Context(), pb.Auth_Authenticate_FullMethodName, &pb.AuthenticateRequest{}, nil, nil, answered(nil)); err != nil {
					t.Error(err)
				}
			}
			token()
			time.Sleep(row.age) // in the bubble, where time costs nothing
			err := w.unary(t.Context(), pb.KV_Range_FullMethodName, &pb.RangeRequest{}, nil, nil, func(ctx context.Context, method string, req, rep any, cc *grpc.ClientConn, opts ...grpc.CallOption) error {
				if time.Sleep(time.Nanosecond); row.renewed {
					token()
				}
				return row.comes
			})
			if err != row.want {
				t.Errorf("%+v: %v", row, err)
			}
			w.cancel()
		}
	})
}

func TestRequestsGetADeadlineAndThePasswordOfNow(t *testing.T) {
	synctest.Test(t, requestsGetADeadline)
}

func requestsGetADeadline(t *testing.T) {
	w := newWired()
	w.store.cfg.User, w.store.cfg.Password = "u", "p"
	var err error
	if w.store.secrets, err = newSecrets(w.store.cfg); err != nil {
		t.Fatal(err)
	}
	var got struct {
		within   time.Duration
		password string
		options  []grpc.CallOption
	}
	var takes time.Duration // in the bubble, where time costs nothing
	call := func(ctx context.Context, req any, answer error) error {
		return w.unary(ctx, "/etcdserverpb.Lease/LeaseGrant", req, nil, nil, func(ctx context.Context, _ string, req, _ any, _ *grpc.ClientConn, opts ...grpc.CallOption) error {
			deadline, _ := ctx.Deadline()
			got.within, got.options = time.Until(deadline), opts
			if a, ok := req.(*pb.AuthenticateRequest); ok {
				got.password = a.Name + ":" + a.Password
			}
			time.Sleep(takes)
			return answer
		})
	}
	limited, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	longer := context.WithValue(limited, longestAnswer{}, 17)
	for _, row := range []struct {
		ctx     context.Context
		within  time.Duration
		options int
	}{{t.Context(), 2 * election.CallTimeout(wiredTTL), 1}, {limited, time.Hour, 1}, {longer, time.Hour, 2}} {
		if err := call(row.ctx, &pb.RangeRequest{}, nil); err != nil || got.within != row.within || len(got.options) != row.options || got.options[0] != grpc.WaitForReady(false) {
			t.Errorf("within %v with %d options, want %v and %d; %v", got.within, len(got.options), row.within, row.options, err)
		}
	}
	if err := call(limited, &pb.AuthenticateRequest{Name: "u", Password: "old"}, nil); err != nil || got.password != "u:p" {
		t.Errorf("authenticates as %s, %v", got.password, err)
	}
	if n := w.tokens.Load(); n != 1 {
		t.Errorf("%d tokens were given", n)
	}
	for _, old := range []error{rpctypes.ErrGRPCInvalidAuthToken, rpctypes.ErrGRPCAuthOldRevision} { // as etcd 3.4 does
		if err := call(limited, &pb.AuthenticateRequest{}, old); err != rpctypes.ErrGRPCAuthNotEnabled || w.tokens.Load() != 1 {
			t.Errorf("refused for an old token: %v, %d tokens were given", err, w.tokens.Load())
		}
	}
	no := errors.New("no")
	if want := "[grant OK grant OK grant OK grant OK grant FailedPrecondition grant FailedPrecondition]"; fmt.Sprint(w.requests) != want {
		t.Errorf("counted %q", w.requests)
	}
	told := 0
	campaign := context.WithValue(limited, letIn{}, func() { told++ })
	for _, row := range []struct {
		req    any
		answer error
		told   int
	}{{&pb.TxnRequest{}, nil, 0}, {&pb.RangeRequest{}, no, 0}, {&pb.RangeRequest{}, nil, 1}} {
		if _ = call(campaign, row.req, row.answer); told != row.told {
			t.Errorf("after %T, %v it is told %d times that it may read, want %d", row.req, row.answer, told, row.told)
		}
	}
	takes = 2 * time.Second
	for _, row := range []struct {
		answer error
		crowd  int64
	}{{no, 1}, {nil, 1000}} {
		w.crowd.Store(1)
		if _ = call(limited, &pb.RangeRequest{}, row.answer); w.crowd.Load() != row.crowd {
			t.Errorf("after two seconds for %v: a crowd of %d, want %d", row.answer, w.crowd.Load(), row.crowd)
		}
	}
	takes = 0
	w.requests = nil
	if err := call(limited, &pb.RangeRequest{}, no); err != no || w.logged.Len() != 0 {
		t.Errorf("%v, logged %q", err, w.logged.String())
	}
	for range 2 {
		_ = call(limited, &pb.AuthenticateRequest{}, rpctypes.ErrGRPCAuthNotEnabled)
	}
	if n := strings.Count(w.logged.String(), "etcd lets in everybody"); n != 1 {
		t.Errorf("said %d times", n)
	}
	if want := "[grant Unknown grant FailedPrecondition grant FailedPrecondition]"; fmt.Sprint(w.requests) != want {
		t.Errorf("counted %q", w.requests)
	}
	w.cancel()
}

func TestASessionIsClosedWhenItsWorkersHaveEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWired()
		hold, closed := make(chan struct{}), make(chan struct{})
		w.workers.Go(func() { <-hold }) // which tells of something yet
		go func() {
			w.shut()
			close(closed)
		}()
		synctest.Wait()
		select {
		case <-closed:
			t.Error("somebody is still told of a session that is closed")
		default:
		}
		close(hold)
		<-closed
	})
}

func TestAValueThatCannotBeTakenAlongIsWarnedOf(t *testing.T) {
	w := newWired()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{"127.0.0.1:1"}, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	w.client = client
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if w.fetchValue(ended, 7); w.logged.Len() > 0 {
		t.Errorf("without a value it says %s", w.logged.String())
	}
	w.valued.Store(true)
	if w.fetchValue(ended, 7); !strings.Contains(w.logged.String(), "publish it again") {
		t.Errorf("it says %q", w.logged.String())
	}
	w.cancel()
}

func TestWhatIsLeftIsRememberedOnceAndNotWithoutEnd(t *testing.T) {
	var s Store
	for _, l := range []leftover{{}, {key: "a"}, {lease: 1}, {key: "a"}, {lease: 1}} {
		s.leave(l)
	}
	if got, want := s.takeLeftover(), []leftover{{key: "a"}, {lease: 1}}; !slices.Equal(got, want) {
		t.Errorf("left %v, want %v", got, want)
	}
	if got := s.takeLeftover(); got != nil {
		t.Errorf("left twice: %v", got)
	}
	for i := range 20 {
		s.leave(leftover{lease: election.LeaseID(i + 1)})
	}
	if got := s.takeLeftover(); len(got) != 16 || got[0].lease != 5 || got[15].lease != 20 {
		t.Errorf("left %v", got)
	}
}

func TestASessionThatClosesEndsItsCallsAndWaitsForThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWired()
		given, cancel := context.WithCancel(t.Context())
		first, firstDone, ok := w.call(given)
		second, secondDone, ok2 := w.call(t.Context())
		if !ok || !ok2 || first.Err() != nil || second.Err() != nil {
			t.Fatal("no call begins")
		}
		cancel()
		synctest.Wait()
		if first.Err() == nil || second.Err() != nil {
			t.Error("a call does not end with its own context alone")
		}
		firstDone()
		ended := false
		go func() { w.endCalls(); ended = true }()
		synctest.Wait()
		if ended || second.Err() == nil {
			t.Errorf("closed before its call has ended, which was told: %v", second.Err())
		}
		if _, _, ok := w.call(t.Context()); ok {
			t.Error("a call begins while the session closes")
		}
		secondDone()
		synctest.Wait()
		if !ended {
			t.Error("does not close")
		}
		w.cancel()
	})
}

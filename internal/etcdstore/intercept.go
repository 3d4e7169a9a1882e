package etcdstore

import (
	"context"
	"path"
	"strings"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/elector-dev/elector/internal/election"
)

// Errors that end a stream from this side. They are Unavailable, which makes the library open the
// stream anew, on the next endpoint (client/v3/client.go, isHaltErr).
var (
	errSilent   = status.Error(codes.Unavailable, "elector: the endpoint does not answer; going to another")
	errStale    = status.Error(codes.Unavailable, "elector: the stream's password token has run out; opening another")
	errLearner  = status.Error(codes.Unavailable, "elector: the endpoint is a learner; going to another")
	errWithheld = status.Error(codes.Unavailable, "elector: keep-alive withheld, because the elector's loop stands still")
)

// unary sees every attempt of every plain request. It gives those a deadline that come without one
// (the library's campaign makes some) and counts. A request does not wait for a connection that cannot
// be made, as the library would have it: it fails at once and with the reason.
func (ss *session) unary(ctx context.Context, method string, req, rep any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, ss.store.requestTimeout())
		defer cancel()
	}
	if a, ok := req.(*pb.AuthenticateRequest); ok { // the library knows the password that the session began with
		req = &pb.AuthenticateRequest{Name: a.Name, Password: ss.store.secrets.pass()}
	}
	opts = append(opts, grpc.WaitForReady(false))
	if longest, ok := ctx.Value(longestAnswer{}).(int); ok {
		opts = append(opts, grpc.MaxCallRecvMsgSize(longest))
	}
	sent := ss.now()
	err := ss.serve(func() error { return invoke(ctx, method, req, rep, cc, opts...) })
	if err == nil {
		ss.took(ss.now().Sub(sent))
		if _, ok := req.(*pb.RangeRequest); ok {
			if tell, ok := ctx.Value(letIn{}).(func()); ok {
				tell()
			}
		}
	}
	if is(err, rpctypes.ErrAuthNotEnabled) { // the library goes on without a user
		ss.store.openToAll.Do(func() {
			ss.store.cfg.Logger.Warn("etcd lets in everybody: --etcd-user is not used; turn on etcd's authentication (etcdctl auth enable), or remove the user",
				"user", ss.store.cfg.User)
		})
	}
	if _, ok := req.(*pb.AuthenticateRequest); ok {
		err = ss.authenticated(err)
	}
	ss.store.cfg.Requests(opName(method), code(err))
	if denied(err) && ss.takenForAnother(sent) {
		return rpctypes.ErrGRPCInvalidAuthToken // the library gets another, and asks again
	}
	return err
}

// takenForAnother reports whether a denied request, sent at an instant, may have come with a password token that no longer
// counts. etcd up to 3.4 then goes by the client certificate, and asks what the user whom that names may do
// (etcdserver/v3_server.go, AuthInfoFromCtx). A token counts for a second at least.
func (ss *session) takenForAnother(sent election.Instant) bool {
	got := election.Instant(ss.gotToken.Load())
	return ss.store.cfg.User != "" && ss.store.cfg.Cert != "" && (sent < got || sent.Sub(got) >= time.Second)
}

// serve makes a request again, on the next endpoint, when it has come to a learner. That has done nothing with it, so
// this is right for writes too, which the library would not repeat.
func (ss *session) serve(invoke func() error) error {
	err := invoke()
	for range 2 * len(ss.store.cfg.Endpoints) { // requests beside this one leave learners too
		if !learner(err) {
			break
		}
		err = invoke()
	}
	return err
}

// authenticated takes the outcome of asking for a password token. etcd up to 3.4 looks at the old token even then, and
// refuses whoever has one that no longer counts. The library would ask for a token in order to ask for a token, without
// end. Told that there are no users it forgets its token, is refused for having none, and asks again.
func (ss *session) authenticated(err error) error {
	switch {
	case err == nil:
		ss.gotToken.Store(int64(ss.now()))
		ss.tokens.Add(1)
	case is(err, rpctypes.ErrInvalidAuthToken, rpctypes.ErrAuthOldRevision):
		return rpctypes.ErrGRPCAuthNotEnabled
	}
	return err
}

// longestAnswer is the key of how many bytes the answer to a request may have, an int, in its context. To a longer one the
// error has the code ResourceExhausted.
type longestAnswer struct{}

// opName is the metric's name of a gRPC method.
func opName(method string) string {
	name := strings.ToLower(path.Base(method))
	return strings.TrimPrefix(name, "lease")
}

// stream wraps the keep-alive and the watch stream, each the only one of its kind in a session.
func (ss *session) stream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	ctx, cancel := context.WithCancel(ctx)
	tokens := ss.tokens.Load()
	inner, err := open(ctx, desc, cc, method, opts...)
	if err != nil {
		ss.store.cfg.Requests(opName(method), code(err))
		cancel()
		return nil, err
	}
	w := &watched{ClientStream: inner, session: ss, op: opName(method), cancel: cancel, tokens: tokens}
	switch method {
	case pb.Lease_LeaseKeepAlive_FullMethodName:
		w.patience = &ss.renewalPatience
		ss.renewing.Store(w)
		return &renewalStream{watched: w, sent: make(map[int64][]election.Instant)}, nil
	default:
		w.patience = &ss.watchPatience
		ss.watching.Store(w)
		return w, nil
	}
}

// renewalStream takes the instants of keep-alives.
type renewalStream struct {
	*watched

	sentMu sync.Mutex // guards sent, for a map access
	sent   map[int64][]election.Instant
}

// SendMsg takes the clock before the request is handed on: the lease is renewed at some instant after
// this one. It refuses while the elector's loop stands still, and ends the stream with it, since the
// library sends again only on a new one.
func (r *renewalStream) SendMsg(m any) error {
	ka, ok := m.(*pb.LeaseKeepAliveRequest)
	if !ok {
		return r.watched.SendMsg(m)
	}
	if !r.session.req.Alive() {
		r.cancel()
		return errWithheld
	}
	r.sentMu.Lock()
	r.sent[ka.ID] = append(r.sent[ka.ID], r.session.now())
	r.sentMu.Unlock()
	return r.watched.SendMsg(m)
}

// RecvMsg reports renewals as they arrive. A reply by which an etcd leader that was deposed before the
// lease was granted denies the lease is kept back: the library would end its session over it.
func (r *renewalStream) RecvMsg(m any) error {
	for {
		err := r.watched.ClientStream.RecvMsg(m)
		received := r.session.now()
		if _, err = r.heard(m, err); err != nil {
			return err
		}
		ka, ok := m.(*pb.LeaseKeepAliveResponse)
		if !ok {
			return nil
		}
		r.report(ka, received)
		kept := r.session.keeping()
		if ka.TTL > 0 || election.LeaseID(ka.ID) != kept.Lease || ka.Header.GetRaftTerm() >= kept.Reply.RaftTerm {
			return nil
		}
	}
}

// report matches a reply to the oldest request for its lease: etcd answers one for one, in order
// (server/etcdserver/api/v3rpc/lease.go, leaseKeepAlive). One that answers nothing proves nothing.
func (r *renewalStream) report(ka *pb.LeaseKeepAliveResponse, received election.Instant) {
	r.sentMu.Lock()
	queue := r.sent[ka.ID]
	var sent election.Instant
	if len(queue) > 0 {
		sent, r.sent[ka.ID] = queue[0], queue[1:]
	}
	r.sentMu.Unlock()
	if sent == 0 {
		return
	}
	r.session.revision.Store(ka.Header.GetRevision())
	select {
	case r.session.renewed <- struct{}{}:
	default:
	}
	r.session.emit(election.Renewed{Session: r.session.req.Number, Renewal: election.Renewal{
		Lease: election.LeaseID(ka.ID), Sent: sent, Received: received,
		RaftTerm: ka.Header.GetRaftTerm(), TTL: time.Duration(ka.TTL) * time.Second,
	}})
}

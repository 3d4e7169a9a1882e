package etcdstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/elector-dev/elector/internal/election"
	"github.com/elector-dev/elector/internal/record"
)

// wrap names the operation of an error, and turns a refusal by etcd into a sentence with the remedy,
// which wraps election.ErrRefused.
func (s *Store) wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	if sentence := s.refusal(err); sentence != "" {
		return fmt.Errorf("%s: %w: %s", op, election.ErrRefused, sentence)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s: no answer from etcd at %s in time: %w", op, strings.Join(s.cfg.Endpoints, ", "), err)
	}
	return fmt.Errorf("%s: %w", op, err)
}

// refusal says what etcd refused and what to do about it, or "" if it refused nothing.
func (s *Store) refusal(err error) string {
	switch {
	case denied(err):
		return fmt.Sprintf("user %s lacks permission: its role needs readwrite on the keys under %s/ (etcdctl role grant-permission ROLE readwrite --prefix=true %s/)",
			s.user(), s.prefix, s.prefix)
	case is(err, rpctypes.ErrAuthFailed, rpctypes.ErrGRPCAuthFailed):
		return fmt.Sprintf("user %q or its password is wrong: check --etcd-user and --etcd-password-file", s.cfg.User)
	case is(err, rpctypes.ErrUserEmpty, rpctypes.ErrGRPCUserEmpty):
		return "etcd wants a user: set --etcd-user and --etcd-password-file"
	case is(err, rpctypes.ErrNoSpace, rpctypes.ErrGRPCNoSpace):
		return "etcd's database is full (alarm NOSPACE), so it takes no new lease and no key: delete what is not needed, then etcdctl compact, etcdctl defrag for each member, and etcdctl alarm disarm"
	case learner(err):
		return "every endpoint is a learner, which has no vote and serves no elector: name members that vote in --etcd-endpoints"
	}
	return s.refusedHandshake(err.Error())
}

// refusedHandshake is refusal for what is refused before there is a connection, of which only a text is left.
func (s *Store) refusedHandshake(text string) string {
	has := func(any ...string) bool {
		return slices.ContainsFunc(any, func(part string) bool { return strings.Contains(text, part) })
	}
	switch {
	case has("x509: certificate signed by unknown authority"):
		return "the member's certificate is of an authority that is not in --etcd-cacert: put the one that signs the members' certificates into it"
	case has("x509: certificate is valid for", "x509: certificate is not valid for any names", "x509: cannot validate certificate for"):
		return "the member's certificate is for other names than the endpoint's: use one of its names in --etcd-endpoints, or have the certificate name the endpoint (" + after(text, "x509:") + ")"
	case has("x509: certificate has expired or is not yet valid"):
		return "the member's certificate has ended, or is not valid yet: renew it there, or set this host's clock (" + after(text, "x509:") + ")"
	case has("x509:"):
		return "the member's certificate is not accepted: check --etcd-cacert and the names in the certificate (" + after(text, "x509:") + ")"
	case has("tls: certificate required", "tls: bad certificate", "tls: unknown certificate", "tls: expired certificate", "tls: unsupported certificate", "tls: revoked certificate"):
		return s.refusedCertificate() + " (" + after(text, "tls:") + ")"
	case has("remote error: tls:"):
		return "the member refuses the TLS handshake: look at its log and its settings for TLS (" + after(text, "tls:") + ")"
	case has("first record does not look like a TLS handshake", "authentication handshake failed: EOF"):
		return noTLS
	}
	return ""
}

const noTLS = "the endpoint does not speak TLS: use http:// in --etcd-endpoints, or turn TLS on in etcd"

// refusedCertificate says why a member does not accept the client's certificate, as far as it is seen from here.
func (s *Store) refusedCertificate() string {
	if s.cfg.Cert == "" {
		return "the member wants a client certificate: set --etcd-cert and --etcd-key"
	}
	if err := s.secrets.outOfTime(); err != nil {
		return "the member does not accept the client's certificate: " + err.Error()
	}
	return "the member does not accept the client's certificate: check --etcd-cert and --etcd-key, and that the members trust the authority which signed it"
}

// denied reports whether a user's role does not allow what was asked for. A watch has only the text of that.
func denied(err error) bool {
	return err != nil && strings.Contains(err.Error(), rpctypes.ErrorDesc(rpctypes.ErrGRPCPermissionDenied))
}

// wrapValue is wrap for requests about the shared value, whose key is not among the candidates'.
func (s *Store) wrapValue(op string, err error) error {
	if !denied(err) {
		return s.wrap(op, err)
	}
	return fmt.Errorf("%s: %w: user %s lacks permission: its role needs readwrite on the value's key too (etcdctl role grant-permission ROLE readwrite '%s')",
		op, election.ErrRefused, s.user(), s.valueKey)
}

// user is whom etcd takes this elector for.
func (s *Store) user() string {
	if cn := s.secrets.commonName(); s.cfg.User == "" && cn != "" {
		return fmt.Sprintf("%q (the common name of the client certificate)", cn)
	}
	return fmt.Sprintf("%q", s.cfg.User)
}

// wrapFirst is wrap for the first request of a client. A connection that is cut off before it was ever
// of use is taken for a refusal too: with TLS 1.3 the member's alert comes after the handshake, and the
// request can be faster than it.
func (s *Store) wrapFirst(op string, err error) error {
	if err == nil || s.refusal(err) != "" || !cutOff(err.Error()) {
		return s.wrap(op, err)
	}
	sentence := "the member closed the connection, as it does when it speaks TLS: use https:// in --etcd-endpoints"
	switch {
	case strings.Contains(err.Error(), "authentication handshake failed"):
		sentence = noTLS
	case s.https():
		sentence = s.refusedCertificate()
	case !strings.Contains(err.Error(), "server preface"):
		return s.wrap(op, err)
	}
	if alert := s.secrets.lastAlert(); alert != "" {
		sentence += " (" + alert + ")"
	}
	return fmt.Errorf("%s: %w: %s", op, election.ErrRefused, sentence)
}

// staleToken reports whether a watch was refused because its stream was opened with a password token
// that no longer counts. etcd says so in the text of the refusal
// (server/etcdserver/api/v3rpc/watch.go, isWatchPermitted).
func staleToken(reason string) bool {
	return strings.Contains(reason, rpctypes.ErrorDesc(rpctypes.ErrGRPCInvalidAuthToken)) ||
		strings.Contains(reason, rpctypes.ErrorDesc(rpctypes.ErrGRPCAuthOldRevision))
}

// cutOff reports whether an error's text is that of a connection which the other side closed.
func cutOff(text string) bool {
	for _, s := range []string{"broken pipe", "connection reset", "EOF"} {
		if strings.Contains(text, s) {
			return true
		}
	}
	return false
}

// https reports whether the endpoints speak TLS; the first stands for all, as it does in the client.
func (s *Store) https() bool {
	return strings.HasPrefix(s.cfg.Endpoints[0], "https:") || strings.HasPrefix(s.cfg.Endpoints[0], "unixs:")
}

// is reports whether err is one of the targets. One of etcd's typed errors stands for its gRPC form too, but for one that err wraps.
func is(err error, targets ...error) bool {
	for _, t := range targets {
		if errors.Is(rpctypes.Error(err), t) {
			return true
		}
	}
	return false
}

// after cuts a nested error text down to what follows its last mention of mark, mark included. Whoever is at the other end
// has had a hand in it: it is bounded, and one line of characters that can be read.
func after(text, mark string) string {
	if i := strings.LastIndex(text, mark); i >= 0 {
		text = text[i:]
	}
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, record.Clip(text))
	return strings.TrimRight(text, `"`)
}

// code is the gRPC code of an error as text, for the metrics.
func code(err error) string {
	switch {
	case err == nil:
		return codes.OK.String()
	case errors.Is(err, context.Canceled):
		return codes.Canceled.String()
	case errors.Is(err, context.DeadlineExceeded):
		return codes.DeadlineExceeded.String()
	}
	return status.Code(err).String()
}

// learner reports whether a member did not serve because it has no vote yet.
func learner(err error) bool {
	return err != nil && strings.Contains(err.Error(), rpctypes.ErrorDesc(rpctypes.ErrGRPCNotSupportedForLearner))
}

// leaseGone reports whether etcd no longer knows the lease.
func leaseGone(err error) bool {
	return is(err, rpctypes.ErrLeaseNotFound, rpctypes.ErrGRPCLeaseNotFound)
}

package kube

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
)

// kind is what went wrong, as far as the remedy is another.
type kind string

// The kinds of trouble.
const (
	noCredentials kind = "credentials"
	noTLS         kind = "tls"
	away          kind = "away"
	unauthorized  kind = "unauthorized"
	forbidden     kind = "forbidden"
	missing       kind = "missing"
	conflict      kind = "conflict"
	refused       kind = "refused"
	foreign       kind = "foreign"
	incomparable  kind = "incomparable"
	superseded    kind = "superseded"
	noAddress     kind = "address"
)

// passes reports whether trouble of the kind goes away without anybody's help.
func (k kind) passes() bool { return k == away || k == conflict || k == superseded }

// trouble is why an object is not as it should be.
type trouble struct {
	kind   kind
	err    error
	remedy string // what to do; empty: wait
}

// Error implements error.
func (t *trouble) Error() string {
	if t.remedy == "" {
		return t.err.Error()
	}
	return t.err.Error() + ": " + t.remedy
}

// Unwrap implements errors' interface.
func (t *trouble) Unwrap() error { return t.err }

// hopeless reports whether an error is trouble that will not have gone in a moment.
func hopeless(err error) bool {
	t := (*trouble)(nil)
	return errors.As(err, &t) && !(t.kind == away || t.kind == conflict)
}

// statusError is an answer that is no success.
type statusError struct {
	code    int
	message string // the server's
}

// Error implements error.
func (e *statusError) Error() string {
	if e.message == "" {
		return fmt.Sprintf("the API server answers %d", e.code)
	}
	return fmt.Sprintf("the API server answers %d: %s", e.code, e.message)
}

func isConflict(err error) bool {
	s := (*statusError)(nil)
	return errors.As(err, &s) && s.code == http.StatusConflict
}

// remedies are what depends on the object.
type remedies struct{ missing, role string }

// judged turns the error of a request for an object into trouble.
func judged(err error, object string, r remedies) error {
	t, s := (*trouble)(nil), (*statusError)(nil)
	switch {
	case err == nil, errors.As(err, &t):
		return err
	case errors.As(err, &s):
		return answered(s, fmt.Errorf("%s: %w", object, err), r)
	case refusesTLS(err):
		return &trouble{noTLS, fmt.Errorf("reach the API server: %w", err), "ca.crt of --kube-credentials has to hold the authority of the API server's certificate, and --kube-api a name that this has"}
	}
	return &trouble{away, fmt.Errorf("reach the API server: %w", err), "leading does not depend on it; a network policy may be in the way"}
}

func answered(s *statusError, err error, r remedies) *trouble {
	switch s.code {
	case http.StatusUnauthorized:
		return &trouble{unauthorized, err, "the token of --kube-credentials is refused: mount it as a projected volume, which the kubelet renews, and see whether this pod still exists"}
	case http.StatusForbidden:
		return &trouble{forbidden, err, r.role}
	case http.StatusNotFound:
		return &trouble{missing, err, r.missing}
	case http.StatusConflict:
		return &trouble{conflict, err, "others keep writing to it; only elector should"}
	case http.StatusTooManyRequests, http.StatusRequestTimeout:
		return &trouble{away, err, ""}
	}
	if s.code >= 500 {
		return &trouble{away, err, ""}
	}
	return &trouble{refused, err, "it is written as a merge patch, which an admission webhook or a policy may refuse"}
}

// refusesTLS reports whether one of the two ends does not want to speak TLS with the other.
func refusesTLS(err error) bool {
	var (
		verification *tls.CertificateVerificationError
		alert        tls.AlertError
		record       tls.RecordHeaderError
	)
	return !errors.Is(err, context.Canceled) && (errors.As(err, &verification) || errors.As(err, &alert) || errors.As(err, &record))
}

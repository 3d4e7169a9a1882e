package kube

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	requestTimeout = 5 * time.Second
	maxReply       = 4 << 20 // bytes; etcd takes no larger object
	maxMessage     = 500     // bytes of a refusal that are told
)

var errSlow = fmt.Errorf("no answer within %v", requestTimeout)

// api is an API server and how one shows oneself to it.
type api struct {
	server      string // URL without a closing "/"
	credentials string // folder
}

// get reads an object. It blocks for at most requestTimeout. The error is a *trouble, a *statusError or the transport's.
func (a api) get(ctx context.Context, path string, into any) error {
	body, err := a.do(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, into); err != nil {
		return &trouble{refused, fmt.Errorf("read the answer of %s: %w", a.server, err), "--kube-api has to be a Kubernetes API server"}
	}
	return nil
}

// patch merges into an object. Blocking and errors are as those of get; after one that is no *statusError it may have
// been merged.
func (a api) patch(ctx context.Context, path string, patch any) error {
	body, err := json.Marshal(patch)
	if err != nil {
		panic("encode a patch: " + err.Error()) // strings and numbers always encode
	}
	_, err = a.do(ctx, http.MethodPatch, path+"?fieldManager=elector&fieldValidation=Strict", body)
	return err
}

func (a api) do(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, requestTimeout, errSlow)
	defer cancel()
	token, roots, err := a.read()
	if err != nil {
		return nil, &trouble{noCredentials, err, "give the pod a service account with automountServiceAccountToken: true, or mount a projected token at --kube-credentials"}
	}
	rq, err := http.NewRequestWithContext(ctx, method, a.server+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	rq.Header.Set("Authorization", "Bearer "+token)
	rq.Header.Set("Accept", "application/json")
	rq.Header.Set("User-Agent", "elector")
	if method == http.MethodPatch {
		rq.Header.Set("Content-Type", "application/merge-patch+json")
	}
	client := &http.Client{ // the token goes where it is sent and nowhere else: no proxy, no redirect
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	rs, err := client.Do(rq)
	if err != nil {
		return nil, orSlow(ctx, err)
	}
	defer rs.Body.Close()
	reply, err := io.ReadAll(io.LimitReader(rs.Body, maxReply))
	switch {
	case err != nil:
		return nil, orSlow(ctx, err)
	case rs.StatusCode != http.StatusOK:
		return nil, &statusError{rs.StatusCode, message(reply)}
	}
	return reply, nil
}

// orSlow is err, or that the time was over, if it was.
func orSlow(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); errors.Is(cause, errSlow) {
		return cause
	}
	return err
}

// message is what a refusal says, as one line of text.
func message(reply []byte) string {
	var status struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(reply, &status) != nil {
		return ""
	}
	text := strings.Join(strings.Fields(strings.ToValidUTF8(status.Message, "\ufffd")), " ")
	if len(text) > maxMessage {
		text = strings.ToValidUTF8(text[:maxMessage], "") + "…"
	}
	return text
}

// read reads the token and the authorities, as the kubelet has them now.
func (a api) read() (token string, roots *x509.CertPool, err error) {
	file := filepath.Join(a.credentials, "token")
	b, err := os.ReadFile(file)
	if err != nil {
		return "", nil, err
	}
	token = strings.TrimSpace(string(b))
	if token == "" || strings.ContainsAny(token, "\r\n") {
		return "", nil, fmt.Errorf("%s holds no token", file)
	}
	file = filepath.Join(a.credentials, "ca.crt")
	if b, err = os.ReadFile(file); err != nil {
		return "", nil, err
	}
	roots = x509.NewCertPool()
	if !roots.AppendCertsFromPEM(b) {
		return "", nil, fmt.Errorf("%s holds no certificate", file)
	}
	return token, roots, nil
}

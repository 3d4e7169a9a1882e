package etcdstore

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"

	"google.golang.org/grpc/credentials"
)

// handshakes are credentials of grpc's that go by the files as they are at each handshake.
type handshakes struct {
	secrets *secrets
	name    string // that overrides the authority; empty: none does
}

var _ credentials.TransportCredentials = (*handshakes)(nil)

// ClientHandshake implements credentials.TransportCredentials.
func (h *handshakes) ClientHandshake(ctx context.Context, authority string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	t := h.secrets.config().Clone()
	t.ServerName = h.name
	conn, info, err := credentials.NewTLS(t).ClientHandshake(ctx, authority, conn)
	if err != nil {
		return nil, nil, err
	}
	return &alerted{Conn: conn, secrets: h.secrets}, info, nil
}

// ServerHandshake implements credentials.TransportCredentials; an elector serves no grpc.
func (h *handshakes) ServerHandshake(net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.New("elector: these credentials are a client's")
}

// Info implements credentials.TransportCredentials.
func (h *handshakes) Info() credentials.ProtocolInfo {
	return credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS12, ServerName: h.name}).Info()
}

// Clone implements credentials.TransportCredentials.
func (h *handshakes) Clone() credentials.TransportCredentials {
	c := *h
	return &c
}

// OverrideServerName implements credentials.TransportCredentials.
func (h *handshakes) OverrideServerName(name string) error {
	h.name = name
	return nil
}

// alerted is a connection that notes why the member has closed it. With TLS 1.3 a member tells that it does not accept the
// client's certificate after the handshake, and a request can be faster: its error then is of a connection cut off.
type alerted struct {
	net.Conn
	secrets *secrets
}

// Read implements net.Conn.
func (a *alerted) Read(b []byte) (int, error) {
	n, err := a.Conn.Read(b)
	switch {
	case n > 0:
		a.secrets.alert.Store(nil)
	case err != nil && strings.Contains(err.Error(), "remote error: tls:"):
		text := after(err.Error(), "tls:")
		a.secrets.alert.Store(&text)
	}
	return n, err
}

// lastAlert is why a member has closed a connection, if none has been of use since.
func (s *secrets) lastAlert() string {
	if text := s.alert.Load(); text != nil {
		return *text
	}
	return ""
}

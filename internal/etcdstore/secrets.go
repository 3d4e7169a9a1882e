package etcdstore

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/credentials"
)

// secrets are the files that etcd is reached with. Whoever rotates them replaces the files: each handshake and each
// authentication takes what they hold by then. Files that cannot be used, as one half of a pair while the other is
// still to come, leave in force what was there before. Methods may be called concurrently.
type secrets struct {
	cfg Config
	now func() time.Time

	mu       sync.Mutex // guards the fields below, while files are read
	tls      *tls.Config
	ends     []Certificate
	stamp    string // of the files that tls was made of
	password string
	told     map[string]string // by what it is about: the complaint that was made last
}

// Certificate is a file of certificates and when it is of no use any more: the latest end of those in it.
type Certificate struct {
	File     string
	NotAfter time.Time

	soon time.Time // from when on its end is warned of
}

// certificate is one that lives from a time to another. It is warned of a day before its end, or for the last tenth of a
// shorter life.
func certificate(file string, from, to time.Time) Certificate {
	return Certificate{File: file, NotAfter: to, soon: to.Add(-min(24*time.Hour, to.Sub(from)/10))}
}

// newSecrets reads the files. Its errors are sentences about the settings.
func newSecrets(cfg Config) (*secrets, error) {
	s := &secrets{cfg: cfg, now: time.Now, password: cfg.Password, told: make(map[string]string)}
	var err error
	s.stamp = s.stampOf()
	if s.tls, s.ends, err = s.load(); err != nil {
		return nil, err
	}
	if cfg.PasswordFile != "" {
		if s.password, err = readPassword(cfg); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// config is what the next handshake goes by.
func (s *secrets) config() *tls.Config {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refresh()
	return s.tls
}

// certificates lists the files of certificates with their ends.
func (s *secrets) certificates() []Certificate {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refresh()
	return s.ends
}

// reread reads all files anew, and says again what cannot be used.
func (s *secrets) reread() {
	s.mu.Lock()
	s.stamp = ""
	clear(s.told)
	s.refresh()
	s.mu.Unlock()
	s.pass()
}

// refresh reads the files anew if they have changed, and tells of what that brings. It wants mu held.
func (s *secrets) refresh() {
	if stamp := s.stampOf(); stamp != s.stamp {
		t, ends, err := s.load()
		if err != nil {
			s.complain("certificates", "new certificates for etcd cannot be used; going on with those before", err)
		} else {
			s.tls, s.ends, s.stamp = t, ends, stamp
			delete(s.told, "certificates")
			s.cfg.Logger.Info("certificates for etcd were read anew")
		}
	}
	for _, c := range s.ends {
		if s.now().After(c.soon) {
			s.complain(c.File, "a certificate for etcd ends soon: renew it", fmt.Errorf("%s ends at %s", c.File, c.NotAfter.UTC().Format(time.RFC3339)))
		}
	}
}

// complain warns of something once, until it is another thing.
func (s *secrets) complain(about, msg string, err error) {
	if s.told[about] != err.Error() {
		s.told[about] = err.Error()
		s.cfg.Logger.Warn(msg, "err", err)
	}
}

// stampOf tells the files from others in their place. A link that is swapped leads to another file.
func (s *secrets) stampOf() string {
	var b strings.Builder
	for _, file := range []string{s.cfg.CACert, s.cfg.Cert, s.cfg.Key} {
		if file == "" {
			continue
		}
		info, err := os.Stat(file)
		if err != nil {
			fmt.Fprintf(&b, "%v;", err)
			continue
		}
		fmt.Fprintf(&b, "%d,%d,%s;", info.Size(), info.ModTime().UnixNano(), inode(info))
	}
	return b.String()
}

// load makes the configuration of handshakes from the files.
func (s *secrets) load() (*tls.Config, []Certificate, error) {
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	var ends []Certificate
	if file := s.cfg.CACert; file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, nil, fmt.Errorf("read --etcd-cacert: %w", err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(text) {
			return nil, nil, fmt.Errorf("--etcd-cacert %q holds no certificate in PEM form", file)
		}
		from, to := lastOf(text)
		ends = append(ends, certificate(file, from, to))
	}
	if s.cfg.Cert != "" || s.cfg.Key != "" {
		pair, err := tls.LoadX509KeyPair(s.cfg.Cert, s.cfg.Key)
		if err != nil {
			return nil, nil, fmt.Errorf("load --etcd-cert %q with --etcd-key %q: %w", s.cfg.Cert, s.cfg.Key, err)
		}
		if err := s.valid(pair.Leaf); err != nil {
			return nil, nil, err
		}
		t.Certificates = []tls.Certificate{pair}
		ends = append(ends, certificate(s.cfg.Cert, pair.Leaf.NotBefore, pair.Leaf.NotAfter))
	}
	return t, ends, nil
}

// valid refuses a client certificate that no member would take.
func (s *secrets) valid(leaf *x509.Certificate) error {
	at := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	switch now := s.now(); {
	case now.After(leaf.NotAfter):
		return fmt.Errorf("--etcd-cert %q has ended at %s: renew it", s.cfg.Cert, at(leaf.NotAfter))
	case now.Before(leaf.NotBefore):
		return fmt.Errorf("--etcd-cert %q is not valid before %s, and it is %s: wait, or set this host's clock", s.cfg.Cert, at(leaf.NotBefore), at(now))
	}
	return nil
}

// lastOf is the life of that certificate in a bundle, which may hold old and new ones, that ends last.
func lastOf(bundle []byte) (from, to time.Time) {
	for {
		var block *pem.Block
		if block, bundle = pem.Decode(bundle); block == nil {
			return from, to
		}
		if c, err := x509.ParseCertificate(block.Bytes); err == nil && c.NotAfter.After(to) {
			from, to = c.NotBefore, c.NotAfter
		}
	}
}

// pass is the password of the next authentication.
func (s *secrets) pass() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cfg.PasswordFile == "" {
		return s.password
	}
	p, err := readPassword(s.cfg)
	if err != nil {
		s.complain("password", "the password for etcd cannot be read anew; going on with the one before", err)
		return s.password
	}
	delete(s.told, "password")
	s.password = p
	return p
}

func readPassword(cfg Config) (string, error) {
	b, err := os.ReadFile(cfg.PasswordFile)
	if err != nil {
		return "", fmt.Errorf("read --etcd-password-file: %w", err)
	}
	p := strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
	if p == "" {
		return "", fmt.Errorf("--etcd-password-file %q is empty: put the password of user %q into it", cfg.PasswordFile, cfg.User)
	}
	return p, nil
}

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
	return credentials.NewTLS(t).ClientHandshake(ctx, authority, conn)
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

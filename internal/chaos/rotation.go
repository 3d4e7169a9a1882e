package chaos

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/elector-dev/elector/internal/chaos/history"
	"github.com/elector-dev/elector/internal/devetcd"
)

// The names of the electors' secrets.
const (
	caFile, certFile, keyFile, passwordFile = "ca.crt", "tls.crt", "tls.key", "password"
)

// secrets is a directory as a kubelet mounts a secret: names lead over a link to the files of now, and one rename
// changes them all.
type secrets struct {
	dir   string
	files *devetcd.TLSFiles // the members', and the harness's own
	ips   []string          // that the members' certificates are good for
	texts map[string]string // by name
	round int
}

// newSecrets gives the electors what the members let them in by.
func newSecrets(dir string, files *devetcd.TLSFiles, ips []string) (*secrets, error) {
	s := &secrets{dir: filepath.Join(dir, "secrets"), files: files, ips: ips, texts: map[string]string{passwordFile: "secret"}}
	if err := os.Mkdir(s.dir, 0o700); err != nil {
		return nil, err
	}
	for name, from := range map[string]string{caFile: files.CACert, certFile: files.ClientCert, keyFile: files.ClientKey} {
		text, err := os.ReadFile(from)
		if err != nil {
			return nil, err
		}
		s.texts[name] = string(text)
	}
	for name := range s.texts {
		if err := os.Symlink(filepath.Join("..data", name), s.path(name)); err != nil {
			return nil, err
		}
	}
	return s, s.swap(nil)
}

func (s *secrets) path(name string) string { return filepath.Join(s.dir, name) }

// swap replaces some files, all at once.
func (s *secrets) swap(texts map[string]string) error {
	before, _ := os.Readlink(s.path("..data"))
	s.round++
	next := fmt.Sprintf("..%d", s.round)
	if err := os.Mkdir(s.path(next), 0o700); err != nil {
		return err
	}
	for name, text := range texts {
		s.texts[name] = text
	}
	for name, text := range s.texts {
		if err := os.WriteFile(filepath.Join(s.path(next), name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	err := os.Symlink(next, s.path("..new"))
	if err == nil {
		err = os.Rename(s.path("..new"), s.path("..data"))
	}
	if err == nil && before != "" {
		err = os.RemoveAll(s.path(before))
	}
	return err
}

// rotated is a full set of new secrets.
type rotated struct {
	authority        string
	both             string // the authority of before, and the new one
	client           map[string]string
	server, password map[string]string // server: by path
}

// next makes new secrets of which nobody knows yet.
func (s *secrets) next() (r rotated, err error) {
	dir, err := os.MkdirTemp(filepath.Dir(s.dir), "rotated-")
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	files, err := devetcd.NewTLSFiles(dir, "elector", s.ips...)
	if err != nil {
		return r, err
	}
	read := func(path string) string {
		text, failed := os.ReadFile(path)
		err = errors.Join(err, failed)
		return string(text)
	}
	r.authority = read(files.CACert)
	r.both = s.texts[caFile] + r.authority
	r.client = map[string]string{certFile: read(files.ClientCert), keyFile: read(files.ClientKey)}
	r.server = map[string]string{
		s.files.ServerCert: read(files.ServerCert), s.files.ServerKey: read(files.ServerKey),
		s.files.ClientCert: r.client[certFile], s.files.ClientKey: r.client[keyFile],
	}
	r.password = map[string]string{passwordFile: fmt.Sprintf("secret-%d", s.round)}
	return r, err
}

// replaceFile puts another file in the place of one that somebody may be reading.
func replaceFile(path, text string) error {
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// rotation changes all that the electors are let in by, in the order that docs/etcd-access.md has: nobody is refused at
// any time, so it must not cost a term. The end of a storm does not cut it short.
func (n *nemesis) rotation(ctx context.Context, _ step) error {
	free, err := n.claims.claim(ctx, quorum)
	if err != nil {
		return err
	}
	defer free()
	within, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Minute)
	defer cancel()
	f := n.recorder.begin(history.Rotation, "authority, certificates, password", memberNames(n.ground.members)...)
	err = n.rotate(within)
	f.end(err == nil)
	return err
}

func (n *nemesis) rotate(ctx context.Context) error {
	s := n.ground.secrets
	r, err := s.next()
	if err != nil {
		return err
	}
	for _, do := range []func() error{
		func() error { return replaceFile(s.files.CACert, r.both) },
		func() error { return s.swap(map[string]string{caFile: r.both}) },
		func() error { return n.restartInTurn(ctx) },
		func() error { return s.swap(r.client) },
		func() error {
			// A certificate and its key are two files: whoever reads between the two is refused and comes again.
			var errs []error
			for path, text := range r.server {
				errs = append(errs, replaceFile(path, text))
			}
			return errors.Join(errs...)
		},
		func() error { return replaceFile(s.files.CACert, r.authority) },
		func() error { return s.swap(map[string]string{caFile: r.authority}) },
		func() error { return n.restartInTurn(ctx) },
		func() error { return s.swap(r.password) },
		func() error {
			return insist(ctx, func(ctx context.Context) error {
				_, err := n.ground.operator.UserChangePassword(ctx, "elector", r.password[passwordFile])
				return err
			})
		},
	} {
		if err := do(); err != nil {
			return err
		}
	}
	return nil
}

// restartInTurn has each member read its authorities anew, one after the other: etcd reads them when it starts. One that
// does not end in time is killed, as whatever supervises it would.
func (n *nemesis) restartInTurn(ctx context.Context) error {
	for i := range n.ground.members {
		m := n.ground.etcd.Member(i)
		within, cancel := context.WithTimeout(ctx, memberEnds)
		err := m.Stop(within)
		cancel()
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			err = nil
		}
		if err := errors.Join(err, m.Restart(), n.ground.etcd.WaitHealthy(ctx)); err != nil {
			return err
		}
	}
	return nil
}

// memberEnds is how long a member may take to end. Seen: one that had got a new peer did not within two minutes.
const memberEnds = 10 * time.Second

// insist asks until it is done.
func insist(ctx context.Context, ask func(context.Context) error) error {
	for {
		within, cancel := context.WithTimeout(ctx, operatorPatience)
		err := ask(within)
		cancel()
		if err == nil || !pause(ctx, 100*time.Millisecond) {
			return err
		}
	}
}

// lasting makes a client's configuration one that outlives rotations: each handshake goes by the files of now.
func lasting(cfg clientv3.Config, files *devetcd.TLSFiles) clientv3.Config {
	if files != nil {
		cfg.DialOptions = append(cfg.DialOptions, grpc.WithTransportCredentials(handshakes{credentials.NewTLS(cfg.TLS), files}))
	}
	return cfg
}

// handshakes are credentials of grpc's that read their files each time.
type handshakes struct {
	credentials.TransportCredentials
	files *devetcd.TLSFiles
}

// ClientHandshake implements credentials.TransportCredentials.
func (h handshakes) ClientHandshake(ctx context.Context, authority string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	cfg, err := h.files.ClientConfig()
	if err != nil {
		return nil, nil, err
	}
	return credentials.NewTLS(cfg).ClientHandshake(ctx, authority, conn)
}

// Clone implements credentials.TransportCredentials.
func (h handshakes) Clone() credentials.TransportCredentials { return h }

// clientConfig is that of a harness's client, good for the whole run.
func (g *ground) clientConfig(endpoints ...string) (clientv3.Config, error) {
	cfg, err := g.etcd.ClientConfig(endpoints...)
	if err != nil {
		return cfg, err
	}
	return lasting(cfg, g.etcd.TLS()), nil
}

// client opens one by it. The context bounds nothing but this call.
func (g *ground) client(ctx context.Context, endpoints ...string) (*clientv3.Client, error) {
	cfg, err := g.clientConfig(endpoints...)
	if err != nil {
		return nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		cfg.DialTimeout = min(cfg.DialTimeout, max(time.Millisecond, time.Until(deadline)))
	}
	return clientv3.New(cfg)
}

// addresses are the hosts that the members' certificates are good for.
func (g *ground) addresses() []string {
	var ips []string
	if g.lab != nil {
		ips = append(ips, g.lab.Addr(-1)) // of the links
	}
	for _, endpoint := range g.etcd.Endpoints() {
		if u, err := url.Parse(endpoint); err == nil {
			ips = append(ips, u.Hostname())
		}
	}
	return ips
}

package devetcd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
)

// access is how to reach running members; Embedded and Cluster share it.
type access struct {
	endpoints []string
	tls       *TLSFiles
	auth      *Auth
}

// Endpoints returns the client URLs of all members.
func (a *access) Endpoints() []string { return slices.Clone(a.endpoints) }

// TLS returns the paths of the certificates, or nil if Options.TLS was not set.
func (a *access) TLS() *TLSFiles { return a.tls }

// ClientConfig returns the configuration of a client that may do everything: as root if access is by
// password, with the client certificate if there is TLS. Without endpoints it names all members.
func (a *access) ClientConfig(endpoints ...string) (clientv3.Config, error) {
	if len(endpoints) == 0 {
		endpoints = a.Endpoints()
	}
	cfg := clientv3.Config{Endpoints: endpoints, DialTimeout: 5 * time.Second, Logger: zap.NewNop()}
	if a.tls != nil {
		var err error
		if cfg.TLS, err = a.tls.ClientConfig(); err != nil {
			return cfg, err
		}
	}
	if a.auth != nil {
		cfg.Username, cfg.Password = "root", a.auth.rootPassword()
		cfg.DialOptions = []grpc.DialOption{grpc.WithChainUnaryInterceptor(renewToken)}
	}
	return cfg, nil
}

// renewToken helps the library with etcd up to 3.4 and a password token that no longer counts. Whoever asks for another
// with it is refused: the library would ask again for ever, and forgets the old one when it is told that there are no
// users. Over TLS, a request with it is taken for one of the user whom the client certificate names, and denied what that
// user may not do; root may do everything.
func renewToken(ctx context.Context, method string, req, rep any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	err := invoke(ctx, method, req, rep, cc, opts...)
	_, asks := req.(*pb.AuthenticateRequest)
	switch refused := rpctypes.Error(err); {
	case asks && errors.Is(refused, rpctypes.ErrInvalidAuthToken):
		return rpctypes.ErrGRPCAuthNotEnabled
	case errors.Is(refused, rpctypes.ErrPermissionDenied):
		return rpctypes.ErrGRPCInvalidAuthToken
	}
	return err
}

// NewClient opens a client by ClientConfig. The context bounds nothing but this call: close the client.
func (a *access) NewClient(ctx context.Context, endpoints ...string) (*clientv3.Client, error) {
	cfg, err := a.ClientConfig(endpoints...)
	if err != nil {
		return nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		cfg.DialTimeout = min(cfg.DialTimeout, max(time.Millisecond, time.Until(deadline)))
	}
	cli, err := clientv3.New(cfg)
	if err != nil {
		return nil, fmt.Errorf("open client of %v: %w", cfg.Endpoints, err)
	}
	return cli, nil
}

// Auth is password access: root, and one user who may do everything below one prefix.
type Auth struct {
	RootPassword string // default "root"
	User         string // default "elector"
	Password     string // default "secret"
	Prefix       string // default "/elector/"
	ReadOnly     bool   // let the user read and not write
}

func (a *Auth) rootPassword() string { return cmp.Or(a.RootPassword, "root") }

// EnableAuth creates the users and the role and turns password access on. The client keeps working
// only for what needs no user; open another.
func EnableAuth(ctx context.Context, cli *clientv3.Client, a Auth) error {
	user, prefix := cmp.Or(a.User, "elector"), cmp.Or(a.Prefix, "/elector/")
	permission := clientv3.PermissionType(clientv3.PermReadWrite)
	if a.ReadOnly {
		permission = clientv3.PermissionType(clientv3.PermRead)
	}
	steps := []struct {
		what string
		do   func() error
	}{
		{"add role root", func() error { _, err := cli.RoleAdd(ctx, "root"); return err }},
		{"add user root", func() error { _, err := cli.UserAdd(ctx, "root", a.rootPassword()); return err }},
		{"grant root", func() error { _, err := cli.UserGrantRole(ctx, "root", "root"); return err }},
		{"add role", func() error { _, err := cli.RoleAdd(ctx, user); return err }},
		{"grant permission", func() error {
			_, err := cli.RoleGrantPermission(ctx, user, prefix, clientv3.GetPrefixRangeEnd(prefix), permission)
			return err
		}},
		{"add user", func() error { _, err := cli.UserAdd(ctx, user, cmp.Or(a.Password, "secret")); return err }},
		{"grant role", func() error { _, err := cli.UserGrantRole(ctx, user, user); return err }},
		{"enable auth", func() error { _, err := cli.AuthEnable(ctx); return err }},
	}
	for _, s := range steps {
		if err := s.do(); err != nil {
			return fmt.Errorf("%s: %w", s.what, err)
		}
	}
	return nil
}

// protect enables auth as the options ask, and from then on ClientConfig is root's.
func (a *access) protect(ctx context.Context, auth *Auth) error {
	if auth == nil {
		return nil
	}
	cli, err := a.NewClient(ctx)
	if err != nil {
		return err
	}
	defer cli.Close()
	if err := EnableAuth(ctx, cli, *auth); err != nil {
		return err
	}
	a.auth = auth
	return nil
}

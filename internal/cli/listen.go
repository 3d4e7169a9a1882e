package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/elector-dev/elector/internal/config"
	"github.com/elector-dev/elector/internal/httpapi"
	"github.com/elector-dev/elector/internal/webconfig"
)

// closeTimeout bounds the time in which requests under way may end, once the key has been given up.
const closeTimeout = 2 * time.Second

// listener is one HTTP server and its socket.
type listener struct {
	setting string
	socket  net.Listener
	server  *http.Server
	web     string // file with TLS and basic auth; empty: neither
	log     *slog.Logger
}

// listen opens the configured sockets, all or none. Requests wait in them until serve is called.
func listen(ctx context.Context, cfg config.Config, api *httpapi.API, log *slog.Logger) ([]*listener, error) {
	var opened []*listener
	for _, want := range []struct {
		setting, address string
		handler          http.Handler
		serve            func(http.Handler) *http.Server
		web              string
	}{
		{"http", cfg.HTTP, api.Main(), httpapi.NewServer, ""},
		{"probe-http", cfg.ProbeHTTP, api.Probe(), httpapi.NewProbeServer, cfg.ProbeWebConfig},
	} {
		if want.address == "" {
			continue
		}
		socket, err := open(ctx, want.address)
		if err != nil {
			closeAll(opened)
			return nil, fmt.Errorf("--%s %q cannot be listened on (%w): stop what uses the address, or set another", want.setting, want.address, reason(err))
		}
		server := want.serve(want.handler)
		server.ErrorLog = slog.NewLogLogger(log.Handler(), slog.LevelWarn)
		opened = append(opened, &listener{want.setting, socket, server, want.web, log})
		log.Info("listening", "setting", want.setting, "address", socket.Addr().String())
	}
	return opened, nil
}

// closeAll closes sockets from which nothing was accepted.
func closeAll(listeners []*listener) {
	for _, l := range listeners {
		_ = l.socket.Close()
	}
}

// open opens one socket.
func open(ctx context.Context, address string) (net.Listener, error) {
	var lc net.ListenConfig
	if path, ok := config.UnixSocket(address); ok {
		return listenUnix(ctx, &lc, path)
	}
	return lc.Listen(ctx, "tcp", address)
}

// reason strips the address, which the sentence holds already, from a network error.
func reason(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}

// serve answers requests until stop is called. It blocks; any other end is an error.
func (l *listener) serve() error {
	serve := l.server.Serve
	if l.web != "" {
		serve = func(socket net.Listener) error {
			return webconfig.Serve(l.server, socket, l.web, l.log)
		}
	}
	if err := serve(l.socket); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve --%s: %w", l.setting, err)
	}
	return nil
}

// stop lets requests under way end, for a bounded time, and closes the rest.
func (l *listener) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	if err := l.server.Shutdown(ctx); err != nil {
		_ = l.server.Close() // the process is going; a connection that would not end is cut
	}
	return nil
}

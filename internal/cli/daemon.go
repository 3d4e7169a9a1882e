package cli

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"io"
	"log/slog"

	"golang.org/x/sync/errgroup"

	"github.com/elector-dev/elector/internal/boottime"
	"github.com/elector-dev/elector/internal/config"
	"github.com/elector-dev/elector/internal/election"
	"github.com/elector-dev/elector/internal/etcdstore"
	"github.com/elector-dev/elector/internal/httpapi"
	"github.com/elector-dev/elector/internal/metrics"
)

// daemon is the parts of a running elector. Making one reads the files that the settings name, and
// neither contacts anything nor starts anything.
type daemon struct {
	elector *election.Elector
	api     *httpapi.API
}

// newDaemon builds the parts. Its errors are mistakes in the settings.
func newDaemon(cfg config.Config, mem memory, log *slog.Logger) (*daemon, error) {
	m := metrics.New(metrics.Config{Election: cfg.Path(), Name: cfg.Election, Version: Version()})
	store, err := etcdstore.New(etcdstore.Config{
		Endpoints:    cfg.Etcd.Endpoints,
		DialTimeout:  cfg.Etcd.DialTimeout,
		CACert:       cfg.Etcd.CACert,
		Cert:         cfg.Etcd.Cert,
		Key:          cfg.Etcd.Key,
		User:         cfg.Etcd.User,
		Password:     cfg.Etcd.Password,
		PasswordFile: cfg.Etcd.PasswordFile,
		Prefix:       cfg.Prefix,
		Namespace:    cfg.Namespace,
		Election:     cfg.Election,
		Identity:     cfg.ID,
		Incarnation:  mem.incarnation,
		Predecessors: mem.past.Predecessors,
		Version:      Version(),
		TTL:          cfg.TTL,
		Clock:        bootClock{},
		Logger:       log,
		Requests:     m.Request,
	})
	if err != nil {
		return nil, usageError{err}
	}
	elector, err := election.New(election.Config{
		Identity:    cfg.ID,
		Incarnation: mem.incarnation,
		Election:    cfg.Path(),
		TTL:         cfg.TTL,
		AnswerMax:   cfg.AnswerMax,
		ReleaseNow:  cfg.ShutdownRelease == config.ReleaseNow,
		Past:        mem.past,
		Journal:     mem.journal(),
		Clock:       bootClock{},
		Store:       store,
		Logger:      log,
		Recorder:    m,
	})
	if err != nil {
		return nil, usageError{err}
	}
	m.Attach(elector)
	api := httpapi.New(httpapi.Config{Elector: elector, Election: cfg.Path(), Metrics: m.Handler(), Logger: log})
	return &daemon{elector: elector, api: api}, nil
}

// serve runs the daemon until ctx ends or a listener breaks. It listens before it looks for etcd, which
// may be out of reach for as long as it likes.
func serve(ctx context.Context, cfg config.Config, warnings []string, stderr io.Writer) error {
	log := newLogger(cfg, stderr)
	for _, w := range warnings {
		log.Warn("check the settings", "warning", w)
	}
	mem, err := remember(cfg)
	if err != nil {
		return err
	}
	defer mem.close()
	d, err := newDaemon(cfg, mem, log)
	if err != nil {
		return err
	}
	listeners, err := listen(ctx, cfg, d.api, log)
	if err != nil {
		return err
	}
	log.Info("starting", "version", Version(), "incarnation", d.elector.Incarnation(), "ttl", cfg.TTL.String(), "endpoints", cfg.Etcd.Endpoints)

	group, running := errgroup.WithContext(ctx)
	ended := make(chan struct{}) // the key has been given up
	group.Go(func() error {
		defer close(ended)
		return d.elector.Run(running, nil)
	})
	group.Go(func() error {
		select {
		case <-running.Done():
			log.Info("stopping", "cause", context.Cause(running))
		case <-ended:
		}
		return nil
	})
	for _, l := range listeners {
		group.Go(l.serve)
		group.Go(func() error {
			<-ended
			return l.stop()
		})
	}
	err = group.Wait()
	log.Info("stopped")
	return err
}

// newLogger makes the log. Every line carries the election and the identity.
func newLogger(cfg config.Config, w io.Writer) *slog.Logger {
	opts := &slog.HandlerOptions{Level: cfg.LogLevel}
	var h slog.Handler = slog.NewTextHandler(w, opts)
	if cfg.LogFormat == config.LogJSON {
		h = slog.NewJSONHandler(w, opts)
	}
	return slog.New(h).With("election", cfg.Path(), "identity", cfg.ID)
}

// newIncarnation tells this process from all others. crypto/rand never returns an error.
func newIncarnation() string {
	b := make([]byte, 8)
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}

// bootClock is the host's boot clock.
type bootClock struct{}

// Now implements election.Clock.
func (bootClock) Now() election.Instant { return election.Instant(boottime.Now()) }

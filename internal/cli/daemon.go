package cli

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/elector-dev/elector/internal/boottime"
	"github.com/elector-dev/elector/internal/config"
	"github.com/elector-dev/elector/internal/election"
	"github.com/elector-dev/elector/internal/etcdstore"
	"github.com/elector-dev/elector/internal/health"
	"github.com/elector-dev/elector/internal/httpapi"
	"github.com/elector-dev/elector/internal/kube"
	"github.com/elector-dev/elector/internal/metrics"
	"github.com/elector-dev/elector/internal/sdnotify"
	"github.com/elector-dev/elector/internal/statusfile"
	"github.com/elector-dev/elector/internal/webconfig"
	"github.com/elector-dev/elector/internal/work"
)

// daemon is the parts of a running elector. Making one reads the files that the settings name, and
// neither contacts anything nor starts anything.
type daemon struct {
	elector *election.Elector
	api     *httpapi.API
	holds   *work.Holds
	gate    *health.Gate
	checks  *checks
	hooks   *work.Hooks
	store   *etcdstore.Store
	kube    *kube.Kube // nil: no API server is told anything
}

// newDaemon builds the parts. Its errors are mistakes in the settings, or about the files that they name; see blame.
func newDaemon(cfg config.Config, mem memory, guarded bool, env []string, log *slog.Logger) (*daemon, error) {
	d := &daemon{}
	hooks, err := hooksOf(cfg)
	if err != nil {
		return nil, usageError{err}
	}
	if err := d.watchWorkers(cfg, mem, env, log); err != nil {
		return nil, usageError{err}
	}
	m := metrics.New(metrics.Config{Election: cfg.Path(), Name: cfg.Election, Version: Version()})
	d.store, err = etcdstore.New(etcdstore.Config{
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
		return nil, blame(err)
	}
	grace := time.Duration(0)
	if guarded {
		grace = cfg.Grace()
	}
	d.elector, err = election.New(election.Config{
		Barred:      d.gate.Whole(),
		Vet:         func(ctx context.Context, term election.Term) error { return d.hooks.BeforeLead(ctx, term) },
		Grace:       grace,
		Identity:    cfg.ID,
		Incarnation: mem.incarnation,
		Election:    cfg.Path(),
		TTL:         cfg.TTL,
		AnswerMax:   cfg.AnswerMax,
		ReleaseNow:  cfg.ShutdownRelease == config.ReleaseNow,
		Past:        mem.past,
		Journal:     mem.journal(),
		Clock:       bootClock{},
		Store:       d.store,
		Logger:      log,
		Recorder:    m,
	})
	if err != nil {
		return nil, usageError{err}
	}
	m.Attach(d.elector)
	m.AttachCertificates(func() (all []metrics.Certificate) {
		for _, c := range d.store.Certificates() {
			all = append(all, metrics.Certificate{File: c.File, NotAfter: c.NotAfter})
		}
		return all
	})
	if cfg.ProbeWebConfig != "" {
		if err := webconfig.Check(cfg.ProbeWebConfig); err != nil {
			return nil, blame(fmt.Errorf("--probe-http-web-config %q: %w", cfg.ProbeWebConfig, err))
		}
	}
	if cfg.HTTPTokenFile != "" {
		if err := httpapi.CheckTokenFile(cfg.HTTPTokenFile); err != nil {
			return nil, blame(err)
		}
	}
	if err := statusfile.Check(cfg.StatusFile, cfg.LeaderFile); err != nil {
		return nil, blame(err)
	}
	if err := d.tellKube(cfg, env, m, log); err != nil {
		return nil, usageError{err}
	}
	d.holds = work.NewHolds(work.HoldsConfig{
		Elector: holder{d.elector, d.gate}, Clock: bootClock{}, Required: cfg.RequireHold, Drain: cfg.DrainTimeout,
	})
	m.AttachWorkers(metrics.Workers{Holds: d.holds.Count, Checks: d.checks.shown})
	d.api = httpapi.New(httpapi.Config{
		Holds: httpapi.Holds{
			Open:    func(ctx context.Context) (httpapi.Hold, error) { return d.holds.Open(ctx) },
			Timeout: cfg.HoldTimeout,
		},
		Drains:  drains(d.gate, mem.dir),
		Elector: d.elector, Election: cfg.Path(), Metrics: m.Handler(), Logger: log,
		Writes: httpapi.Writes{Exposed: cfg.Exposed(), Hosts: cfg.AllowedHosts, TokenFile: cfg.HTTPTokenFile},
	})
	d.hooks = work.NewHooks(work.HooksConfig{
		HookSet: hooks, Elector: d.elector, Encode: d.api.Encode, Identity: cfg.ID, Election: cfg.Path(), Env: env,
		Clock: bootClock{}, Ran: m.Hook, Logger: log,
	})
	return d, nil
}

// serve runs the daemon until ctx ends or a listener breaks. It listens before it looks for etcd, which
// may be out of reach for as long as it likes. With a command it also ends when that has ended by itself, and
// returns its exit status.
func serve(ctx context.Context, cfg config.Config, warnings []string, from source, stderr io.Writer, command *work.ChildConfig) (status int, err error) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	level := new(slog.LevelVar)
	level.Set(cfg.LogLevel)
	log := newLogger(cfg, level, stderr)
	for _, w := range warnings {
		log.Warn("check the settings", "warning", w)
	}
	confineFor(cfg, command != nil, from.confine, log)
	mem, err := remember(cfg)
	if err != nil {
		return 0, err
	}
	defer mem.close()
	d, err := newDaemon(cfg, mem, command != nil, sdnotify.Without(from.env), log)
	if err != nil {
		return 0, err
	}
	listeners, err := listen(ctx, cfg, d.api, log)
	if err != nil {
		return 0, err
	}
	files, err := d.keepFiles(cfg, log)
	if err != nil {
		closeAll(listeners)
		return 0, err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	parts := []election.Lead{publish(d.elector, cfg.Value, log), d.holds.Lead, d.hooks.Lead}
	if d.kube != nil {
		parts = append(parts, d.kube.Lead)
	}
	var child *work.Child
	if command != nil {
		command.WorkEnd, command.Logger, command.Group = d.elector.WorkEnd, log, mem.group()
		child = work.NewChild(*command)
		parts = append(parts, child.Lead)
	}
	lead := d.hooks.Around(work.All(parts...))
	log.Info("starting", "version", Version(), "incarnation", d.elector.Incarnation(), "ttl", cfg.TTL.String(), "endpoints", cfg.Etcd.Endpoints)

	group, running := errgroup.WithContext(ctx)
	ended := make(chan struct{}) // the key has been given up
	group.Go(func() error {
		defer close(ended)
		return d.elector.Run(running, lead)
	})
	if child != nil {
		group.Go(func() error {
			select {
			case <-child.Ended():
				stop(errors.New("the command has ended"))
			case <-ended:
			}
			return nil
		})
	}
	group.Go(func() error {
		select {
		case <-running.Done():
			log.Info("stopping", "cause", context.Cause(running))
		case <-ended:
		}
		return nil
	})
	group.Go(func() error { // to the elector's end
		return sdnotify.New(from.env, os.Getpid()).Run(context.Background(), d.elector, running.Done())
	})
	group.Go(func() error { return d.hooks.Run(context.Background()) }) // to the elector's end
	group.Go(func() error { d.checks.run(ended); return nil })
	group.Go(func() error {
		d.store.Attend(ended, func(why string) { _ = d.elector.Forewarn(context.Background(), why) }) // an elector that has ended needs no word
		return nil
	})
	group.Go(func() error { d.reloads(hangups, ended, cfg, from, level, log); return nil })
	if d.kube != nil {
		group.Go(func() error { d.kube.Run(ended); return nil })
	}
	if files != nil {
		group.Go(func() error { return files.Run(context.Background()) }) // to the elector's end
	}
	for _, l := range listeners {
		group.Go(l.serve)
		group.Go(func() error {
			<-ended
			return l.stop()
		})
	}
	err = group.Wait()
	log.Info("stopped")
	if child != nil {
		select {
		case <-child.Ended():
			status = child.ExitStatus()
		default:
		}
	}
	return status, err
}

// keepFiles makes the files for scripts say no; nil: none are to be kept. For its errors see blame.
func (d *daemon) keepFiles(cfg config.Config, log *slog.Logger) (*statusfile.Files, error) {
	if cfg.StatusFile == "" && cfg.LeaderFile == "" {
		return nil, nil
	}
	f, err := statusfile.New(statusfile.Config{
		Status: cfg.StatusFile, Leader: cfg.LeaderFile, Election: cfg.Path(), Elector: d.elector, Encode: d.api.Encode, Logger: log,
	})
	if err != nil {
		return nil, blame(err)
	}
	return f, nil
}

// tellKube makes what tells an API server who leads, if it is to be told. The error is one about the settings.
func (d *daemon) tellKube(cfg config.Config, env []string, m *metrics.Metrics, log *slog.Logger) (err error) {
	if !cfg.Kube.Used() {
		return nil
	}
	d.kube, err = kube.New(kube.Config{
		Service: cfg.Kube.Service, PodLabel: cfg.Kube.PodLabel, API: cfg.Kube.API, Credentials: cfg.Kube.Credentials, Env: env,
		Election: cfg.Path(), Elector: d.elector, Cluster: d.store.Cluster, Clock: bootClock{}, Logger: log,
	})
	if err != nil {
		return err
	}
	m.AttachKube(func() (all []metrics.KubeObject) {
		for _, o := range d.kube.Objects() {
			all = append(all, metrics.KubeObject{Name: o.Name, Up: o.Up})
		}
		return all
	})
	return nil
}

// newLogger makes the log. Every line carries the election and the identity.
func newLogger(cfg config.Config, level slog.Leveler, w io.Writer) *slog.Logger {
	opts := &slog.HandlerOptions{Level: level}
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

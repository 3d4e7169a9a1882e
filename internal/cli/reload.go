package cli

import (
	"log/slog"
	"os"
	"strings"

	"github.com/elector-dev/elector/internal/config"
)

// source is who started the daemon: where the settings come from, and what takes rights from the process.
type source struct {
	flags   *config.Flags
	env     []string
	confine func() error
}

// reloads takes over what may change while the daemon runs, once for each hang-up, until the elector has ended. No term
// ends of it, but for a check that fails.
func (d *daemon) reloads(hangups <-chan os.Signal, ended <-chan struct{}, running config.Config, from source, level *slog.LevelVar, log *slog.Logger) {
	for {
		select {
		case <-hangups:
			running = d.reload(running, from, level, log)
		case <-ended:
			return
		}
	}
}

// reload reads all files anew and returns the settings that are then in force. A mistake leaves everything as it was.
func (d *daemon) reload(running config.Config, from source, level *slog.LevelVar, log *slog.Logger) config.Config {
	d.store.Reread()
	next, changes, warnings, err := from.flags.Reload(from.env, running)
	for _, w := range warnings {
		log.Warn("check the settings", "warning", w)
	}
	if err == nil {
		err = d.takeOver(next)
	}
	if err != nil {
		log.Error("the settings cannot be taken over and stay as they were: correct them and send SIGHUP again", "err", err)
		return running
	}
	level.Set(next.LogLevel)
	if len(changes.Fixed) > 0 {
		log.Warn("these settings wait for a restart", "settings", strings.Join(changes.Fixed, " "))
	}
	log.Info("settings were read anew", "changed", strings.Join(changes.Live, " "), "file", next.File)
	return next
}

// takeOver has other hooks and checks. With an error, one about the settings, nothing has changed.
func (d *daemon) takeOver(next config.Config) error {
	hooks, err := hooksOf(next)
	if err != nil {
		return err
	}
	if err := d.checks.replace(next); err != nil {
		return err
	}
	d.hooks.Replace(hooks)
	return nil
}

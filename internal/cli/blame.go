package cli

import (
	"errors"
	"log/slog"
	"syscall"

	"github.com/elector-dev/elector/internal/config"
	"github.com/elector-dev/elector/internal/statedir"
)

// blame makes an error about a file that a setting names a mistake in the settings, which no restart mends; but not if the
// machine is at fault, or another process that will end: then the next start may succeed.
func blame(err error) error {
	var call syscall.Errno
	if errors.Is(err, statedir.ErrInUse) || errors.As(err, &call) && !mistaken(call) {
		return err
	}
	return usageError{err}
}

// mistaken reports whether a call's error says that a name is wrong, or that a right is missing.
func mistaken(call syscall.Errno) bool {
	switch call {
	case syscall.ENOENT, syscall.ENOTDIR, syscall.EISDIR, syscall.EEXIST, syscall.EACCES, syscall.EPERM, syscall.EROFS,
		syscall.ELOOP, syscall.ENAMETOOLONG, syscall.EINVAL, syscall.ENXIO, syscall.ENODEV:
		return true
	}
	return false
}

// confineFor takes rights from the process that none of the commands that it runs may need.
func confineFor(cfg config.Config, command bool, confine func() error, log *slog.Logger) {
	if !cfg.ChildNoNewPrivs && (command || cfg.RunsCommands()) {
		return
	}
	switch err := confine(); {
	case errors.Is(err, errors.ErrUnsupported): // built with cgo, as for its tests
		log.Debug("the process keeps rights that it does not need", "err", err)
	case err != nil:
		log.Warn("the process keeps rights that it does not need", "err", err)
	}
}

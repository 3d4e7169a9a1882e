package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"testing"

	"github.com/elector-dev/elector/internal/statedir"
)

func TestOnlyWhatARestartDoesNotMendIsAMistake(t *testing.T) {
	for _, c := range []struct {
		err     error
		mistake bool
	}{
		{errors.New("the directory can be written to by others"), true},
		{fs.ErrNotExist, true},
		{&os.PathError{Op: "open", Path: "x", Err: syscall.EACCES}, true},
		{&os.PathError{Op: "open", Path: "x", Err: syscall.EROFS}, true},
		{&os.PathError{Op: "read", Path: "x", Err: syscall.EIO}, false},
		{fmt.Errorf("write: %w", errors.Join(syscall.ENOSPC, nil)), false},
		{syscall.EMFILE, false},
		{fmt.Errorf("%w: wait", statedir.ErrInUse), false},
	} {
		if got := errors.As(blame(c.err), new(usageError)); got != c.mistake || !errors.Is(blame(c.err), c.err) {
			t.Errorf("%v: taken for a mistake: %v", c.err, got)
		}
	}
}

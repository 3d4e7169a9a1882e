//go:build !linux

package havoc

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// LimitFiles is for Linux only.
func LimitFiles(context.Context, int) (Undo, error) {
	return nil, fmt.Errorf("limit open files: %w", errors.ErrUnsupported)
}

// Disk is for Linux only.
type Disk struct{}

// NewDisk is for Linux only.
func NewDisk(string, int) (*Disk, error) {
	return nil, fmt.Errorf("make a disk: %w", errors.ErrUnsupported)
}

// Dir is for Linux only.
func (*Disk) Dir() string { return "" }

// Freeze is for Linux only.
func (*Disk) Freeze(time.Duration) error { return errors.ErrUnsupported }

// Thaw is for Linux only.
func (*Disk) Thaw() error { return errors.ErrUnsupported }

// Close is for Linux only.
func (*Disk) Close() error { return errors.ErrUnsupported }

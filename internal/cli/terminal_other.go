//go:build !linux

package cli

import "os"

// isTerminal knows no terminals here: output is plain.
func isTerminal(*os.File) bool { return false }

//go:build !linux

package proc

import "syscall"

// attributes gives the child its own process group. Without a parent-death signal the child must watch
// its standard input.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// awaitHalt does nothing: no portable call tells when a stopped child has halted.
func awaitHalt(int) {}

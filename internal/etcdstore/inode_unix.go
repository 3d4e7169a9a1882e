//go:build unix

package etcdstore

import (
	"os"
	"strconv"
	"syscall"
)

// inode tells a file from another of the same size and time.
func inode(info os.FileInfo) string {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return strconv.FormatUint(st.Ino, 10)
	}
	return ""
}

//go:build !unix

package etcdstore

import "os"

// inode is not known here.
func inode(os.FileInfo) string { return "" }

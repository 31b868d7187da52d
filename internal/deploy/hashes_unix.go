//go:build unix

package deploy

import (
	"fmt"
	"io/fs"
	"syscall"
)

// fileStamp changes whenever a file's content may have.
func fileStamp(info fs.FileInfo) string {
	inode := uint64(0)
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		inode = stat.Ino
	}
	return fmt.Sprintf("%d %d %d", info.Size(), info.ModTime().UnixNano(), inode)
}

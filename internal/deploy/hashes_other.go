//go:build !unix

package deploy

import (
	"fmt"
	"io/fs"
)

// fileStamp changes whenever a file's content may have.
func fileStamp(info fs.FileInfo) string {
	return fmt.Sprintf("%d %d", info.Size(), info.ModTime().UnixNano())
}

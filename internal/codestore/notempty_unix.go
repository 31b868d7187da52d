//go:build unix

package codestore

import (
	"errors"
	"syscall"
)

// isNotEmpty tells whether a folder could not be renamed because another is in
// its place.
func isNotEmpty(err error) bool { return errors.Is(err, syscall.ENOTEMPTY) }

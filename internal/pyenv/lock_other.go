//go:build !unix

package pyenv

import "context"

// lock does nothing where files cannot be locked: there, two processes must not
// share a cache folder.
func lock(context.Context, string, func()) (unlock func(), err error) { return func() {}, nil }

//go:build unix

package deploy

import (
	"os"
	"syscall"
)

// exitCode is the code a shell or Python's subprocess would speak of: minus the
// signal for a process that was killed.
func exitCode(state *os.ProcessState) int {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return -int(status.Signal())
	}
	return state.ExitCode()
}

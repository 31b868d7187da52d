//go:build !unix

package deploy

import "os"

func exitCode(state *os.ProcessState) int { return state.ExitCode() }

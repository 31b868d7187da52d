//go:build !unix

package proctree

import (
	"os"
	"os/exec"
)

func prepare(*exec.Cmd) {}

func awaitExit(int) bool { return false }

// KillTree kills the process itself; there are no process groups here.
func KillTree(pid int) {
	if p, err := os.FindProcess(pid); err == nil {
		p.Kill()
	}
}

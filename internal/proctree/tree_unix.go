//go:build unix && !linux

package proctree

import (
	"os/exec"
	"syscall"
)

func prepare(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
}

// awaitExit cannot wait without reaping here.
func awaitExit(int) bool { return false }

// KillTree kills the group that pid leads.
func KillTree(pid int) { syscall.Kill(-pid, syscall.SIGKILL) }

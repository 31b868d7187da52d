package proctree

import (
	"bytes"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

func prepare(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	if cmd.SysProcAttr.Pdeathsig == 0 {
		cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	}
}

// awaitExit returns true when the process has ended, without reaping it.
func awaitExit(pid int) bool {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			return err == nil
		}
	}
}

// KillTree kills the group that pid leads and every descendant of pid, also
// those that moved to a group or session of their own. The caller must know
// that pid is not reaped yet. Processes are stopped before any is killed: a
// killed parent's children would go to init and be lost to the search.
func KillTree(pid int) {
	stopped := map[int]bool{}
	for {
		found := false
		for _, child := range descendants(pid) {
			if !stopped[child] {
				found, stopped[child] = true, true
				syscall.Kill(child, syscall.SIGSTOP) // it may be gone already
			}
		}
		if !found {
			break
		}
	}
	for child := range stopped {
		syscall.Kill(child, syscall.SIGKILL)
	}
	syscall.Kill(-pid, syscall.SIGKILL)
}

// descendants lists the living children of pid, their children, and so on.
func descendants(pid int) []int {
	proc, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	names, _ := proc.Readdirnames(-1) // a partial list is better than none
	proc.Close()
	children := map[int][]int{}
	for _, name := range names {
		id, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if parent, alive := parentOf(name); alive {
			children[parent] = append(children[parent], id)
		}
	}
	found := []int{}
	for queue := children[pid]; len(queue) > 0; queue = queue[1:] {
		found = append(found, queue[0])
		queue = append(queue, children[queue[0]]...)
	}
	return found
}

// parentOf reads /proc/ID/stat: "id (name, with anything in it) state parent …".
func parentOf(id string) (parent int, alive bool) {
	stat, err := os.ReadFile("/proc/" + id + "/stat")
	if err != nil {
		return 0, false
	}
	end := bytes.LastIndexByte(stat, ')')
	if end < 0 {
		return 0, false
	}
	fields := bytes.Fields(stat[end+1:])
	if len(fields) < 2 || fields[0][0] == 'Z' {
		return 0, false
	}
	parent, err = strconv.Atoi(string(fields[1]))
	return parent, err == nil
}

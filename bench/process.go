package main

import (
	"bufio"
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// process is a child in a process group of its own, which ends with it.
type process struct {
	cmd  *exec.Cmd
	out  lastBytes
	done chan struct{}
}

func start(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &p.out, &p.out
	cmd.WaitDelay = 2 * time.Second
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() { cmd.Wait(); close(p.done) }() // how it ended is not asked: we end it
	return p, nil
}

// stop asks the group to end, and insists after a while.
func (p *process) stop(sig syscall.Signal) {
	if p == nil {
		return
	}
	syscall.Kill(-p.cmd.Process.Pid, sig)
	select {
	case <-p.done:
	case <-time.After(15 * time.Second):
	}
	syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // what is left of the group; nothing as a rule
	<-p.done
}

// ended reports whether the process is gone.
func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// clockTick is what /proc counts CPU time in on Linux.
const clockTick = 10 * time.Millisecond

// cpu is the user and system time of a process, its living descendants, and
// the children they have waited for.
func cpu(pid int) time.Duration {
	var ticks int64
	for _, p := range tree(pid) {
		f := stat(p)
		if len(f) < 15 {
			continue
		}
		for _, s := range f[11:15] { // utime, stime, cutime, cstime
			n, _ := strconv.ParseInt(s, 10, 64)
			ticks += n
		}
	}
	return time.Duration(ticks) * clockTick
}

// stat is /proc/<pid>/stat after the name, which may hold anything.
func stat(pid int) []string {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return nil
	}
	return strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
}

// tree is a process and its descendants.
func tree(pid int) []int {
	out := []int{pid}
	files, _ := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/children")
	for _, f := range files {
		b, _ := os.ReadFile(f) // a thread that has just ended has no children
		for _, s := range strings.Fields(string(b)) {
			if n, err := strconv.Atoi(s); err == nil {
				out = append(out, tree(n)...)
			}
		}
	}
	return out
}

// pss is the proportional memory of a process tree in bytes.
func pss(pid int) int64 {
	var sum int64
	for _, p := range tree(pid) {
		b, err := os.ReadFile("/proc/" + strconv.Itoa(p) + "/smaps_rollup")
		if err != nil {
			continue
		}
		for sc := bufio.NewScanner(bytes.NewReader(b)); sc.Scan(); {
			if f := strings.Fields(sc.Text()); len(f) > 1 && f[0] == "Pss:" {
				n, _ := strconv.ParseInt(f[1], 10, 64)
				sum += n << 10
			}
		}
	}
	return sum
}

// lastBytes keeps the end of what a process prints.
type lastBytes struct {
	mu  sync.Mutex
	buf []byte
}

func (l *lastBytes) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf = append(l.buf, b...)
	if n := len(l.buf); n > 8000 {
		l.buf = append(l.buf[:0], l.buf[n-4000:]...)
	}
	return len(b), nil
}

func (l *lastBytes) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.buf)
}

var errEnded = errors.New("the server ended before it answered")

package testenv

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

// process is a child that cannot outlive the test process, however that ends.
type process struct {
	cmd    *exec.Cmd
	log    *logBuffer
	reaper io.Closer
	exited chan struct{} // closed once the child has been waited for
	err    error         // how it exited; read after exited
}

// start runs cmd in a process group of its own and collects what it prints.
// When the test process dies without stopping it, the child gets stopSignal.
func start(cmd *exec.Cmd, stopSignal syscall.Signal, thenRemove string) (*process, error) {
	p := &process{cmd: cmd, log: &logBuffer{}, exited: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p.log, p.log
	// A grandchild that keeps the pipe open must not keep us waiting for it.
	cmd.WaitDelay = 2 * time.Second
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	reaper, err := startReaper(cmd.Process.Pid, stopSignal, thenRemove)
	if err != nil {
		_ = cmd.Process.Kill() // the error below tells what matters
		return nil, fmt.Errorf("starting the reaper of %s: %w", cmd.Path, err)
	}
	p.reaper = reaper
	go func() {
		p.err = cmd.Wait()
		_ = reaper.Close() // nothing left to reap; it may have gone already
		close(p.exited)
	}()
	return p, nil
}

// stop asks the process group to end, waits, and in the end insists.
func (p *process) stop(signal syscall.Signal, patience time.Duration) error {
	pid := p.cmd.Process.Pid
	if err := syscall.Kill(-pid, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	select {
	case <-p.exited:
		return nil
	case <-time.After(patience):
	}
	_ = syscall.Kill(-pid, syscall.SIGKILL) // it may have ended just now
	<-p.exited
	return fmt.Errorf("process %d did not end within %s of %s", pid, patience, signal)
}

// startReaper runs a shell that waits for our end of a pipe to close, which
// the system does when this process dies, and then ends the process group.
func startReaper(pid int, signal syscall.Signal, thenRemove string) (io.Closer, error) {
	const script = `read -r _
kill -"$2" -"$1" 2>/dev/null
i=0; while kill -0 -"$1" 2>/dev/null && [ $i -lt 100 ]; do i=$((i+1)); sleep 0.1; done
kill -9 -"$1" 2>/dev/null
[ -z "$3" ] || rm -rf "$3"`
	cmd := exec.Command("sh", "-c", script, "reaper", strconv.Itoa(pid), strconv.Itoa(int(signal)), thenRemove)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C on the terminal is not for it
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() { _ = cmd.Wait() }() // its exit status says nothing
	return stdin, nil
}

// logBuffer is what a child printed so far; safe for concurrent use.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// FreePort is a TCP port on 127.0.0.1 that nothing listened on a moment ago.
func FreePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("finding a free port: %v", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// Eventually waits for a condition, and fails the test when it does not come
// true in time.
func Eventually(t testing.TB, patience time.Duration, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for pause := 5 * time.Millisecond; !condition(); pause = min(2*pause, 250*time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %s in vain for: %s", patience, what)
		}
		time.Sleep(pause)
	}
}

// tail is the end of a log, for failure messages.
func tail(log string) string {
	const keep = 4000
	if len(log) > keep {
		return "…" + log[len(log)-keep:]
	}
	return log
}

// shared is a value made once per test process, whichever test asks first.
type shared[T any] struct {
	once  sync.Once
	value T
	err   error
}

func (s *shared[T]) get(make func() (T, error)) (T, error) {
	s.once.Do(func() { s.value, s.err = make() })
	return s.value, s.err
}

// removedAtExit is a temporary folder that goes when the test process does.
func removedAtExit(pattern string) (string, error) {
	dir, err := os.MkdirTemp("", pattern)
	if err != nil {
		return "", err
	}
	// Process group of a pid that cannot exist: the reaper only removes.
	if _, err := startReaper(1<<30, 0, dir); err != nil {
		return "", err
	}
	return dir, nil
}

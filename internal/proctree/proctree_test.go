//go:build linux

package proctree

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestCancelKillsTheWholeTree(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	// One child in the group, one that left it for a session of its own.
	out := &lineWatcher{want: 3, enough: cancel}
	cmd := exec.Command("sh", "-c", `sleep 600 & echo $!; setsid sleep 601 & echo $!; echo $$; wait`)
	cmd.Stdout = out
	if err := Run(ctx, cmd); !errors.Is(err, context.Canceled) {
		t.Fatalf("Run = %v, want context.Canceled", err)
	}
	for _, pid := range strings.Fields(out.buffer.String()) {
		id, _ := strconv.Atoi(pid)
		awaitGone(t, id)
	}
}

func TestWhatACommandLeavesBehindIsKilled(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	cmd := exec.Command("sh", "-c", `sleep 602 & echo $!; exit 3`)
	cmd.Stdout = &out
	begun := time.Now()
	err := Run(t.Context(), cmd)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 3 {
		t.Fatalf("Run = %v, want exit status 3", err)
	}
	if took := time.Since(begun); took > 30*time.Second {
		t.Errorf("Run waited %v for a process that was left behind", took)
	}
	id, err := strconv.Atoi(strings.TrimSpace(out.String()))
	if err != nil {
		t.Fatal(err)
	}
	awaitGone(t, id)
}

func TestAnEndedContextStartsNothing(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Run(ctx, exec.Command("/nonexistent")); !errors.Is(err, context.Canceled) {
		t.Fatalf("Run = %v, want context.Canceled", err)
	}
}

func awaitGone(t *testing.T, pid int) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if _, alive := parentOf(strconv.Itoa(pid)); !alive || syscall.Kill(pid, 0) != nil {
			return
		}
	}
	t.Errorf("process %d is still alive", pid)
}

// lineWatcher calls enough once it has seen that many lines.
type lineWatcher struct {
	buffer bytes.Buffer // not embedded: its ReadFrom would bypass Write
	want   int
	enough func()
}

func (w *lineWatcher) Write(p []byte) (int, error) {
	n, err := w.buffer.Write(p)
	if bytes.Count(w.buffer.Bytes(), []byte("\n")) >= w.want {
		w.enough()
	}
	return n, err
}

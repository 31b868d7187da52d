// Package proctree runs a command so that it ends as a whole: the command, its
// children and whatever they started. Installers and users' Python files start
// helpers of their own, and one Ctrl-C must end them all.
//
// It is not a process supervisor: nothing is restarted, and no signal but the
// final one is sent. Start reading at Start.
package proctree

import (
	"context"
	"errors"
	"os/exec"
	"runtime"
	"sync"
	"time"
)

// outputGrace is how long Wait goes on reading output after the command ended,
// for the case that something outside its tree still holds the pipe.
const outputGrace = time.Second

// Process is a started command together with its descendants.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error

	mu     sync.Mutex
	reaped bool // the id may belong to somebody else from here on
}

// Start starts cmd as the leader of a process group of its own. On Linux the
// command is also killed when this program dies, even by SIGKILL, unless cmd
// asks for another signal then. The command must not have been made with exec.CommandContext: Run watches the context.
func Start(cmd *exec.Cmd) (*Process, error) {
	p := &Process{cmd: cmd, done: make(chan struct{})}
	prepare(cmd)
	if cmd.WaitDelay == 0 {
		cmd.WaitDelay = outputGrace
	}
	started := make(chan error, 1)
	go func() {
		// The kernel ties "kill it when its parent dies" to the thread that
		// forked, so that thread has to live exactly as long as the command.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			p.wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// Run starts cmd and waits for it. When ctx ends first, the whole tree is
// killed and ctx's error is returned.
func Run(ctx context.Context, cmd *exec.Cmd) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	p, err := Start(cmd)
	if err != nil {
		return err
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		p.Kill()
		<-p.done
		return context.Cause(ctx)
	}
	return p.err
}

// PID is the id of the command's process, and of its group.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the command has ended and its leftovers are killed.
func (p *Process) Done() <-chan struct{} { return p.done }

// Wait waits for the end and returns what exec.Cmd.Wait would.
func (p *Process) Wait() error {
	<-p.done
	return p.err
}

// Kill ends the whole tree at once. It does nothing after the end.
func (p *Process) Kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.reaped {
		KillTree(p.PID())
	}
}

func (p *Process) wait() {
	defer close(p.done)
	// Until it is reaped, a dead leader keeps the id of its group from being
	// given to others: the moment to kill what it left behind.
	unreaped := awaitExit(p.PID())
	if unreaped {
		p.end()
	}
	p.err = p.cmd.Wait()
	if !unreaped {
		p.end() // where one cannot look without reaping, at once after is next best
	}
	if errors.Is(p.err, exec.ErrWaitDelay) {
		p.err = nil // it ended well; only a stranger kept its output open
	}
}

func (p *Process) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	KillTree(p.PID())
	p.reaped = true
}

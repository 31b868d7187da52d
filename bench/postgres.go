package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// cluster is a scratch PostgreSQL server with the settings it comes with:
// fsync and synchronous_commit are on.
type cluster struct {
	proc *process
	dir  string
	port int
}

func startCluster(ctx context.Context, dir string) (*cluster, error) {
	bins, _ := filepath.Glob("/usr/lib/postgresql/*/bin") // the pattern is right
	if len(bins) == 0 {
		return nil, fmt.Errorf("no PostgreSQL server below /usr/lib/postgresql; test/setup.sh installs one")
	}
	bin := bins[len(bins)-1]
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	attr := &syscall.SysProcAttr{}
	if os.Geteuid() == 0 { // PostgreSQL refuses root
		u, err := user.Lookup("nobody")
		if err != nil {
			return nil, err
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		if err := os.Chown(dir, uid, gid); err != nil {
			return nil, err
		}
		attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	command := func(name string, args ...string) *exec.Cmd {
		cmd := exec.Command(filepath.Join(bin, name), args...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "HOME="+dir, "LC_ALL=C.UTF-8")
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: attr.Credential}
		return cmd
	}
	data := filepath.Join(dir, "data")
	if out, err := command("initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	c := &cluster{dir: dir, port: port}
	if c.proc, err = start(command("postgres", "-D", data, "-p", strconv.Itoa(port), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=")); err != nil {
		return nil, err
	}
	ready := filepath.Join(bin, "pg_isready")
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if exec.CommandContext(ctx, ready, "-q", "-h", "127.0.0.1", "-p", strconv.Itoa(port)).Run() == nil {
			return c, nil
		}
		if c.proc.ended() || time.Now().After(deadline) {
			c.stop()
			return nil, fmt.Errorf("PostgreSQL did not start:\n%s", c.proc.out.String())
		}
	}
}

func (c *cluster) url() string {
	return "postgres://postgres@" + net.JoinHostPort("127.0.0.1", strconv.Itoa(c.port)) + "/postgres"
}

func (c *cluster) stop() {
	c.proc.stop(syscall.SIGINT) // fast shutdown
	os.RemoveAll(c.dir)
}

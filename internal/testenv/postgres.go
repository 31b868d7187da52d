package testenv

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Postgres is the URL of a fresh, empty database on a real PostgreSQL server;
// the database goes when the test ends. The server is started once per test
// process, or is the one that ORION_TEST_POSTGRES names (whose user must be
// allowed to create databases).
func Postgres(t testing.TB) string {
	t.Helper()
	server := os.Getenv("ORION_TEST_POSTGRES")
	if server == "" {
		var err error
		server, err = postgresServer.get(startPostgres)
		if errors.Is(err, errNoPostgres) {
			Absent(t, "PostgreSQL", "run test/setup.sh, or set ORION_TEST_POSTGRES to a server's URL")
		}
		if err != nil {
			t.Fatalf("starting PostgreSQL: %v", err)
		}
	}

	suffix := make([]byte, 8)
	_, _ = rand.Read(suffix) // never fails
	name := "orion_test_" + hex.EncodeToString(suffix)
	if err := postgresExec(server, "CREATE DATABASE "+name+" TEMPLATE template0"); err != nil {
		t.Fatalf("creating a database: %v", err)
	}
	t.Cleanup(func() {
		if err := postgresExec(server, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)"); err != nil {
			t.Errorf("dropping the test's database: %v", err)
		}
	})

	u, err := url.Parse(server)
	if err != nil {
		t.Fatalf("ORION_TEST_POSTGRES: %v", err)
	}
	u.Path = "/" + name
	return u.String()
}

var (
	postgresServer shared[string]
	errNoPostgres  = errors.New("no PostgreSQL server binaries")
)

func postgresExec(server, statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, statement)
	return err
}

// startPostgres makes a cluster in a temporary folder and serves it on a free
// port, without the syncs that only matter for data one wants to keep.
func startPostgres() (serverURL string, err error) {
	bin, err := postgresBinaries()
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "orion-test-postgres-")
	if err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(dir) // the first error is the one to tell
		}
	}()
	credential, err := unprivileged(dir)
	if err != nil {
		return "", err
	}
	command := func(name string, args ...string) *exec.Cmd {
		cmd := exec.Command(filepath.Join(bin, name), args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "HOME="+dir, "LC_ALL=C.UTF-8")
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: credential}
		return cmd
	}

	data := filepath.Join(dir, "data")
	if out, err := command("initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync").CombinedOutput(); err != nil {
		return "", fmt.Errorf("initdb: %w\n%s", err, out)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	port := strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
	_ = listener.Close() // only to learn a free port

	p, err := start(command("postgres", "-D", data, "-p", port,
		"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
		"-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off",
		"-c", "max_connections=300",
	), syscall.SIGQUIT, dir)
	if err != nil {
		return "", err
	}
	serverURL = "postgres://postgres@127.0.0.1:" + port + "/postgres?sslmode=disable"
	deadline := time.Now().Add(time.Minute)
	for {
		if err = postgresExec(serverURL, "SELECT 1"); err == nil {
			return serverURL, nil
		}
		select {
		case <-p.exited:
			return "", fmt.Errorf("postgres ended: %w\n%s", p.err, tail(p.log.String()))
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			_ = p.stop(syscall.SIGQUIT, time.Second) // the time-out is the error to tell
			return "", fmt.Errorf("postgres did not answer: %w\n%s", err, tail(p.log.String()))
		}
	}
}

// postgresBinaries is the folder of the newest server on this machine.
func postgresBinaries() (string, error) {
	// Debian keeps them out of PATH, one folder per version.
	folders, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil {
		return "", err
	}
	major := func(folder string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(folder))) // 0 when it is no number
		return n
	}
	slices.SortFunc(folders, func(a, b string) int { return major(b) - major(a) })
	for _, folder := range folders {
		if _, err := os.Stat(filepath.Join(folder, "initdb")); err == nil {
			return folder, nil
		}
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path), nil
	}
	return "", errNoPostgres
}

// unprivileged is whom to run PostgreSQL as: it refuses root, so root becomes
// nobody, who is given the folder.
func unprivileged(dir string) (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL does not run as root: %w", err)
	}
	uid, err := strconv.Atoi(nobody.Uid)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.Atoi(nobody.Gid)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, os.Chown(dir, uid, gid)
}

package testenv

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

func TestPostgresDatabasesAreApart(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for range 2 {
		conn, err := pgx.Connect(ctx, Postgres(t))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(ctx)
		if _, err := conn.Exec(ctx, "CREATE TABLE only_here (id int)"); err != nil {
			t.Error(err)
		}
	}
}

func TestPrefectServerAnswersAndStops(t *testing.T) {
	Heavy(t)
	t.Parallel()
	s := Prefect(t, ServerOptions{})
	resp, err := http.Get(s.API() + "/admin/version")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("GET /admin/version: %s", resp.Status)
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	if healthy(s.API()) {
		t.Error("it still answers after Stop")
	}
}

// The reaper's promise: when its pipe closes, as it does when the test process
// dies, the child ends and its folder goes.
func TestChildDoesNotOutliveTheTestProcess(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "scratch")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	p, err := start(exec.Command("sleep", "600"), syscall.SIGTERM, dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.reaper.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.exited:
	case <-time.After(20 * time.Second):
		t.Fatal("the child is still there")
	}
	Eventually(t, 20*time.Second, "the folder to be removed", func() bool {
		_, err := os.Stat(dir)
		return os.IsNotExist(err)
	})
}

// Package testenv gives tests the real neighbours they need: a PostgreSQL
// server, Python environments with real Prefect clients, a Prefect server and
// an Orion server built from this checkout.
//
// What is absent skips the test, with one line on how to get it; where CI=true
// an absence is a failure, so that nothing goes unproved unnoticed.
// test/setup.sh installs everything this package looks for.
//
// It is for tests only: nothing that ships may import it. Start with [Orion],
// [Prefect], [Postgres] and [Python220].
package testenv

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// Absent ends the test because something it needs is not on this machine:
// skipped for a person, failed in CI.
func Absent(t testing.TB, what, howToGetIt string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is absent: %s", what, howToGetIt)
	}
	t.Skipf("%s is absent: %s", what, howToGetIt)
}

// Heavy leaves a test of more than about ten seconds to test/run.sh, so that
// `go test ./...` stays quick: it is skipped unless CI=true or
// ORION_TEST_ALL=1.
func Heavy(t testing.TB) {
	t.Helper()
	if os.Getenv("CI") != "true" && os.Getenv("ORION_TEST_ALL") != "1" {
		t.Skip("takes long: run test/run.sh for everything, or set ORION_TEST_ALL=1")
	}
}

// Root is the folder of the checkout, where go.mod lies.
func Root(t testing.TB) string {
	t.Helper()
	_, file, _, ok := runtime.Caller(0)
	if ok {
		root := filepath.Dir(filepath.Dir(filepath.Dir(file)))
		if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
			return root
		}
	}
	// Built with -trimpath: go test still runs us inside the module.
	for dir, err := os.Getwd(); err == nil && dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
	}
	t.Fatal("cannot find the checkout: no go.mod above the working directory")
	return ""
}

// cache is the folder that test/setup.sh fills.
func cache(t testing.TB) string {
	t.Helper()
	if dir := os.Getenv("ORION_TEST_CACHE"); dir != "" {
		return dir
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		t.Fatalf("finding the user's cache folder: %v (set ORION_TEST_CACHE)", err)
	}
	return filepath.Join(dir, "orion-test")
}

package testenv

import (
	"os"
	"path/filepath"
	"testing"
)

// Python220 is the interpreter of an environment with a Prefect 2.20 client
// (and server).
func Python220(t testing.TB) string {
	t.Helper()
	return installed(t, "a Python environment with prefect 2.20", "ORION_TEST_PYTHON_220", "python220/bin/python")
}

// Python28 is the interpreter of an environment with a Prefect 2.8 client.
func Python28(t testing.TB) string {
	t.Helper()
	return installed(t, "a Python environment with prefect 2.8", "ORION_TEST_PYTHON_28", "python28/bin/python")
}

// Cookiecutter is the cookiecutter command.
func Cookiecutter(t testing.TB) string {
	t.Helper()
	return installed(t, "cookiecutter", "ORION_TEST_COOKIECUTTER", "cookiecutter/bin/cookiecutter")
}

// Act is a folder with act, which runs GitHub's workflows on this machine, and
// actionlint, which reads them.
func Act(t testing.TB) string {
	t.Helper()
	return installed(t, "act, which runs workflows of GitHub", "ORION_TEST_ACT", "act")
}

// installed finds a program named by an environment variable or, failing that,
// in the cache that test/setup.sh fills.
func installed(t testing.TB, what, variable, inCache string) string {
	t.Helper()
	if path := os.Getenv(variable); path != "" {
		if _, err := os.Stat(path); err != nil {
			t.Fatalf("%s=%s: %v", variable, path, err)
		}
		return path
	}
	path := filepath.Join(cache(t), filepath.FromSlash(inCache))
	if _, err := os.Stat(path); err != nil {
		Absent(t, what, "run test/setup.sh, or set "+variable)
	}
	return path
}

// PrefectsOwnTests is the folder that holds Prefect's own tests and an
// environment to run them in; test/upstream/run.sh looks for it by the name
// ORION_TEST_CACHE.
func PrefectsOwnTests(t testing.TB) string {
	t.Helper()
	dir := cache(t)
	if _, err := os.Stat(filepath.Join(dir, "upstream-tests", ".version")); err != nil {
		Absent(t, "Prefect's own test suite", "run test/setup.sh upstream")
	}
	return dir
}

// Environments is a folder in which tests keep the Python environments that
// orion makes for flow folders, named by their content: making one takes long.
func Environments(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(cache(t), "environments")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

package scaffold

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the wanted trees in testdata with what the real cookiecutter writes")

// Each file in testdata is one template and the tree that the real cookiecutter makes of
// it: sections "template/…", "want/…" and perhaps "answers" (JSON). A name that ends in
// " +x" is executable; ␍ in a line stands for a carriage return, ␀ for a zero byte.
func TestTemplatesBecomeWhatCookiecutterMakesOfThem(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no templates in testdata (%v)", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			sections := readSections(t, file)
			template := filepath.Join(t.TempDir(), "template")
			writeTree(t, template, sections, "template/")
			var answers map[string]string
			if text, ok := sections.contents["answers"]; ok {
				if err := json.Unmarshal([]byte(text), &answers); err != nil {
					t.Fatalf("%s: answers: %v", file, err)
				}
			}

			out := t.TempDir()
			result, err := New(t.Context(), Options{Template: template, Dir: out, Answers: answers})
			if err != nil {
				t.Fatal(err)
			}
			want := sections.tree("want/")
			if !*update {
				compareTrees(t, "orion", readTree(t, out), want)
			}
			for _, name := range result.Files {
				if _, err := os.Stat(filepath.Join(result.Dir, name)); err != nil {
					t.Errorf("the result names a file that is not there: %v", err)
				}
			}

			real := cookiecutter(t, template, answers)
			if *update {
				sections.rewrite(t, file, real)
				return
			}
			compareTrees(t, "cookiecutter", real, want)
		})
	}
}

// cookiecutter runs the real program and returns what it wrote.
func cookiecutter(t *testing.T, template string, answers map[string]string) map[string]string {
	t.Helper()
	program := os.Getenv("ORION_TEST_COOKIECUTTER")
	if program == "" {
		const how = "ORION_TEST_COOKIECUTTER is not set: uv venv V && uv pip install --python V/bin/python cookiecutter==2.7.1 && export ORION_TEST_COOKIECUTTER=$PWD/V/bin/cookiecutter"
		if os.Getenv("CI") == "true" || *update {
			t.Fatal(how)
		}
		t.Skip(how)
	}
	home, out := t.TempDir(), t.TempDir()
	arguments := []string{"--no-input", "--output-dir", out, template}
	for name, value := range answers {
		arguments = append(arguments, name+"="+value)
	}
	command := exec.CommandContext(t.Context(), program, arguments...)
	command.Env = append(os.Environ(), "HOME="+home)
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("cookiecutter: %v\n%s", err, output)
	}
	return readTree(t, out)
}

type sections struct {
	names    []string
	contents map[string]string
}

func readSections(t *testing.T, file string) *sections {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s := &sections{contents: map[string]string{}}
	name := ""
	for line := range strings.Lines(string(text)) {
		if inner, ok := strings.CutPrefix(line, "-- "); ok && strings.HasSuffix(inner, " --\n") {
			name = strings.TrimSuffix(inner, " --\n")
			s.names = append(s.names, name)
			s.contents[name] = ""
			continue
		}
		s.contents[name] += line
	}
	return s
}

var marks = strings.NewReplacer("␍", "\r", "␀", "\x00")
var toMarks = strings.NewReplacer("\r", "␍", "\x00", "␀")

// tree returns the sections below a prefix as readTree returns a folder.
func (s *sections) tree(prefix string) map[string]string {
	tree := map[string]string{}
	for _, name := range s.names {
		if inner, ok := strings.CutPrefix(name, prefix); ok {
			tree[inner] = marks.Replace(s.contents[name])
		}
	}
	return tree
}

func (s *sections) rewrite(t *testing.T, file string, want map[string]string) {
	t.Helper()
	var out bytes.Buffer
	out.WriteString(s.contents[""])
	for _, name := range s.names {
		if !strings.HasPrefix(name, "want/") {
			fmt.Fprintf(&out, "-- %s --\n%s", name, s.contents[name])
		}
	}
	var names []string
	for name := range want {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		content := toMarks.Replace(want[name])
		if content != "" && !strings.HasSuffix(content, "\n") {
			t.Fatalf("%s does not end with a newline, which testdata cannot hold", name)
		}
		fmt.Fprintf(&out, "-- want/%s --\n%s", name, content)
	}
	if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

func writeTree(t *testing.T, dir string, s *sections, prefix string) {
	t.Helper()
	for name, content := range s.tree(prefix) {
		name, executable := strings.CutSuffix(name, " +x")
		at := filepath.Join(dir, filepath.FromSlash(name))
		mode := fs.FileMode(0o644)
		if executable {
			mode = 0o755
		}
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, "/") {
			continue
		}
		if err := os.WriteFile(at, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
	}
}

// readTree maps the names of files to contents, with " +x" for executable ones and a
// slash for empty folders.
func readTree(t *testing.T, dir string) map[string]string {
	t.Helper()
	tree := map[string]string{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(at string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			inside, err := os.ReadDir(filepath.Join(dir, at))
			if len(inside) == 0 && at != "." {
				tree[at+"/"] = ""
			}
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		content, err := os.ReadFile(filepath.Join(dir, at))
		if info.Mode()&0o100 != 0 {
			at += " +x"
		}
		tree[at] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func compareTrees(t *testing.T, who string, got, want map[string]string) {
	t.Helper()
	for name, content := range want {
		if found, ok := got[name]; !ok {
			t.Errorf("%s did not write %q", who, name)
		} else if found != content {
			t.Errorf("%s wrote %q as\n%q\nwant\n%q", who, name, found, content)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s wrote %q, which is not wanted", who, name)
		}
	}
}

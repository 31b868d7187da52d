package codestore

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/orionflows/orion/internal/codestore/storage"
	"github.com/orionflows/orion/internal/testenv"
)

// The real blocks are asked where paths lead to.
func TestPathsLeadWhereTheBlocksSay(t *testing.T) {
	t.Parallel()
	python := testenv.Python220(t)
	home := t.TempDir()
	local := filepath.Join(home, "base")
	write(t, home, map[string]string{"base/x": ""})
	type question struct{ Kind, Base, Path string }
	var questions []question
	for _, base := range []string{"s3://bucket", "s3://bucket/", "s3://bucket/base", "s3://bucket/base/", "az://c@account.dfs.core.windows.net/base"} {
		for _, p := range []string{"", "x", "x/y", "/x", "x/", "s3://bucket/base/x", "s3://other/x", "az://c/x", "s3://bucket/x", "x?y", "x#y", "a:b", "a/b:c", "//bucket/x"} {
			questions = append(questions, question{"remote", base, p})
		}
	}
	for _, p := range []string{"", "x", "x/y", "x/", "./x", local, local + "/x", "/etc", home, "~/x"} {
		questions = append(questions, question{"local", local, p})
	}
	cmd := exec.Command(python, "-W", "ignore", "-c", `
import json, sys
from prefect.filesystems import LocalFileSystem, RemoteFileSystem
answers = []
for q in json.load(sys.stdin):
    try:
        block = RemoteFileSystem(basepath=q["Base"]) if q["Kind"] == "remote" else LocalFileSystem(basepath=q["Base"])
        answers.append(str(block._resolve_path(q["Path"])))
    except ValueError:
        answers.append(None)
json.dump(answers, sys.stdout)
`)
	cmd.Env = append(testenv.Environment(), "PREFECT_HOME="+t.TempDir())
	in, err := json.Marshal(questions)
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	var answers []*string
	if err := json.Unmarshal(out, &answers); err != nil {
		t.Fatal(err)
	}
	for i, q := range questions {
		var got string
		var err error
		if q.Kind == "local" {
			s, lerr := storage.OpenLocal(q.Base)
			if lerr != nil {
				t.Fatal(lerr)
			}
			if got, err = s.Key(q.Path); err == nil {
				got = s.Folder(got)
			}
		} else {
			got, err = belowURL(q.Base, splitURL(q.Base).path)(q.Path)
		}
		if (err != nil) != (answers[i] == nil) {
			t.Errorf("%+v: we say %q, %v; the block says %v", q, got, err, answers[i])
			continue
		}
		if err != nil {
			continue
		}
		want := *answers[i]
		if q.Kind == "remote" { // what is below the bucket, without what does not matter to a folder
			_, want, _ = strings.Cut(want, "://")
			_, want, _ = strings.Cut(want, "/")
			want = strings.Trim(path.Clean("/"+want), "/")
		}
		if got != want {
			t.Errorf("%+v leads to %q, the block says %q", q, got, want)
		}
	}
	t.Logf("%d paths", len(questions))
}

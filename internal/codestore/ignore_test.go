package codestore

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"

	"github.com/orionflows/orion/internal/testenv"
)

// The real filter_files is asked about made-up ignore files and trees, some of
// them with every corner of the syntax.
func TestIgnoreRulesAreThoseOfPrefect(t *testing.T) {
	t.Parallel()
	python := testenv.Python220(t)
	type question struct {
		Ignore string   `json:"ignore"`
		Paths  []string `json:"paths"`
	}
	paths := []string{
		"a", "a.py", "b.pyc", "flow.py", "foo/a.py", "foo/bar/a.py", "foo/bar/baz/b.txt", "bar/foo/a.py", "bar/foo.py", "x/foo/y",
		"a b", "a ", "#a", "!a", "[a]", "a]", "-", "^", "a*b", `sp\x`, "é.py", "venv/lib/x.py", "build/out/x", "data/1.csv", "data/keep.csv",
		".env", ".git/config", "deep/1/2/3/4.py", "foo.d/x", "a.egg-info/PKG", "node_modules/m/i.js", "n\tt",
	}
	questions := []question{
		{"foo/\n!foo/a.py\n", paths}, {"foo\n!foo/bar/\n", paths}, {"*\n!*.py\n", paths}, {"*/\n", paths}, {"**/\n", paths}, {"**\n", paths},
		{"/a.py\n/foo/*\n!/foo/bar\n", paths}, {"foo/**/b.txt", paths}, {"**/foo/**", paths}, {"**/bar/baz\n", paths}, {"deep/**", paths}, {"/*\n!/foo\n", paths},
		{"a \n", paths}, {`a\ `, paths}, {"\\#a\n\\!a\n", paths}, {"#a\n", paths}, {"!a\n", paths}, {"[[a]\n", paths}, {"[]\n", paths}, {"[]a]\n", paths},
		{"[!a]\n", paths}, {"[^a-f]*\n", paths}, {"[a\n", paths}, {"[a-]\n", paths}, {"[--a]\n", paths}, {"a\\*b\n", paths}, {"foo//\n", paths},
		{"//\n", paths}, {"/\n", paths}, {" a\n", paths}, {"foo/ \n", paths}, {"\r\nfoo\r\n", paths}, {"*.py[cod]\n*$py.class\n", paths}, {"?\n", paths},
		{"***\n", paths}, {"a**\n", paths}, {"foo/***/a.py\n", paths}, {"[\\]a]\n", paths}, {"data/*\n!data/keep.csv\n", paths}, {"!**/foo/**\nfoo\n", paths},
		{"é.py\n", paths}, {"n[\t]t\n", paths}, {"\u00a0\n", paths}, {"**/**/a.py\n", paths}, {"bar/**/**/a.py\n", paths},
	}
	random := rand.New(rand.NewPCG(1, 2))
	pieces := []string{"a", "foo", "bar", "*", "**", "?", "/", "/", "!", ".py", "[a-f]", "[!a]", "[]]", "-", " ", "\\ ", "\\a", "baz", "x", "#", "[a/b]", "."}
	for range 600 {
		var b strings.Builder
		for range 1 + random.IntN(4) {
			for range 1 + random.IntN(6) {
				b.WriteString(pieces[random.IntN(len(pieces))])
			}
			b.WriteString("\n")
		}
		questions = append(questions, question{b.String(), paths})
	}

	cmd := exec.Command(python, "-c", `
import io, json, sys, os, tempfile
from prefect.utilities.filesystem import filter_files
questions = json.load(sys.stdin)
root = tempfile.mkdtemp()
for p in questions[0]["paths"]:
    p = os.path.join(root, p)
    os.makedirs(os.path.dirname(p), exist_ok=True)
    open(p, "w").close()
answers = []
for q in questions:
    try:
        included = filter_files(root, io.StringIO(q["ignore"], newline=None).readlines())
        answers.append([p for p in q["paths"] if p in included])
    except Exception as e:
        answers.append(None)
import shutil; shutil.rmtree(root)
json.dump(answers, sys.stdout)
`)
	cmd.Env = append(testenv.Environment(), "PREFECT_HOME="+t.TempDir(), "PYTHONIOENCODING=utf-8")
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
	var answers [][]string
	if err := json.Unmarshal(out, &answers); err != nil {
		t.Fatal(err)
	}
	refused := 0
	for i, q := range questions {
		rules, err := parseIgnore(q.Ignore)
		if (err != nil) != (answers[i] == nil) {
			t.Errorf("%q: we say %v, Prefect takes %q", q.Ignore, err, answers[i])
			continue
		}
		if err != nil {
			refused++
			continue
		}
		var taken []string
		for _, p := range q.Paths {
			if !rules.match(p) {
				taken = append(taken, p)
			}
			for at := range p {
				if p[at] == '/' && rules.matchAllOf(p[:at]) && !rules.match(p) {
					t.Errorf("%q: %s is said to be left out as a whole, %s is not", q.Ignore, p[:at], p)
				}
			}
		}
		if strings.Join(taken, "\n") != strings.Join(answers[i], "\n") {
			t.Errorf("%q:\nwe take      %q\nPrefect does %q", q.Ignore, taken, answers[i])
		}
	}
	t.Logf("%d ignore files, %d of them refused by both", len(questions), refused)
}

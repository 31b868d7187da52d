package scaffold

import (
	"context"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var helloAnswers = map[string]string{
	"project": "start", "flow": "Hello", "schedule": "cron", "cron": "0 8 * * *", "timezone": "Europe/Oslo",
}

func TestTheBuiltInTemplateWritesTheHelloExample(t *testing.T) {
	t.Parallel()
	out := t.TempDir()
	result, err := New(t.Context(), Options{Dir: out, Answers: helloAnswers})
	if err != nil {
		t.Fatal(err)
	}
	want := readTree(t, "../../examples/projects/start/hello")
	maps.DeleteFunc(want, func(name, _ string) bool { return strings.Contains(name, "__pycache__") })
	compareTrees(t, "orion new", readTree(t, out), prefixed("projects/start/hello/", want))
	if wanted := filepath.Join(out, "projects", "start", "hello"); result.Dir != wanted {
		t.Errorf("the result is in %s, want %s", result.Dir, wanted)
	}
	if wanted := []string{".prefectignore", "default.deployment.py", "flow.py", "requirements.txt"}; !slices.Equal(result.Files, wanted) {
		t.Errorf("the result names %q, want %q", result.Files, wanted)
	}
	if len(result.Next) != 2 || result.Next[1] != "orion up ." {
		t.Errorf("next commands are %q", result.Next)
	}
}

func prefixed(prefix string, tree map[string]string) map[string]string {
	out := map[string]string{}
	for name, content := range tree {
		out[prefix+name] = content
	}
	return out
}

func TestTheBuiltInTemplateIsValidPython(t *testing.T) {
	t.Parallel()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Fatal("python3 is needed:", err)
	}
	for name, answers := range map[string]map[string]string{
		"without a schedule":         {"project": "p", "flow": "Load orders"},
		"with a schedule":            {"project": "p", "flow": "Load orders", "cron": "0 6 * * *", "timezone": "Europe/Oslo"},
		"with apostrophes":           {"project": "p's", "flow": "today's orders", "deployment": "Bo's {{ x }}", "queue": "a'b"},
		"with a Python keyword":      {"project": "class", "flow": "import"},
		"with a name of the imports": {"project": "p", "flow": "Flow"},
		"with digits and accents":    {"project": "2024", "flow": "3 Ærlige blåbær"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			result, err := New(t.Context(), Options{Dir: t.TempDir(), Answers: answers})
			if err != nil {
				t.Fatal(err)
			}
			command := exec.CommandContext(t.Context(), python, "-W", "error", "-m", "py_compile")
			command.Dir = result.Dir
			for _, file := range result.Files {
				if strings.HasSuffix(file, ".py") {
					command.Args = append(command.Args, file)
				}
			}
			if len(command.Args) != 7 {
				t.Fatalf("expected two Python files, found %q", result.Files)
			}
			if output, err := command.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, output)
			}
		})
	}
}

func TestNamesThatCannotWorkAreRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answers map[string]string
		want    string
	}{
		"no flow name":            {map[string]string{"project": "p"}, "pass --flow NAME"},
		"no project":              {map[string]string{"flow": "f"}, "pass --project NAME"},
		"slash in the flow":       {map[string]string{"project": "p", "flow": "a/b"}, `holds '/'`},
		"percent in the flow":     {map[string]string{"project": "p", "flow": "a%b"}, `holds '%'`},
		"quote in the deployment": {map[string]string{"project": "p", "flow": "f", "deployment": `a"b`}, `holds '"'`},
		"newline in the queue":    {map[string]string{"project": "p", "flow": "f", "queue": "a\nb"}, `holds '\n'`},
		"nothing for a folder":    {map[string]string{"project": "..", "flow": "f"}, "no letter or digit"},
		"unknown time zone":       {map[string]string{"project": "p", "flow": "f", "cron": "0 6 * * *", "timezone": "Mars/One"}, "Europe/Oslo"},
		"cron of four fields":     {map[string]string{"project": "p", "flow": "f", "cron": "0 6 * *"}, "five fields"},
		"unknown schedule":        {map[string]string{"project": "p", "flow": "f", "schedule": "daily"}, "none, cron"},
		"unknown question":        {map[string]string{"project": "p", "flow": "f", "que": "q"}, `no question "que"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out := t.TempDir()
			_, err := New(t.Context(), Options{Dir: out, Answers: c.answers})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want %q in it", err, c.want)
			}
			compareTrees(t, "orion new", readTree(t, out), nil)
		})
	}
}

func TestWhatIsNotToldIsAskedUntilItFits(t *testing.T) {
	t.Parallel()
	replies := map[string][]string{"flow": {"a/b", "Nightly"}, "schedule": {"often", "cron"}, "timezone": {"Mars", "Europe/Oslo"}}
	var asked, logged []string
	result, err := New(t.Context(), Options{
		Dir:     t.TempDir(),
		Answers: map[string]string{"project": "p"},
		Log:     func(line string) { logged = append(logged, line) },
		Ask: func(q Question) (string, error) {
			asked = append(asked, q.Name)
			if len(replies[q.Name]) == 0 {
				return "", nil
			}
			reply := replies[q.Name][0]
			replies[q.Name] = replies[q.Name][1:]
			return reply, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"flow", "flow", "deployment", "schedule", "schedule", "cron", "timezone", "timezone", "queue"}; !slices.Equal(asked, want) {
		t.Errorf("asked for %q, want %q", asked, want)
	}
	if len(logged) != 3 {
		t.Errorf("explained %q, want three explanations", logged)
	}
	text, err := os.ReadFile(filepath.Join(result.Dir, "default.deployment.py"))
	if err != nil || !strings.Contains(string(text), `CronSchedule(cron="0 6 * * *", timezone="Europe/Oslo")`) {
		t.Errorf("%v\n%s", err, text)
	}
}

func TestAnExistingFolderIsLeftAloneUnlessForced(t *testing.T) {
	t.Parallel()
	out := t.TempDir()
	options := Options{Dir: out, Answers: helloAnswers}
	result, err := New(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	flow, mine := filepath.Join(result.Dir, "flow.py"), filepath.Join(result.Dir, "mine.txt")
	for _, file := range []string{flow, mine} {
		if err := os.WriteFile(file, []byte("mine\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	before := readTree(t, out)
	if _, err := New(t.Context(), options); err == nil || !strings.Contains(err.Error(), "--force") {
		t.Errorf("error is %v, want one that names --force", err)
	}
	compareTrees(t, "a refused orion new", readTree(t, out), before)

	options.Force = true
	if _, err := New(t.Context(), options); err != nil {
		t.Fatal(err)
	}
	after := readTree(t, out)
	if after["projects/start/hello/flow.py"] == "mine\n" || after["projects/start/hello/mine.txt"] != "mine\n" {
		t.Error("force must replace the template's files and keep the others")
	}
	if len(after) != len(before) {
		t.Errorf("force left something behind: %q", slices.Sorted(maps.Keys(after)))
	}
}

// broken is a template and what must be said about it; nothing may be written.
type broken struct {
	files   map[string]string
	answers map[string]string
	want    []string
}

func TestABrokenTemplateIsExplainedAndWritesNothing(t *testing.T) {
	t.Parallel()
	const top = "{{cookiecutter.name}}/"
	for name, c := range map[string]broken{
		"an unknown variable in a file": {
			files: map[string]string{"cookiecutter.json": `{"name": "n"}`, top + "a.txt": "one\n\n{% if true %}\n{{ cookiecutter.nmae }}\n{% endif %}\n"},
			want:  []string{"file a.txt", "line 4", `"cookiecutter.nmae" is not defined`, "cookiecutter.name"},
		},
		"an unknown variable in a name": {
			files: map[string]string{"cookiecutter.json": `{"name": "n"}`, top + "{{ cookiecutter.x }}.txt": ""},
			want:  []string{"name {{ cookiecutter.x }}.txt", "not defined"},
		},
		"an unknown variable in a default": {
			files: map[string]string{"cookiecutter.json": `{"name": "{{ cookiecutter.later }}", "later": "x"}`, top + "a": ""},
			want:  []string{"cookiecutter.json, name", "not defined"},
		},
		"a syntax error": {
			files: map[string]string{"cookiecutter.json": `{"name": "n"}`, top + "a.txt": "one\n{% nonsense %}\n"},
			want:  []string{"file a.txt", "line 2"},
		},
		"a block that is not closed": {
			files: map[string]string{"cookiecutter.json": `{"name": "n"}`, top + "a.txt": "{% if true %}\n"},
			want:  []string{"file a.txt"},
		},
		"an unknown filter": {
			files: map[string]string{"cookiecutter.json": `{"name": "n"}`, top + "a.txt": "{{ 'x'|shout }}"},
			want:  []string{"file a.txt", "line 1", `no filter "shout"`},
		},
		"broken JSON": {
			files: map[string]string{"cookiecutter.json": "{\n\"name\": }", top + "a": ""},
			want:  []string{"cookiecutter.json, line 2"},
		},
		"no cookiecutter.json": {
			files: map[string]string{"a": ""},
			want:  []string{"is no template", "cookiecutter.json"},
		},
		"no folder to render": {
			files: map[string]string{"cookiecutter.json": `{"name": "n"}`, "a/b": ""},
			want:  []string{"is no template", "{{cookiecutter.name}}"},
		},
		"a name that leads out": {
			files: map[string]string{"cookiecutter.json": `{"name": "n", "up": "../../x"}`, top + "{{ cookiecutter.up }}/a": "x"},
			want:  []string{"outside the new folder"},
		},
		"a top folder that leads out": {
			files:   map[string]string{"cookiecutter.json": `{"name": "n"}`, top + "a": "x"},
			answers: map[string]string{"name": "../n"},
			want:    []string{"is outside"},
		},
		"a Python extension": {
			files: map[string]string{"cookiecutter.json": `{"name": "n", "_extensions": ["local.Mine"]}`, top + "a": "x"},
			want:  []string{"local.Mine", "cookiecutter itself"},
		},
		"a choice that is none": {
			files:   map[string]string{"cookiecutter.json": `{"name": ["a", "b"]}`, top + "a": "x"},
			answers: map[string]string{"name": "c"},
			want:    []string{"one of: a, b"},
		},
		"a failing Python hook": {
			files: map[string]string{"cookiecutter.json": `{"name": "n"}`, top + "a": "x", "hooks/post_gen_project.py": "import sys\nprint('no', '{{ cookiecutter.name }}')\nsys.exit(3)\n"},
			want:  []string{"hooks/post_gen_project.py", "exit status 3", "no n"},
		},
		"a failing shell hook before": {
			files: map[string]string{"cookiecutter.json": `{"name": "n"}`, top + "a": "x", "hooks/pre_gen_project.sh": "echo refused >&2; exit 1\n"},
			want:  []string{"hooks/pre_gen_project.sh", "refused"},
		},
		"a failing hook before the questions": {
			files: map[string]string{"cookiecutter.json": `{"name": "n"}`, top + "a": "x", "hooks/pre_prompt.sh": "echo too early; exit 1\n"},
			want:  []string{"hooks/pre_prompt.sh", "too early"},
		},
		"an include from elsewhere": {
			files: map[string]string{"cookiecutter.json": `{"name": "n"}`, top + "a": "{% include '../secret.txt' %}", "secret.txt": "s"},
			want:  []string{"file a", "secret.txt"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			template, parent := writeFiles(t, c.files), t.TempDir()
			out := filepath.Join(parent, "new", "folder")
			_, err := New(t.Context(), Options{Template: template, Dir: out, Answers: c.answers})
			if err == nil {
				t.Fatal("there was no error")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error is\n%v\nwant %q in it", err, want)
				}
			}
			compareTrees(t, "orion new", readTree(t, parent), nil)
		})
	}
}

func writeFiles(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "template")
	writeTree(t, dir, &sections{names: slices.Collect(maps.Keys(files)), contents: files}, "")
	return dir
}

func TestAFailingHookPutsOverwrittenFilesBack(t *testing.T) {
	t.Parallel()
	template := writeFiles(t, map[string]string{
		"cookiecutter.json":          `{"name": "n"}`,
		"{{cookiecutter.name}}/a":    "new\n",
		"{{cookiecutter.name}}/b/c":  "new\n",
		"hooks/post_gen_project.sh ": "",
		"hooks/post_gen_project.sh":  "exit 1\n",
	})
	out := t.TempDir()
	if err := os.Mkdir(filepath.Join(out, "n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(out, "n", "a"), []byte("old\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := New(t.Context(), Options{Template: template, Dir: out, Force: true}); err == nil {
		t.Fatal("there was no error")
	}
	compareTrees(t, "orion new", readTree(t, out), map[string]string{"n/a": "old\n"})

	result, err := New(t.Context(), Options{Template: template, Dir: out, Force: true, NoHooks: true})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"a", "b/c"}; !slices.Equal(result.Files, want) {
		t.Errorf("the result names %q, want %q", result.Files, want)
	}
	compareTrees(t, "orion new", readTree(t, out), map[string]string{"n/a": "new\n", "n/b/c": "new\n"})
}

func TestALinkCannotLeadOutOfTheNewFolder(t *testing.T) {
	t.Parallel()
	template := writeFiles(t, map[string]string{"cookiecutter.json": `{"name": "n"}`, "{{cookiecutter.name}}/sub/a": "new\n"})
	out, elsewhere := t.TempDir(), t.TempDir()
	if err := os.Mkdir(filepath.Join(out, "n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(elsewhere, filepath.Join(out, "n", "sub")); err != nil {
		t.Fatal(err)
	}
	if _, err := New(t.Context(), Options{Template: template, Dir: out, Force: true}); err == nil {
		t.Error("there was no error")
	}
	compareTrees(t, "orion new", readTree(t, elsewhere), nil)
}

func TestACancelledRunWritesNothing(t *testing.T) {
	t.Parallel()
	template := writeFiles(t, map[string]string{
		"cookiecutter.json":         `{"name": "n"}`,
		"{{cookiecutter.name}}/a":   "x",
		"hooks/post_gen_project.sh": "#!/bin/sh\necho ready\nexec sleep 60\n",
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := t.TempDir()
	_, err := New(ctx, Options{Template: template, Dir: out, Log: func(string) { cancel() }})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
	compareTrees(t, "orion new", readTree(t, out), nil)
}

func TestATemplatesQuestionsAreAsked(t *testing.T) {
	t.Parallel()
	template := writeFiles(t, map[string]string{
		"cookiecutter.json": `{"name": "n", "slug": "{{ cookiecutter.name|lower }}", "kind": ["a", "b"], "flag": false, "data": {"k": 1},
			"__prompts__": {"name": "Your name", "kind": {"__prompt__": "Which kind", "a": "The first"}}}`,
		"{{cookiecutter.slug}}/a": "{{ cookiecutter.kind }} {{ cookiecutter.flag }} {{ cookiecutter.data.k }}\n",
	})
	var asked []Question
	replies := map[string]string{"name": "Big", "kind": "b", "flag": "yes", "data": `{"k": "v"}`}
	out := t.TempDir()
	_, err := New(t.Context(), Options{Template: template, Dir: out, Ask: func(q Question) (string, error) {
		asked = append(asked, q)
		return replies[q.Name], nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	want := []Question{
		{Name: "name", Prompt: "Your name", Default: "n"},
		{Name: "slug", Prompt: "slug", Default: "big"},
		{Name: "kind", Prompt: "Which kind", Default: "a", Choices: []string{"a", "b"}},
		{Name: "flag", Prompt: "flag", Default: "false"},
		{Name: "data", Prompt: "data", Default: `{"k": "1"}`},
	}
	for i, q := range want {
		if i >= len(asked) || asked[i].Name != q.Name || asked[i].Prompt != q.Prompt || asked[i].Default != q.Default || !slices.Equal(asked[i].Choices, q.Choices) {
			t.Fatalf("asked\n%+v\nwant\n%+v", asked, want)
		}
	}
	compareTrees(t, "orion new", readTree(t, out), map[string]string{"big/a": "b True v\n"})
}

func TestWhatDiffersEveryTimeIsMade(t *testing.T) {
	t.Parallel()
	template := writeFiles(t, map[string]string{
		"cookiecutter.json":       `{"name": "a/b"}`,
		"{{cookiecutter.name}}/c": "{% now 'utc', '%Y' %} {% now 'Europe/Oslo' %} {{ random_ascii_string(12) }} {{ random_ascii_string(40, punctuation=True) }} {{ uuid4() }}",
	})
	out := t.TempDir()
	result, err := New(t.Context(), Options{Template: template, Dir: out})
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(out, "a", "b"); result.Dir != want {
		t.Errorf("the result is in %s, want %s", result.Dir, want)
	}
	text := readTree(t, out)["a/b/c"]
	if want := regexp.MustCompile(`^20\d\d 20\d\d-\d\d-\d\d [a-zA-Z]{12} [!-~]{40} [0-9a-f]{8}-[0-9a-f-]{27}$`); !want.MatchString(text) {
		t.Errorf("rendered %q", text)
	}
}

func FuzzRenderingNeverPanics(f *testing.F) {
	for _, seed := range []string{"{{ cookiecutter.name|lower }}", "{% for x in 'ab' %}{{ x }}{% endfor %}", "{% now 'utc' %}", "{{ 'a'.split()[-1] }}", "{#", "{{ [1][9] }}"} {
		f.Add(seed)
	}
	settings, err := parseObject(`{"name": "n"}`)
	if err != nil {
		f.Fatal(err)
	}
	source := &source{name: "fuzz", files: os.DirFS(f.TempDir()), settings: settings}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "range") || strings.Contains(text, "*") || strings.Contains(text, "macro") || len(text) > 200 {
			t.Skip("a template may take as long as it asks for")
		}
		jinja, err := newJinja(source, settings)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = jinja.file("a", text) // an error is fine, a panic is not
	})
}

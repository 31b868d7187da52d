package ci

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/orionflows/orion/internal/testenv"
)

// What the command says to each CI system, whose environment it is given.
func TestEachSystemIsToldInItsOwnWay(t *testing.T) {
	w := newWorld(t)
	w.write("load/flow.py", flow)
	w.write("load/daily.deployment.py", deployment("daily", "", ""))
	w.write("broken/x.deployment.py", "import pandas_not_there\n")
	w.commit("first")

	for _, c := range []struct {
		name string
		env  []string
		says []string
	}{
		{"GitHub folds, and points at the file", []string{"CI=true", "GITHUB_ACTIONS=true"}, []string{
			`(?s)::group::what the files said\n.*\[1/2\] .*::endgroup::\n`,
			`::error file=broken/x\.deployment\.py,title=orion,line=1::[^\n]*pandas_not_there`,
			`no comment on a pull request: this job belongs to no pull request`,
		}},
		{"GitLab folds", []string{"CI=true", "GITLAB_CI=true"}, []string{
			`(?s)\x1b\[0Ksection_start:\d+:orion_files\[collapsed=true\]\r\x1b\[0Kwhat the files said\n.*\[2/2\] .*\x1b\[0Ksection_end:\d+:orion_files\r\x1b\[0K\n`,
			`no comment on a pull request: only GitHub's`,
		}},
		{"Azure DevOps folds, points at the file, and keeps a summary and numbers", []string{"TF_BUILD=True", "AGENT_TEMPDIRECTORY=" + w.home}, []string{
			`##\[group\]what the files said\n`, `##\[endgroup\]\n`,
			`##vso\[task\.logissue type=error;sourcepath=broken/x\.deployment\.py;linenumber=1\][^\n]*pandas_not_there`,
			`##vso\[task\.setvariable variable=created;isOutput=true\]1\n`,
			`##vso\[task\.uploadsummary\]` + regexp.QuoteMeta(w.home) + `/orion-\d+\.md\n`,
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, errs, code := w.run(c.env, "plan", "--comment", "--refresh")
			if code != 1 {
				t.Errorf("exit %d", code)
			}
			for _, want := range c.says {
				if !regexp.MustCompile(want).MatchString(errs) {
					t.Errorf("%s is not said in:\n%q", want, errs)
				}
			}
			if m := regexp.MustCompile(`uploadsummary\](\S+)`).FindStringSubmatch(errs); m != nil {
				if b, err := os.ReadFile(m[1]); err != nil || !strings.Contains(string(b), "+ Load/daily") {
					t.Errorf("the summary: %v\n%s", err, b)
				}
			}
		})
	}

	// A finding of the doctor is pointed at, too.
	w.write("broken/x.deployment.py", "")
	w.write("load/daily.deployment.py", deployment("daily", "", `, parameters={"day": "tomorrow"}`))
	w.commit("second")
	_, errs, code := w.run([]string{"CI=true", "GITHUB_ACTIONS=true"}, "doctor")
	if code != 1 || !strings.Contains(errs, "::error file=load/daily.deployment.py,title=orion::the parameters of") {
		t.Errorf("exit %d\n%s", code, errs)
	}
	// Where a program reads, nothing but its answer comes.
	out, _, _ := w.run([]string{"CI=true", "GITLAB_CI=true"}, "plan", "--output", "json")
	if !strings.HasPrefix(out, "{") {
		t.Errorf("plan --output json:\n%s", out)
	}
}

// The set-ups that people copy are YAML, and every step of them that runs orion
// uses options that it has.
func TestTheExamplesForOtherSystemsAreWellFormed(t *testing.T) {
	testenv.Heavy(t)
	command := regexp.MustCompile(`orion"? (plan|deploy)((?: --[a-z-]+)+)`)
	for _, name := range []string{"github-workflow.yml", "gitlab-ci.yml", "azure-pipelines.yml"} {
		b, err := os.ReadFile(filepath.Join(testenv.Root(t), "docs", "ci", name))
		if err != nil {
			t.Fatal(err)
		}
		var any map[string]any
		if err := yaml.Unmarshal(b, &any); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, m := range command.FindAllStringSubmatch(string(b), -1) {
			help, err := exec.Command(testenv.OrionBinary(t), m[1], "--help").Output()
			if err != nil {
				t.Fatal(err)
			}
			for _, option := range strings.Fields(m[2]) {
				if !strings.Contains(string(help), option+" ") {
					t.Errorf("%s: orion %s has no option %s", name, m[1], option)
				}
			}
		}
	}
}

package scaffold

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
)

// newBuiltin asks the questions of the built-in template. They are code and not only
// cookiecutter.json because the names must please Prefect and Python, and because a
// cron line is asked for only where a schedule is wanted.
func newBuiltin(ctx context.Context, o Options, output string) (Result, error) {
	source, err := openBuiltin()
	if err != nil {
		return Result{}, err
	}
	if err := source.checkNames(o.Answers); err != nil {
		return Result{}, err
	}
	answers, err := askBuiltin(o, output)
	if err != nil {
		return Result{}, err
	}
	project, _ := answers.values["project_slug"].(string)
	return generate(ctx, o, source, answers, filepath.Join(output, "projects", project))
}

func askBuiltin(o Options, output string) (*object, error) {
	answers := newObject()
	ask := func(q Question, check func(string) (string, error)) error {
		text, err := answer(o, q, check)
		answers.set(q.Name, text)
		return err
	}

	if err := ask(Question{Name: "project", Prompt: "Project (a folder below projects/)", Default: onlyProject(output)}, checkFolder("project")); err != nil {
		return nil, err
	}
	if err := ask(Question{Name: "flow", Prompt: "Name of the flow"}, checkFolder("flow")); err != nil {
		return nil, err
	}
	if err := ask(Question{Name: "deployment", Prompt: "Name of the deployment", Default: "default"}, checkName("deployment")); err != nil {
		return nil, err
	}
	// A cron line given by flag says that a schedule is wanted.
	schedule := "none"
	if o.Answers["cron"] != "" {
		schedule = "cron"
	}
	if err := ask(Question{Name: "schedule", Prompt: "Schedule", Default: schedule, Choices: []string{"none", "cron"}}, nil); err != nil {
		return nil, err
	}
	answers.set("cron", "")
	answers.set("timezone", "")
	if answers.values["schedule"] == "cron" {
		if err := ask(Question{Name: "cron", Prompt: "Cron line (minute hour day month weekday)", Default: "0 6 * * *"}, checkCron); err != nil {
			return nil, err
		}
		if err := ask(Question{Name: "timezone", Prompt: "Time zone of the cron line", Default: "UTC"}, checkTimezone); err != nil {
			return nil, err
		}
	}
	if err := ask(Question{Name: "queue", Prompt: "Work queue", Default: "default"}, checkName("queue")); err != nil {
		return nil, err
	}

	text := func(name string) string { s, _ := answers.values[name].(string); return s }
	answers.set("project_slug", projectFolder(output, text("project")))
	answers.set("flow_slug", pythonName(text("flow")))
	answers.set("deployment_slug", fileName(text("deployment")))
	return answers, nil
}

// onlyProject is the default for the project: the one that is there, if it is the one.
func onlyProject(output string) string {
	entries, err := os.ReadDir(filepath.Join(output, "projects"))
	if err != nil {
		return ""
	}
	var found []string
	for _, entry := range entries {
		if entry.IsDir() && !strings.HasPrefix(entry.Name(), ".") {
			found = append(found, entry.Name())
		}
	}
	if len(found) != 1 {
		return ""
	}
	return found[0]
}

// projectFolder is the folder of a project: one that is there keeps the name it has.
func projectFolder(output, project string) string {
	if info, err := os.Stat(filepath.Join(output, "projects", project)); err == nil && info.IsDir() && project != "." && project != ".." {
		return project
	}
	return pythonName(project)
}

// What Prefect refuses in names, and what would end the Python string they stand in.
const refused = "/%&><" + `"\`

func checkName(question string) func(string) (string, error) {
	return func(text string) (string, error) {
		text = strings.TrimSpace(text)
		if text == "" {
			return "", fmt.Errorf("%w: no name for the %s: pass --%s NAME", errInvalid, question, question)
		}
		if i := strings.IndexFunc(text, func(r rune) bool { return strings.ContainsRune(refused, r) || !unicode.IsPrint(r) }); i >= 0 {
			return "", fmt.Errorf("%w: the name of the %s, %q, holds %q; none of %s is allowed", errInvalid, question, text, []rune(text[i:])[0], strings.Join(strings.Split(refused, ""), " "))
		}
		return text, nil
	}
}

// checkFolder is for names that become a folder, too.
func checkFolder(question string) func(string) (string, error) {
	check := checkName(question)
	return func(text string) (string, error) {
		name, err := check(text)
		if err == nil && pythonName(name) == "" {
			return "", fmt.Errorf("%w: the name of the %s, %q, has no letter or digit to make a folder name from", errInvalid, question, name)
		}
		return name, err
	}
}

var cronField = regexp.MustCompile(`^[0-9A-Za-z*/,#?-]+$`)

// checkCron catches what is no cron line at all. The server has the last word, when the
// deployment is registered.
func checkCron(text string) (string, error) {
	fields := strings.Fields(text)
	if len(fields) == 1 && strings.HasPrefix(fields[0], "@") {
		return fields[0], nil
	}
	bad := slices.ContainsFunc(fields, func(field string) bool { return !cronField.MatchString(field) })
	if len(fields) != 5 || bad {
		return "", fmt.Errorf(`%w: cron is %q, it must be five fields such as "0 6 * * 1-5"`, errInvalid, text)
	}
	return strings.Join(fields, " "), nil
}

func checkTimezone(text string) (string, error) {
	name := strings.TrimSpace(text)
	if _, err := time.LoadLocation(name); err != nil || name == "" || name == "Local" {
		return "", fmt.Errorf("%w: timezone is %q, it must be a name such as Europe/Oslo or UTC", errInvalid, text)
	}
	return name, nil
}

// Words that cannot be the name of the function: Python's own, and what flow.py of the
// template defines or imports.
var reserved = strings.Fields(`
	and as assert async await break class continue def del elif else except finally for
	from global if import in is lambda match nonlocal not or pass raise return try while
	with type case print range sum list int str
	flow task get_run_logger prefect read_numbers double future main`)

// pythonName makes a name that is good for a folder, a module and a function.
func pythonName(text string) string {
	name := slugify(text, "_")
	if name == "" {
		return ""
	}
	if name[0] >= '0' && name[0] <= '9' {
		name = "flow_" + name
	}
	if slices.Contains(reserved, name) {
		name += "_flow"
	}
	return name
}

// fileName keeps a deployment's name readable in the name of its file.
func fileName(text string) string {
	if name := slugify(text, "-"); name != "" {
		return name
	}
	return "default"
}

package cli

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/orionflows/orion/internal/doctor"
	"github.com/orionflows/orion/internal/plan"
)

// ciSystem is the CI system that runs us, as far as it has ways of its own to
// show what happens; the zero value is none.
type ciSystem struct {
	name    string
	err     io.Writer
	summary string // file of the job's summary
	outputs string // file of the step's outputs
	inGroup bool
}

// detectCI knows the system by its environment.
func detectCI(err io.Writer) *ciSystem {
	switch {
	case os.Getenv("GITHUB_ACTIONS") == "true":
		return &ciSystem{name: "github", err: err, summary: os.Getenv("GITHUB_STEP_SUMMARY"), outputs: os.Getenv("GITHUB_OUTPUT")}
	case os.Getenv("GITLAB_CI") == "true":
		return &ciSystem{name: "gitlab", err: err}
	case os.Getenv("TF_BUILD") != "":
		return &ciSystem{name: "azure", err: err}
	}
	return &ciSystem{err: err}
}

// any tells whether some CI system runs us, known or not.
func (s *ciSystem) any() bool { return s.name != "" || os.Getenv("CI") != "" }

// group folds the lines up to endGroup away below a title.
func (s *ciSystem) group(title string) {
	if s.inGroup {
		return
	}
	s.inGroup = true
	switch s.name {
	case "github":
		fmt.Fprintf(s.err, "::group::%s\n", title)
	case "gitlab":
		fmt.Fprintf(s.err, "\x1b[0Ksection_start:%d:orion_files[collapsed=true]\r\x1b[0K%s\n", time.Now().Unix(), title)
	case "azure":
		fmt.Fprintf(s.err, "##[group]%s\n", title)
	}
}

func (s *ciSystem) endGroup() {
	if !s.inGroup {
		return
	}
	s.inGroup = false
	switch s.name {
	case "github":
		fmt.Fprintln(s.err, "::endgroup::")
	case "gitlab":
		fmt.Fprintf(s.err, "\x1b[0Ksection_end:%d:orion_files\r\x1b[0K\n", time.Now().Unix())
	case "azure":
		fmt.Fprintln(s.err, "##[endgroup]")
	}
}

// annotate points at a line of a file, at the file where line is 0, or at
// nothing where it is not about a file.
func (s *ciSystem) annotate(level doctor.Level, file string, line int, text string) {
	switch s.name {
	case "github":
		if level == doctor.Hint {
			level = "notice"
		}
		escape := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
		property := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
		at := "title=orion"
		if file != "" {
			at = "file=" + property.Replace(file) + "," + at
		}
		if line > 0 {
			at += fmt.Sprintf(",line=%d", line)
		}
		fmt.Fprintf(s.err, "::%s %s::%s\n", level, at, escape.Replace(text))
	case "azure":
		if level == doctor.Hint {
			return // it knows errors and warnings
		}
		escape := strings.NewReplacer("%", "%AZP25", "\r", "%0D", "\n", "%0A")
		property := strings.NewReplacer("%", "%AZP25", "\r", "%0D", "\n", "%0A", ";", "%3B", "]", "%5D")
		at := ""
		if file != "" {
			at = ";sourcepath=" + property.Replace(file)
		}
		if line > 0 {
			at += fmt.Sprintf(";linenumber=%d", line)
		}
		fmt.Fprintf(s.err, "##vso[task.logissue type=%s%s]%s\n", level, at, escape.Replace(text))
	}
}

// examined shows what a doctor found where it belongs.
func (s *ciSystem) examined(r *doctor.Report) error {
	if len(r.Findings) == 0 {
		return nil
	}
	for _, f := range r.Findings {
		s.annotate(f.Level, f.File, f.Line, f.What+"\n"+f.Fix)
	}
	var b bytes.Buffer
	(&printer{w: &b}).report(r)
	return s.summarise("### orion doctor\n\n" + fenced(b.String()))
}

// planned shows a plan's failures where they belong, and the plan itself.
func (s *ciSystem) planned(p *plan.Plan, prune bool) error {
	for _, f := range p.Failures {
		text := f.Error
		if f.Hint != "" {
			text += "\n" + f.Hint
		}
		for file := range strings.SplitSeq(f.File, ", ") {
			s.annotate(doctor.Error, file, lineOf(file, f.Error), text)
		}
	}
	return errors.Join(s.summarise(markdown(p, prune)), s.output(p, p.Count(plan.Remove)))
}

var tracebackLine = regexp.MustCompile(`File "([^"]+)", line (\d+)`)

// lineOf is the line of a file that the end of a traceback comes from; 0 when it
// is not in it.
func lineOf(file, traceback string) (line int) {
	for _, m := range tracebackLine.FindAllStringSubmatch(traceback, -1) {
		if n, err := strconv.Atoi(m[2]); err == nil && strings.HasSuffix(m[1], "/"+file) {
			line = n
		}
	}
	return line
}

// deployed adds what was done to the job's summary.
func (s *ciSystem) deployed(p *plan.Plan, out *plan.Outcome) error {
	return errors.Join(s.summarise(done(p, out)), s.output(p, out.Removed))
}

// done is a plan with what became of it.
func done(p *plan.Plan, out *plan.Outcome) string {
	text := markdown(p, out.Removed > 0)
	if n := len(out.Deployments) + out.Removed; n > 0 {
		text += fmt.Sprintf("\n**Done:** %s deployed, %d removed.\n", count(len(out.Deployments), "deployment"), out.Removed)
	}
	return text
}

// maxComment is somewhat less than what GitHub takes.
const maxComment = 60_000

// comment puts text on the job's pull request, in place of what the job of an
// earlier push put there. That it cannot be done is told, and stops nothing.
func (s *ciSystem) comment(ctx context.Context, p *plan.Plan, text string) {
	pr, why := currentPullRequest()
	if s.name != "github" {
		why = "only GitHub's pull requests can be commented on"
	}
	if len(text) > maxComment {
		text = fmt.Sprintf("### orion plan for %s\n\n%s\n\nThe plan is too long for a comment: it is in the job's summary.\n", p.Repository.Name, summary(p))
	}
	if why == "" {
		if err := pr.comment(ctx, fmt.Sprintf("<!-- orion plan of %s -->", p.Repository.Name), text); err != nil {
			why = err.Error()
		}
	}
	if why != "" {
		fmt.Fprintf(s.err, "  no comment on a pull request: %s\n", why)
	}
}

// output gives later steps of the job what came of this one.
func (s *ciSystem) output(p *plan.Plan, removed int) error {
	numbers := []struct {
		name string
		n    int
	}{{"created", p.Count(plan.Create)}, {"changed", p.Count(plan.Change)}, {"removed", removed}, {"drifted", p.Drifted()}, {"failed", len(p.Failures)}}
	if s.name == "azure" {
		for _, v := range numbers {
			fmt.Fprintf(s.err, "##vso[task.setvariable variable=%s;isOutput=true]%d\n", v.name, v.n)
		}
	}
	if s.outputs == "" {
		return nil
	}
	var b bytes.Buffer
	for _, v := range numbers {
		fmt.Fprintf(&b, "%s=%d\n", v.name, v.n)
	}
	end := rand.Text() // no line of a plan is that
	fmt.Fprintf(&b, "plan<<%s\n", end)
	(&printer{w: &b}).plan(p, false)
	fmt.Fprintln(&b, end)
	return appendTo(s.outputs, b.String())
}

// summarise adds to the job's summary.
func (s *ciSystem) summarise(text string) error {
	if s.name == "azure" {
		// The agent reads the file when the step is over.
		f, err := os.CreateTemp(os.Getenv("AGENT_TEMPDIRECTORY"), "orion-*.md")
		if err != nil {
			return err
		}
		if _, err := io.WriteString(f, text+"\n"); err != nil {
			f.Close()
			return err
		}
		fmt.Fprintf(s.err, "##vso[task.uploadsummary]%s\n", f.Name())
		return f.Close()
	}
	if s.summary == "" {
		return nil
	}
	return appendTo(s.summary, text+"\n")
}

func appendTo(path, text string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, text)
	return errors.Join(err, f.Close())
}

// markdown is a plan as a comment or a job's summary.
func markdown(p *plan.Plan, prune bool) string {
	var b bytes.Buffer
	(&printer{w: &b}).plan(p, prune)
	return fmt.Sprintf("### orion plan for %s\n\n%s", p.Repository.Name, fenced(b.String()))
}

// fenced is text that Markdown leaves as it is.
func fenced(text string) string {
	fence := "```"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	return fmt.Sprintf("%s\n%s%s\n", fence, strings.TrimLeft(text, "\n"), fence)
}

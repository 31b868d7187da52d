package cli

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/orionflows/orion/internal/doctor"
	"github.com/orionflows/orion/internal/plan"
)

// ciSystem is the CI system that runs us, as far as it has ways of its own to
// show what happens; the zero value is none.
type ciSystem struct {
	name    string
	err     io.Writer
	summary string // file of the job's summary
}

// detectCI knows the system by its environment.
func detectCI(err io.Writer) *ciSystem {
	switch {
	case os.Getenv("GITHUB_ACTIONS") == "true":
		return &ciSystem{name: "github", err: err, summary: os.Getenv("GITHUB_STEP_SUMMARY")}
	case os.Getenv("GITLAB_CI") == "true":
		return &ciSystem{name: "gitlab", err: err}
	case os.Getenv("TF_BUILD") != "":
		return &ciSystem{name: "azure", err: err}
	}
	return &ciSystem{err: err}
}

// annotate points at a line of a file, or at the file where line is 0.
func (s *ciSystem) annotate(level doctor.Level, file string, line int, text string) {
	switch s.name {
	case "github":
		if level == doctor.Hint {
			level = "notice"
		}
		escape := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
		property := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
		at := "file=" + property.Replace(file)
		if line > 0 {
			at += fmt.Sprintf(",line=%d", line)
		}
		fmt.Fprintf(s.err, "::%s %s,title=orion::%s\n", level, at, escape.Replace(text))
	case "azure":
		if level == doctor.Hint {
			return // it knows errors and warnings
		}
		escape := strings.NewReplacer("%", "%AZP25", "\r", "%0D", "\n", "%0A")
		property := strings.NewReplacer("%", "%AZP25", "\r", "%0D", "\n", "%0A", ";", "%3B", "]", "%5D")
		at := "sourcepath=" + property.Replace(file)
		if line > 0 {
			at += fmt.Sprintf(";linenumber=%d", line)
		}
		fmt.Fprintf(s.err, "##vso[task.logissue type=%s;%s]%s\n", level, at, escape.Replace(text))
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
			s.annotate(doctor.Error, file, 0, text)
		}
	}
	return s.summarise(markdown(p, prune))
}

// deployed adds what was done to the job's summary.
func (s *ciSystem) deployed(p *plan.Plan, out *plan.Outcome) error {
	text := markdown(p, out.Removed > 0)
	if n := len(out.Deployments) + out.Removed; n > 0 {
		text += fmt.Sprintf("\n**Done:** %s deployed, %d removed.\n", count(len(out.Deployments), "deployment"), out.Removed)
	}
	return s.summarise(text)
}

func (s *ciSystem) summarise(text string) error {
	if s.summary == "" {
		return nil
	}
	f, err := os.OpenFile(s.summary, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(f, text+"\n"); err != nil {
		f.Close()
		return err
	}
	return f.Close()
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

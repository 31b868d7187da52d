package pyenv

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
)

// InstallError says that requirements cannot be installed.
type InstallError struct {
	Requirements string   // the file; "" for the base environment
	Packages     []string // what was to be installed besides the file
	Tool         string   // "uv pip install" or "pip install"
	Output       string   // all that the tool said
	Err          error    // how the tool ended
}

func (e *InstallError) Error() string {
	what := e.Requirements
	if what == "" {
		what = strings.Join(e.Packages, ", ")
	}
	return fmt.Sprintf("%s cannot be installed (%s: %v):\n%s", what, e.Tool, e.Err, e.Tail())
}

func (e *InstallError) Unwrap() error { return e.Err }

// Tail is the part of the output that says what went wrong.
func (e *InstallError) Tail() string { return lastLines(e.Output, 12) }

var (
	escape = regexp.MustCompile(`\x1b\[[0-9;?]*[A-Za-z]`)
	// noise is what installers print whether or not something is wrong.
	noise = regexp.MustCompile(`^(Collecting |Downloading |Using cached |Requirement already |Using Python |Using CPython |\[notice\]|WARNING: You are using pip)`)
)

// lastLines returns the last n lines that say something.
func lastLines(text string, n int) string {
	var lines []string
	for line := range strings.SplitSeq(escape.ReplaceAllString(text, ""), "\n") {
		line = strings.TrimRight(line[strings.LastIndexByte(strings.TrimRight(line, "\r"), '\r')+1:], " \r\t")
		if line != "" && !noise.MatchString(strings.TrimSpace(line)) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// lineWriter cuts what it is given into lines. It may be nil-ended: without a
// receiver it does nothing.
type lineWriter struct {
	to   func(string)
	rest []byte
}

func (w *lineWriter) Write(p []byte) (int, error) {
	if w.to == nil {
		return len(p), nil
	}
	w.rest = append(w.rest, p...)
	for {
		line, rest, ok := bytes.Cut(w.rest, []byte("\n"))
		if !ok {
			return len(p), nil
		}
		w.rest = rest
		w.to(string(bytes.TrimRight(line, "\r")))
	}
}

func (w *lineWriter) flush() {
	if len(w.rest) > 0 {
		w.to(string(w.rest))
		w.rest = nil
	}
}

// teeWriter is one comparable value, so that exec gives both of a command's
// outputs the same pipe and their order is kept.
type teeWriter struct {
	all   *bytes.Buffer
	lines *lineWriter
}

func (w teeWriter) Write(p []byte) (int, error) {
	w.all.Write(p)
	return w.lines.Write(p)
}

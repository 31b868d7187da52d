package pyenv

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// requirements is what a requirements file says, the files it includes told
// along. It is read for the cache key and to see whether Prefect is among it;
// the installer reads the files itself.
type requirements struct {
	lines    []string // without comments, blank lines and line breaks
	expanded []string // the same with ${VARIABLES} filled in; may hold secrets
	local    []localPath

	dir         string // where relative paths start: installers run in it
	getenv      func(string) string
	seen        []string
	prefect     bool // a line names Prefect
	constrained bool // a constraint names Prefect
	hashed      bool // --hash is used: then every package must have one
}

// localPath is a file or folder that a requirement names.
type localPath struct {
	path     string
	editable bool
}

func readRequirements(path string, getenv func(string) string) (*requirements, error) {
	r := &requirements{dir: filepath.Dir(path), getenv: getenv}
	return r, r.read(path, false)
}

// missing is what to install besides the file: a flow cannot run without
// Prefect, and many a requirements file leaves it to the machine.
func (r *requirements) missing(base []string) []string {
	if r.prefect || r.hashed {
		return nil
	}
	var extra []string
	for _, b := range base {
		if !namesPrefect(b) {
			continue
		}
		if r.constrained {
			b = "prefect" // the constraint says which
		}
		extra = append(extra, b)
	}
	return extra
}

var (
	comment  = regexp.MustCompile(`(^|\s+)#.*$`)
	variable = regexp.MustCompile(`\$\{([A-Z0-9_]+)\}`)
	spaces   = regexp.MustCompile(`\s+`)
	named    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*`)
	dashes   = regexp.MustCompile(`[-_.]+`)
	fromGit  = regexp.MustCompile(`(?i)^git\+.*(/prefect(\.git)?(@[^#]*)?(#.*)?$|[#&]egg=prefect\b)`)
	archive  = regexp.MustCompile(`\.(whl|zip|tar\.gz|tar\.bz2|tgz)$`)
)

func (r *requirements) read(path string, constraint bool) error {
	if slices.Contains(r.seen, path) {
		return nil
	}
	r.seen = append(r.seen, path)
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("reading requirements: %w", err)
	}
	joined := strings.NewReplacer("\uFEFF", "", "\r\n", "\n", "\\\r\n", "", "\\\n", "").Replace(string(text))
	for line := range strings.SplitSeq(joined, "\n") {
		line = strings.TrimSpace(spaces.ReplaceAllString(comment.ReplaceAllString(line, ""), " "))
		if line == "" {
			continue
		}
		if err := r.add(line, path, constraint); err != nil {
			return err
		}
	}
	return nil
}

func (r *requirements) add(line, file string, constraint bool) error {
	expanded := variable.ReplaceAllStringFunc(line, func(v string) string {
		if value := r.getenv(v[2 : len(v)-1]); value != "" {
			return value
		}
		return v
	})
	name, value := option(expanded)
	switch name {
	case "-r", "--requirement", "-c", "--constraint":
		if !strings.Contains(value, "://") {
			if !filepath.IsAbs(value) {
				value = filepath.Join(filepath.Dir(file), value)
			}
			err := r.read(value, constraint || name == "-c" || name == "--constraint")
			if err != nil {
				return fmt.Errorf("%s includes a file: %w", file, err)
			}
			return nil
		}
	case "":
		r.note(expanded, false, constraint)
	case "-e", "--editable":
		r.note(value, true, constraint)
	case "--hash", "--require-hashes":
		r.hashed = true
	}
	if constraint {
		line, expanded = "constraint "+line, "constraint "+expanded
	}
	r.lines, r.expanded = append(r.lines, line), append(r.expanded, expanded)
	return nil
}

// note takes down what matters to us in one requirement.
func (r *requirements) note(requirement string, editable, constraint bool) {
	if strings.Contains(requirement, "--hash=") {
		r.hashed = true
	}
	if namesPrefect(requirement) {
		r.prefect = r.prefect || !constraint
		r.constrained = r.constrained || constraint
	}
	if path := r.localPath(requirement); path != "" && !constraint {
		r.local = append(r.local, localPath{path, editable})
	}
}

// localPath returns the absolute path that a requirement names, or "". Like
// pip, it takes a bare word for the name of a package even where a folder of
// that name exists.
func (r *requirements) localPath(requirement string) string {
	path, _, _ := strings.Cut(requirement, ";")
	path, _, _ = strings.Cut(path, " --")
	if _, url, ok := strings.Cut(path, "@ "); ok {
		path = url
	}
	path = strings.TrimSpace(path)
	path, _, _ = strings.Cut(path, "#")
	if bracket := strings.LastIndexByte(path, '['); bracket > 0 && strings.HasSuffix(path, "]") {
		path = path[:bracket]
	}
	path, isURL := strings.CutPrefix(path, "file:")
	path = strings.TrimPrefix(strings.TrimPrefix(path, "//localhost"), "//")
	if strings.Contains(path, "://") {
		return ""
	}
	if !isURL && !strings.HasPrefix(path, ".") && !strings.ContainsRune(path, '/') && !archive.MatchString(path) {
		return ""
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(r.dir, path)
	}
	return filepath.Clean(path)
}

// option splits "-rbase.txt", "-r base.txt", "--requirement=base.txt" and the
// like. The name is "" for a requirement.
func option(line string) (name, value string) {
	if !strings.HasPrefix(line, "-") {
		return "", line
	}
	if !strings.HasPrefix(line, "--") {
		if len(line) < 2 {
			return line, ""
		}
		return line[:2], unquote(line[2:])
	}
	end := strings.IndexAny(line, "= ")
	if end < 0 {
		return line, ""
	}
	return line[:end], unquote(line[end+1:])
}

func unquote(s string) string { return strings.Trim(strings.TrimSpace(s), `"'`) }

// namesPrefect tells whether a requirement is Prefect itself; prefect-azure and
// its like are other packages.
func namesPrefect(requirement string) bool {
	if fromGit.MatchString(requirement) {
		return true
	}
	name := strings.TrimRight(named.FindString(requirement), ".-_")
	return strings.EqualFold(dashes.ReplaceAllString(name, "-"), "prefect")
}

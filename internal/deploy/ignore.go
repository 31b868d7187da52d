package deploy

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// ignoreFiles are read in every folder, the later ones winning. Prefect's own
// file says what not to upload, and deployment files are often named in it, for
// a run has no use for them. So it hides folders only.
var ignoreFiles = []struct {
	name        string
	foldersOnly bool
}{
	{".prefectignore", true},
	{".gitignore", false},
	{".orionignore", false},
}

// ignoreRules are the rules of some folders, outermost first. They are never
// changed, only added to, so that sibling folders can share their parents'.
type ignoreRules []ignoreRule

type ignoreRule struct {
	folder      string // absolute; the rule holds below it
	pattern     *regexp.Regexp
	keep        bool // "!pattern"
	foldersOnly bool
}

// ignoreAbove returns the rules that the folders above dir, up to the top of
// its git repository, have for it.
func ignoreAbove(dir string) ignoreRules {
	var above []string
	for at := dir; ; at = filepath.Dir(at) {
		if at != dir {
			above = append(above, at)
		}
		if _, err := os.Lstat(filepath.Join(at, ".git")); err == nil {
			break
		}
		if at == filepath.Dir(at) {
			return nil // in no repository: nobody's rules
		}
	}
	var rules ignoreRules
	for _, folder := range slices.Backward(above) {
		rules = rules.with(folder)
	}
	return rules
}

// with adds the rules that folder's own ignore files state.
func (r ignoreRules) with(folder string) ignoreRules {
	for _, file := range ignoreFiles {
		text, err := os.ReadFile(filepath.Join(folder, file.name))
		if err != nil {
			continue // almost always absent; an unreadable one hides nothing
		}
		for line := range strings.SplitSeq(string(text), "\n") {
			if rule, ok := parseIgnore(line); ok {
				rule.folder = folder
				rule.foldersOnly = rule.foldersOnly || file.foldersOnly
				r = append(slices.Clip(r), rule)
			}
		}
	}
	return r
}

// ignores tells whether the rules hide path itself. That a folder above it is
// hidden is for the caller to notice: it does not go there.
func (r ignoreRules) ignores(path string, folder bool) bool {
	for _, rule := range slices.Backward(r) {
		if rule.foldersOnly && !folder {
			continue
		}
		rel, err := filepath.Rel(rule.folder, path)
		if err != nil || strings.HasPrefix(rel, "..") && (rel == ".." || rel[2] == filepath.Separator) {
			continue
		}
		if rule.pattern.MatchString(filepath.ToSlash(rel)) {
			return !rule.keep
		}
	}
	return false
}

func parseIgnore(line string) (rule ignoreRule, ok bool) {
	line = strings.TrimSuffix(line, "\r")
	for strings.HasSuffix(line, " ") && !strings.HasSuffix(line, `\ `) {
		line = line[:len(line)-1]
	}
	if line == "" || line[0] == '#' {
		return rule, false
	}
	line, rule.keep = strings.CutPrefix(line, "!")
	line, rule.foldersOnly = strings.CutSuffix(line, "/")
	if line == "" {
		return rule, false
	}
	// A slash anywhere but at the end ties the pattern to this folder.
	if anchored := strings.TrimPrefix(line, "/"); strings.Contains(line, "/") {
		line = anchored
	} else {
		line = "**/" + line
	}
	expression, err := regexp.Compile("^" + globExpression(line) + "$")
	rule.pattern = expression
	return rule, err == nil // git passes over patterns that make no sense, too
}

// globExpression translates a pattern: * and ? stay within one name, ** does not.
func globExpression(glob string) string {
	var b strings.Builder
	for i := 0; i < len(glob); i++ {
		rest := glob[i:]
		switch {
		case strings.HasPrefix(rest, "**/") && (i == 0 || glob[i-1] == '/'):
			b.WriteString(`(?:[^/]+/)*`)
			i += 2
		case rest == "**" && (i == 0 || glob[i-1] == '/'):
			b.WriteString(`.+`)
			i++
		case glob[i] == '*':
			b.WriteString(`[^/]*`)
		case glob[i] == '?':
			b.WriteString(`[^/]`)
		case glob[i] == '[':
			set, length := globSet(rest)
			b.WriteString(set)
			i += length - 1
		case glob[i] == '\\' && i+1 < len(glob):
			i++
			b.WriteString(regexp.QuoteMeta(glob[i : i+1]))
		default:
			b.WriteString(regexp.QuoteMeta(glob[i : i+1]))
		}
	}
	return b.String()
}

// globSet translates "[a-c]" or "[!x]" at the start of glob; a bracket that is
// never closed stands for itself.
func globSet(glob string) (expression string, length int) {
	at := 1
	if at < len(glob) && (glob[at] == '!' || glob[at] == '^') {
		at++
	}
	inverted := at == 2
	end := strings.IndexByte(glob[min(at+1, len(glob)):], ']') // a ']' in first place is a member
	if end < 0 {
		return `\[`, 1
	}
	end += at + 1
	set := strings.NewReplacer(`\`, `\\`, `[`, `\[`, `]`, `\]`, `^`, `\^`, `&`, `\&`).Replace(glob[at:end])
	if inverted {
		return "[^/" + set + "]", end + 1
	}
	return "[" + set + "]", end + 1
}

package codestore

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
)

// ignoreRules are those of an ignore file, with the meaning that Prefect 2.20
// gives them: prefect/utilities/filesystem.py, filter_files, which leaves it to
// the Python library pathspec. TestIgnoreRulesAreThoseOfPrefect holds it to it.
//
// They differ from git's in this: a rule that matches a file itself wins over
// all that match a folder above it, so "!keep.py" brings a file back from an
// ignored folder.
type ignoreRules struct {
	rules  []ignoreRule
	negate bool // some rule brings files back
}

type ignoreRule struct {
	expression *regexp.Regexp
	folder     int // the group that matched when a folder above did; 0 for none
	keep       bool
	atEnd      bool // it may also match because the path ends
}

// readIgnoreFile reads the rules of a file; one that is not there has none.
func readIgnoreFile(file string) (*ignoreRules, error) {
	text, err := os.ReadFile(file)
	if os.IsNotExist(err) {
		return &ignoreRules{}, nil
	}
	if err != nil {
		return nil, err
	}
	rules, err := parseIgnore(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return rules, nil
}

func parseIgnore(text string) (*ignoreRules, error) {
	// As Python reads lines: each with its end, whatever system wrote it.
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
	rules := &ignoreRules{}
	for number := 1; text != ""; number++ {
		line := text
		if i := strings.IndexByte(text, '\n'); i >= 0 {
			line = text[:i+1]
		}
		text = text[len(line):]
		rule, ok, err := parseIgnoreRule(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		if ok {
			rules.rules = append(rules.rules, rule)
			rules.negate = rules.negate || rule.keep
		}
	}
	return rules, nil
}

// match tells whether the rules leave out a path.
func (r *ignoreRules) match(path string) bool {
	ignored, byFolder := false, false
	for _, rule := range r.rules {
		m := rule.expression.FindStringSubmatchIndex(path)
		switch {
		case m == nil:
		case rule.folder == 0 || m[2*rule.folder] < 0:
			ignored, byFolder = !rule.keep, true
		case !byFolder:
			ignored = !rule.keep
		}
	}
	return ignored
}

// matchAllOf tells whether nothing in a folder can be taken, so that nobody
// need look into it.
func (r *ignoreRules) matchAllOf(folder string) bool {
	return !r.negate && slices.ContainsFunc(r.rules, func(rule ignoreRule) bool {
		m := rule.expression.FindStringSubmatchIndex(folder + "/")
		// Not by its end: a longer path has another.
		return m != nil && (!rule.atEnd || m[2*rule.folder] >= 0)
	})
}

func parseIgnoreRule(line string) (rule ignoreRule, ok bool, err error) {
	whole := line
	if !strings.HasSuffix(line, `\ `) {
		line = strings.TrimRight(line, pythonSpace)
	}
	if line == "" || line[0] == '#' || line == "/" {
		return rule, false, nil
	}
	line, rule.keep = strings.CutPrefix(line, "!")
	names := strings.Split(line, "/")
	onlyFolders := names[len(names)-1] == ""
	switch {
	case names[0] == "":
		names = names[1:] // "/name": of the folder itself
	case len(names) == 1 || len(names) == 2 && names[1] == "":
		if names[0] != "**" { // "name": at any depth
			names = append([]string{"**"}, names...)
		}
	}
	if len(names) == 0 {
		return rule, false, fmt.Errorf("%q is no pattern", whole)
	}
	if last := len(names) - 1; names[last] == "" {
		names[last] = "**"
	}
	for i := len(names) - 1; i > 0; i-- {
		if names[i] == "**" && names[i-1] == "**" {
			names = append(names[:i], names[i+1:]...)
		}
	}
	text, valid, err := ignoreExpression(names, onlyFolders)
	if err != nil {
		return rule, false, fmt.Errorf("%q: %w", whole, err)
	}
	if !valid {
		return rule, false, nil
	}
	if rule.expression, err = regexp.Compile(text); err != nil {
		return rule, false, fmt.Errorf("%q: %w", whole, err)
	}
	rule.folder = max(rule.expression.SubexpIndex("folder"), 0)
	rule.atEnd = strings.HasSuffix(text, pathEnd)
	return rule, true, nil
}

const (
	pythonSpace = " \t\n\v\f\r\x1c\x1d\x1e\x1f\u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
	inFolder    = "(?P<folder>/)"
	pathEnd     = "(?:" + inFolder + "|$)"
)

// ignoreExpression is the regular expression of a pattern's names. A pattern
// with a bracket that is never closed is not valid: git passes over it, too.
func ignoreExpression(names []string, onlyFolders bool) (text string, valid bool, err error) {
	switch strings.Join(names, "/") {
	case "**", "**/*/**":
		switch {
		case onlyFolders:
			return inFolder, true, nil
		case len(names) == 1:
			return ".", true, nil
		}
		return "/", true, nil
	case "**/*":
		return ".", true, nil
	}
	var b strings.Builder
	slash := false
	last := len(names) - 1
	for i, name := range names {
		if name == "**" {
			switch {
			case i == 0:
				b.WriteString("^(?:.+/)?")
			case i < last:
				b.WriteString("(?:/.+)?")
				slash = true
			case onlyFolders:
				b.WriteString(inFolder)
			default:
				b.WriteString("/")
			}
			continue
		}
		if i == 0 {
			b.WriteString("^")
		}
		if slash {
			b.WriteString("/")
		}
		if name == "*" {
			b.WriteString("[^/]+")
		} else {
			glob, valid, err := globExpression(name)
			if !valid || err != nil {
				return "", false, err
			}
			b.WriteString(glob)
		}
		if i == last {
			b.WriteString(pathEnd)
		}
		slash = true
	}
	return b.String(), true, nil
}

func globExpression(glob string) (text string, valid bool, err error) {
	var b strings.Builder
	characters := []rune(glob)
	for i := 0; i < len(characters); i++ {
		switch c := characters[i]; c {
		case '\\':
			if i++; i == len(characters) {
				return "", false, fmt.Errorf("nothing follows the last backslash")
			}
			b.WriteString(regexp.QuoteMeta(string(characters[i])))
		case '*':
			b.WriteString("[^/]*")
		case '?':
			b.WriteString("[^/]")
		case '[':
			end := bracketEnd(characters, i+1)
			if end < 0 {
				return "", false, nil
			}
			set, err := bracketExpression(characters[i+1 : end])
			if err != nil {
				return "", false, err
			}
			b.WriteString(set)
			i = end
		default:
			b.WriteString(regexp.QuoteMeta(string(c)))
		}
	}
	return b.String(), true, nil
}

// bracketEnd is the place of the bracket that closes a set, or -1.
func bracketEnd(c []rune, at int) int {
	if at < len(c) && (c[at] == '!' || c[at] == '^') {
		at++
	}
	for first := at; at < len(c); at++ {
		if c[at] == ']' && at > first {
			return at
		}
	}
	return -1
}

// bracketExpression translates the inside of a set, in which only ranges mean
// something; it may match a slash, as in Python.
func bracketExpression(c []rune) (string, error) {
	var b strings.Builder
	b.WriteString("[")
	if c[0] == '!' || c[0] == '^' {
		b.WriteString("^")
		c = c[1:]
	}
	quote := func(r rune) string {
		if strings.ContainsRune(`\[]^-&~|`, r) {
			return `\` + string(r)
		}
		return string(r)
	}
	for i := 0; i < len(c); i++ {
		b.WriteString(quote(c[i]))
		if i+2 < len(c) && c[i+1] == '-' {
			if c[i] > c[i+2] {
				return "", fmt.Errorf("%c-%c is no range", c[i], c[i+2])
			}
			b.WriteString("-" + quote(c[i+2]))
			i += 2
		}
	}
	b.WriteString("]")
	return b.String(), nil
}

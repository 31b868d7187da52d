package deploy

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// DiscoverOptions narrow or explain a search.
type DiscoverOptions struct {
	// Root is the folder that names are relative to. The default is the folder
	// searched, or what the searched ones have in common.
	Root string
	// Kinds are the kinds of files that count; nil is Python alone.
	Kinds []Kind
	// Pattern narrows the search to files whose path below the root, name and
	// all, it matches; nil takes all.
	Pattern *regexp.Regexp
	// Skipped is told of files and folders that were passed over for a reason
	// the user may not expect; may be nil.
	Skipped func(path, why string)
}

// Discover returns the deployment files that paths lead to, each once, ordered
// by name. A path is a file, a folder or a pattern with * and **.
//
// In folders it honours .gitignore and .orionignore, and .prefectignore for
// folders, and passes over hidden folders, virtual environments, node_modules
// and __pycache__. It does not follow links to folders. A file or folder that
// is named itself is taken whatever those rules say. A path that leads nowhere
// is an error; one that leads to no deployment file is not.
func Discover(paths []string, o DiscoverOptions) ([]File, error) {
	s := search{skipped: o.Skipped, kinds: o.Kinds, found: map[string]Kind{}}
	if s.kinds == nil {
		s.kinds = []Kind{Python}
	}
	if s.skipped == nil {
		s.skipped = func(string, string) {}
	}
	var starts []string
	for _, path := range paths {
		path, err := filepath.Abs(path)
		if err != nil {
			return nil, err
		}
		start, err := s.path(path)
		if err != nil {
			return nil, err
		}
		starts = append(starts, start)
	}
	root := common(starts)
	if o.Root != "" {
		var err error
		if root, err = filepath.Abs(o.Root); err != nil {
			return nil, err
		}
	}
	files := make([]File, 0, len(s.found))
	for path, kind := range s.found {
		file := newFile(root, path, kind)
		if o.Pattern == nil || o.Pattern.MatchString(file.Rel) {
			files = append(files, file)
		}
	}
	slices.SortFunc(files, func(a, b File) int { return cmp.Compare(a.Rel, b.Rel) })
	return files, nil
}

type search struct {
	skipped func(path, why string)
	kinds   []Kind
	found   map[string]Kind
	only    *regexp.Regexp // what the pattern at hand matches; nil for all
}

// path searches one of the given paths and returns the folder it began in.
func (s *search) path(path string) (string, error) {
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		s.only = nil
		s.folder(path, ignoreAbove(path))
		return path, nil
	case err == nil:
		kind, ok := s.kindOf(path)
		if !ok {
			return "", fmt.Errorf("%s is no deployment file: %s", path, s.names())
		}
		s.found[path] = kind
		return filepath.Dir(path), nil
	case !strings.ContainsAny(path, "*?["):
		return "", err
	}
	// Search the folder up to the first name with a wildcard in it.
	start := path
	for strings.ContainsAny(start, "*?[") {
		start = filepath.Dir(start)
	}
	if _, err := os.Stat(start); err != nil {
		return "", err
	}
	// What matches may be a folder: then all that lies in it counts.
	expression, err := regexp.Compile("^" + globExpression(filepath.ToSlash(path)) + "(?:/.*)?$")
	if err != nil {
		return "", fmt.Errorf("the pattern %s: %w", path, err)
	}
	s.only = expression
	s.folder(start, ignoreAbove(start))
	return start, nil
}

func (s *search) folder(dir string, rules ignoreRules) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		s.skipped(dir, err.Error())
		return
	}
	rules = rules.with(dir)
	for _, entry := range entries {
		path := filepath.Join(dir, entry.Name())
		if entry.IsDir() {
			if neverSearched(path) {
				continue
			}
			if rules.ignores(path, true) {
				s.skipped(path, "an ignore file names it")
				continue
			}
			s.folder(path, rules)
			continue
		}
		kind, ok := s.kindOf(path)
		if !ok || s.only != nil && !s.only.MatchString(filepath.ToSlash(path)) {
			continue
		}
		if rules.ignores(path, false) {
			s.skipped(path, "an ignore file names it")
			continue
		}
		if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
			s.skipped(path, "it is not a file")
			continue
		}
		s.found[path] = kind
	}
}

func (s *search) kindOf(path string) (Kind, bool) {
	kind, ok := kindOf(path)
	return kind, ok && slices.Contains(s.kinds, kind)
}

// names says how deployment files are called.
func (s *search) names() string {
	if slices.Contains(s.kinds, PrefectYAML) {
		return "their names end in .deployment.py or are prefect.yaml"
	}
	return "their names end in .deployment.py"
}

// neverSearched tells the folders that hold no code of the user's.
func neverSearched(path string) bool {
	name := filepath.Base(path)
	if strings.HasPrefix(name, ".") || name == "__pycache__" || name == "node_modules" {
		return true
	}
	_, err := os.Lstat(filepath.Join(path, "pyvenv.cfg"))
	return err == nil
}

// common is the deepest folder that all of dirs are in or below.
func common(dirs []string) string {
	if len(dirs) == 0 {
		return ""
	}
	top := dirs[0]
	for _, dir := range dirs[1:] {
		for top != dir && !strings.HasPrefix(dir, strings.TrimSuffix(top, string(filepath.Separator))+string(filepath.Separator)) {
			if top == filepath.Dir(top) {
				break
			}
			top = filepath.Dir(top)
		}
	}
	return top
}

// Package deploy finds the deployment files of a repository and runs them.
//
// A deployment file registers its deployments itself, when Python runs it. So
// nothing here reads or understands one: Discover finds the files, Runner runs
// each exactly as `python NAME.deployment.py` would run in its folder, only
// sooner, and Watch tells which files to run again. Environments come from
// internal/pyenv; what the files say to the server is the server's business.
//
// To know what files would do before they do it, Runner.Collect runs them on an
// internal/overlay, with collect.py in their processes to keep uploads and the
// like from happening. It also tells what each file read, so that Fingerprints
// and ChangedSince can say which of them need not run again.
//
// Start at Discover for which files count, at Runner.Run for how one runs, and at
// Runner.Collect for what is kept from happening.
package deploy

import (
	"path/filepath"
	"strings"
)

// Kind says how a deployment file is run.
type Kind string

const (
	// Python is a file that Python runs and that registers its own deployments.
	Python Kind = "python"
	// PrefectYAML is a prefect.yaml, whose deployments `prefect deploy --all`
	// registers.
	PrefectYAML Kind = "prefect.yaml"
)

// What `prefect deploy --all` is when it is run as a program of Python's.
const prefectProgram = "from prefect.cli import app\napp()\n"

var prefectArguments = []string{"deploy", "--all"}

// suffixes are the ends of names by which deployment files are known.
var suffixes = map[string]Kind{".deployment.py": Python, "/prefect.yaml": PrefectYAML}

// File is a deployment file.
type File struct {
	Path    string // absolute
	Rel     string // below the root of the search, with forward slashes
	Folder  string // absolute; the file runs in it
	Project string // in the layout projects/<project>/<flow>/, else the folder above the flow's, if any
	Flow    string // name of the flow's folder
	Kind    Kind
}

// kindOf tells the kind of a file by its path.
func kindOf(path string) (Kind, bool) {
	for suffix, kind := range suffixes {
		if strings.HasSuffix("/"+filepath.ToSlash(path), suffix) {
			return kind, true
		}
	}
	return "", false
}

// newFile describes the file at path. Names come from the path below root only:
// what the folders above happen to be called says nothing.
func newFile(root, path string, kind Kind) File {
	f := File{Path: path, Folder: filepath.Dir(path), Kind: kind, Rel: filepath.ToSlash(path)}
	f.Flow = filepath.Base(f.Folder)
	if rel, err := filepath.Rel(root, path); err == nil {
		f.Rel = filepath.ToSlash(rel)
	}
	folders := strings.Split(f.Rel, "/")
	folders = folders[:len(folders)-1]
	for i, name := range folders {
		if name == "projects" && i+2 < len(folders) {
			f.Project, f.Flow = folders[i+1], folders[i+2]
			return f
		}
	}
	if n := len(folders); n >= 2 && folders[n-2] != "projects" && folders[n-2] != ".." {
		f.Project = folders[n-2]
	}
	return f
}

// root is the folder that Rel is relative to.
func (f File) root() string {
	return filepath.Clean(strings.TrimSuffix(filepath.ToSlash(f.Path), f.Rel))
}

// script is the file as its process is told: by its name in the folder it runs
// in, unless it lies elsewhere.
func (f File) script() string {
	if filepath.Dir(f.Path) != f.Folder {
		return f.Path
	}
	return filepath.Base(f.Path)
}

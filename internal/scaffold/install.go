package scaffold

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
)

// site is the place where a new folder comes to be. Everything is rendered in a staging
// folder beside it, on the same disk, so that putting it in place is one rename; with
// an existing folder it is one rename per file, each of which undo can take back.
type site struct {
	output  string   // the folder that receives the new one
	name    string   // the new folder, relative to output
	staging string   // relative to output
	root    *os.Root // output
	merge   bool     // the folder exists and is written into
	made    []string // folders that were created, outermost first, relative to output
	backups map[string]string
	placed  []string // files that were put in place, relative to the new folder
}

// openSite prepares output for a new folder called name.
func openSite(output, name string, force bool) (*site, error) {
	made, err := makeAll(output)
	if err != nil {
		return nil, fmt.Errorf("creating %s: %w", output, err)
	}
	s := &site{output: output, name: filepath.ToSlash(name), backups: map[string]string{}}
	removeMade := func() {
		for _, folder := range slices.Backward(made) {
			_ = os.Remove(folder) // fails where something else has come into it
		}
	}
	info, err := os.Lstat(filepath.Join(output, name))
	switch {
	case err == nil && !force:
		err = fmt.Errorf("%s exists: choose another name, or pass --force to write over its files", filepath.Join(output, name))
	case err == nil && !info.IsDir():
		err = fmt.Errorf("%s exists and is no folder", filepath.Join(output, name))
	case err == nil:
		s.merge = true
	case errors.Is(err, fs.ErrNotExist):
		err = nil
	}
	if err != nil {
		removeMade()
		return nil, err
	}
	if s.root, err = os.OpenRoot(output); err != nil {
		removeMade()
		return nil, fmt.Errorf("opening %s: %w", output, err)
	}
	staging, err := os.MkdirTemp(output, ".orion-new-")
	if err == nil {
		s.staging = filepath.Base(staging)
		// The last part of the name is kept, for hooks that look at where they are.
		err = s.root.MkdirAll(path.Join(s.staging, "new", path.Base(s.name)), 0o777)
	}
	if err != nil {
		s.close()
		removeMade()
		return nil, fmt.Errorf("preparing a folder in %s: %w", output, err)
	}
	s.made = made
	return s, nil
}

// makeAll is os.MkdirAll that tells which folders it had to create.
func makeAll(dir string) ([]string, error) {
	var missing []string
	for at := dir; ; at = filepath.Dir(at) {
		if _, err := os.Stat(at); err == nil || !errors.Is(err, fs.ErrNotExist) {
			break
		}
		missing = append(missing, at)
	}
	slices.Reverse(missing)
	return missing, os.MkdirAll(dir, 0o777)
}

func (s *site) stagedName() string { return path.Join(s.staging, "new", path.Base(s.name)) }

// staged is the folder to render into.
func (s *site) staged() string { return filepath.Join(s.output, filepath.FromSlash(s.stagedName())) }

// final is the folder as the user will know it.
func (s *site) final() string { return filepath.Join(s.output, filepath.FromSlash(s.name)) }

// close removes the staging folder, and the folders around it where nothing was placed.
func (s *site) close() {
	if s.root == nil {
		return
	}
	if s.staging != "" {
		_ = s.root.RemoveAll(s.staging) // at worst a hidden folder stays behind
	}
	s.root.Close()
	if len(s.placed) == 0 && !exists(s.final()) {
		for _, folder := range slices.Backward(s.made) {
			_ = os.Remove(folder) // fails where something else has come into it
		}
	}
}

func exists(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}

// install moves what was rendered into its place.
func (s *site) install() error {
	if s.merge {
		return s.installFiles()
	}
	if parent := path.Dir(s.name); parent != "." {
		made, err := makeAll(filepath.Join(s.output, filepath.FromSlash(parent)))
		s.made = append(s.made, made...)
		if err != nil {
			return fmt.Errorf("creating %s: %w", parent, err)
		}
	}
	if err := s.root.Rename(s.stagedName(), s.name); err != nil {
		return fmt.Errorf("moving the new folder into place: %w", err)
	}
	return nil
}

func (s *site) installFiles() error {
	staged := s.stagedName()
	return fs.WalkDir(s.root.FS(), staged, func(at string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative := "." + at[len(staged):]
		target := path.Join(s.name, relative)
		if entry.IsDir() {
			made, err := makeAll(filepath.Join(s.output, filepath.FromSlash(target)))
			s.made = append(s.made, made...)
			return err
		}
		info, err := s.root.Lstat(target)
		switch {
		case err == nil && info.IsDir():
			return fmt.Errorf("%s is a folder, the template has a file of that name", target)
		case err == nil:
			backup := path.Join(s.staging, fmt.Sprintf("old-%d", len(s.backups)))
			if err := s.root.Rename(target, backup); err != nil {
				return fmt.Errorf("setting %s aside: %w", target, err)
			}
			s.backups[target] = backup
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
		if err := s.root.Rename(at, target); err != nil {
			return fmt.Errorf("putting %s in place: %w", target, err)
		}
		s.placed = append(s.placed, path.Clean(relative))
		return nil
	})
}

// undo takes install back, whether it came to its end or not.
func (s *site) undo() error {
	var failures []error
	if !s.merge {
		failures = append(failures, s.root.RemoveAll(s.name))
	}
	for _, name := range s.placed {
		if err := s.root.Remove(path.Join(s.name, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			failures = append(failures, err)
		}
	}
	s.placed = nil
	for target, backup := range s.backups {
		failures = append(failures, s.root.Rename(backup, target))
	}
	for _, folder := range slices.Backward(s.made) {
		if folder != s.output {
			_ = os.Remove(folder) // a hook may have left something there
		}
	}
	if err := errors.Join(failures...); err != nil {
		return fmt.Errorf("tidying up %s: %w", s.final(), err)
	}
	return nil
}

// written lists the files of the new folder, after the hooks; into an existing folder
// only those that were put there.
func (s *site) written() ([]string, error) {
	var files []string
	if s.merge {
		for _, name := range s.placed {
			if exists(filepath.Join(s.final(), filepath.FromSlash(name))) {
				files = append(files, name)
			}
		}
		slices.Sort(files)
		return files, nil
	}
	err := fs.WalkDir(os.DirFS(s.final()), ".", func(at string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && entry.Name() == ".git" {
			return fs.SkipDir // a hook has made a repository: its inside is no news
		}
		if !entry.IsDir() {
			files = append(files, at)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("listing %s: %w", s.final(), err)
	}
	return files, nil
}

package deploy

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
)

// quiet is how long nothing may change before changes are reported: editors and
// git write a file in several steps, and several files at once.
const quiet = 150 * time.Millisecond

// patience is how long reports wait for such a pause: a file that is written all
// the time must not keep the others from being noticed.
const patience = time.Second

// droppings are files that editors and Python leave beside the one that changed.
var droppings = regexp.MustCompile(`(~|\.sw[a-z]|\.pyc|\.tmp|___jb_(tmp|old)___)$|^(\.#.*|#.*#|4913|\.DS_Store)$`)

// Watch calls changed with the files below root that were written, made,
// renamed or removed, in order and without repetition, each time the changes
// pause. Hidden and ignored files' folders, virtual environments and the like
// are not watched; see Discover. Calls do not overlap; what changes during one
// is reported by the next. When the system loses track, root itself is reported.
//
// It returns when ctx ends, after the call under way, with ctx's error.
func Watch(ctx context.Context, root string, changed func(paths []string)) error {
	root, err := filepath.Abs(root)
	if err != nil {
		return err
	}
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		return watchError(root, err)
	}
	defer notify.Close()
	w := &watcher{notify: notify, root: root, above: ignoreAbove(root), changes: map[string]bool{}}
	if err := w.add(root, false); err != nil {
		return watchError(root, err)
	}

	var reported chan struct{} // closed when the call under way returns; nil without one
	var pause <-chan time.Time
	var since time.Time // of the oldest change that is not reported
	changedNow := func() {
		if len(w.changes) == 0 {
			return
		}
		if pause == nil {
			since = time.Now()
		}
		pause = time.After(min(quiet, time.Until(since.Add(patience))))
	}
	report := func() {
		if reported != nil || len(w.changes) == 0 {
			return
		}
		paths := slices.Sorted(maps.Keys(w.changes))
		clear(w.changes)
		done := make(chan struct{})
		reported = done
		go func() { defer close(done); changed(paths) }()
	}
	defer func() {
		if reported != nil {
			<-reported
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case event := <-notify.Events:
			if err := w.event(event); err != nil {
				return watchError(root, err)
			}
			changedNow()
		case err := <-notify.Errors:
			if !errors.Is(err, fsnotify.ErrEventOverflow) {
				return watchError(root, err)
			}
			// New folders may be among what was lost.
			if err := w.add(root, false); err != nil {
				return watchError(root, err)
			}
			w.changes[root] = true
			changedNow()
		case <-pause:
			pause = nil
			report()
		case <-reported:
			reported = nil
			if pause == nil {
				report()
			}
		}
	}
}

type watcher struct {
	notify  *fsnotify.Watcher
	root    string
	above   ignoreRules
	changes map[string]bool
}

// event takes note of one change.
func (w *watcher) event(e fsnotify.Event) error {
	if !e.Has(fsnotify.Create | fsnotify.Write | fsnotify.Remove | fsnotify.Rename) {
		return nil // a mode or a time
	}
	info, err := os.Lstat(e.Name)
	folder := err == nil && info.IsDir()
	if e.Name != w.root && w.hidden(e.Name, folder) {
		return nil
	}
	if !folder {
		w.changes[e.Name] = true
		return nil
	}
	if e.Has(fsnotify.Create) {
		// What was put into it before we looked has given no event.
		return w.add(e.Name, true)
	}
	return nil
}

// add watches folder and those below it, and notes their files as changed when
// they are new.
func (w *watcher) add(folder string, isNew bool) error {
	return filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) && path != w.root {
			return nil // gone again, or none of ours
		}
		if err != nil {
			return err
		}
		if !entry.IsDir() {
			if isNew && !w.hidden(path, false) {
				w.changes[path] = true
			}
			return nil
		}
		if path != w.root && w.hidden(path, true) {
			return fs.SkipDir
		}
		err = w.notify.Add(path)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) && path != w.root {
			return nil
		}
		return err
	})
}

// hidden tells whether a change of path is nobody's concern. The rules are read
// each time: ignore files change, too, and changes are rare.
func (w *watcher) hidden(path string, folder bool) bool {
	if droppings.MatchString(filepath.Base(path)) || folder && neverSearched(path) {
		return true
	}
	rules := w.above.with(w.root)
	var between []string
	for dir := filepath.Dir(path); dir != w.root && dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		between = append(between, dir)
	}
	for _, dir := range slices.Backward(between) {
		if rules.ignores(dir, true) {
			return true
		}
		rules = rules.with(dir)
	}
	return rules.ignores(path, folder)
}

func watchError(root string, err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EMFILE) {
		return fmt.Errorf("%s has more folders than the system lets one user watch: raise fs.inotify.max_user_watches and max_user_instances", root)
	}
	return fmt.Errorf("watching %s: %w", root, err)
}

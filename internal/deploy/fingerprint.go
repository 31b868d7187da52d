package deploy

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
)

// Fingerprint is a hash over inputs as they are now: the files below root, the
// folders' names, the variables in env. Two that are equal mean that a file
// would find the same again. Inputs that are not complete have none: "".
func (in Inputs) Fingerprint(root string, env []string, h *Hashes) (string, error) {
	if !in.Complete {
		return "", nil
	}
	sum := sha256.New()
	fmt.Fprintf(sum, "orion inputs 1\npython %s\nprefect %s\n", in.Python, in.Prefect)
	for _, name := range slices.Concat(in.Files, in.Absent) {
		content, err := h.Of(filepath.Join(root, filepath.FromSlash(name)))
		if err != nil {
			return "", fmt.Errorf("reading an input of a deployment file: %w", err)
		}
		fmt.Fprintf(sum, "file %q %s\n", name, content)
	}
	for _, name := range in.Folders {
		if err := hashNames(sum, root, name); err != nil {
			return "", err
		}
	}
	names := slices.Collect(maps.Keys(in.Env))
	for _, line := range env {
		// Prefect's own settings decide what it makes of a file.
		if name, _, _ := strings.Cut(line, "="); strings.HasPrefix(name, "PREFECT_") && !setAnew[name] {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		fmt.Fprintf(sum, "variable %q %s\n", name, valueDigest(env, name))
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// setAnew are variables that say where a deploy goes, not what it is.
var setAnew = map[string]bool{"PREFECT_API_URL": true, "PREFECT_API_KEY": true, "PREFECT_HOME": true}

func valueDigest(env []string, name string) string {
	if !slices.ContainsFunc(env, func(line string) bool { return strings.HasPrefix(line, name+"=") }) {
		return ""
	}
	sum := sha256.Sum256([]byte(lookup(env, name)))
	return hex.EncodeToString(sum[:])
}

// hashNames adds what a folder holds, without what Python and editors leave.
func hashNames(to io.Writer, root, folder string) error {
	entries, err := os.ReadDir(filepath.Join(root, filepath.FromSlash(folder)))
	if errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintf(to, "no folder %q\n", folder)
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading an input of a deployment file: %w", err)
	}
	for _, entry := range entries {
		if name := entry.Name(); name != "__pycache__" && !droppings.MatchString(name) {
			fmt.Fprintf(to, "name %q %q %v\n", folder, name, entry.IsDir())
		}
	}
	return nil
}

// Fingerprints is Fingerprint for many files' inputs, side by side.
func Fingerprints(root string, all []Inputs, env []string, h *Hashes) ([]string, error) {
	prints := make([]string, len(all))
	errs := make([]error, len(all))
	next := make(chan int)
	var workers sync.WaitGroup
	for range min(2*runtime.NumCPU(), len(all)) {
		workers.Go(func() {
			for i := range next {
				prints[i], errs[i] = all[i].Fingerprint(root, env, h)
			}
		})
	}
	for i := range all {
		next <- i
	}
	close(next)
	workers.Wait()
	return prints, errors.Join(errs...)
}

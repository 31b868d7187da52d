package agent

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/orionflows/orion"
)

// code finds the folder with the flow's code, so that its requirements can be
// read, and fetches it into dir where it is not on this machine's disk as it
// is. The flow engine itself looks after the rest: it copies or clones what
// the deployment names when it starts.
func (e *execution) code(d *orion.Deployment, dir string) (string, error) {
	if !orion.IsNull(d.PullSteps) {
		return pulled(d.PullSteps), nil
	}
	path := ""
	if d.Path != nil {
		path = *d.Path
	}
	if d.StorageDocumentID.IsZero() {
		if path == "" {
			return "", nil
		}
		if info, err := os.Stat(path); err != nil || !info.IsDir() {
			return "", fmt.Errorf("the deployment's folder %s is not on this machine: deploy from here, or give the deployment a storage block", path)
		}
		return path, nil
	}
	b, err := e.a.c.BlockDocument(e.ctx, d.StorageDocumentID, true)
	if err != nil {
		return "", fmt.Errorf("its storage block cannot be read: %w", err)
	}
	var data struct {
		Basepath string `json:"basepath"`
	}
	if err := orion.Decode(orion.ObjectOr(b.Data), &data); err != nil {
		return "", fmt.Errorf("its storage block cannot be understood: %w", err)
	}
	slug := ""
	if b.BlockType != nil {
		slug = b.BlockType.Slug
	}
	base := ""
	switch slug {
	case "local-file-system":
		base = data.Basepath
	case "remote-file-system":
		scheme, rest, _ := strings.Cut(data.Basepath, "://")
		if scheme != "file" && scheme != "local" {
			return "", nil // the engine fetches it, with the base environment
		}
		base = rest
	default:
		return "", nil
	}
	src := join(base, path)
	if info, err := os.Stat(src); err != nil || !info.IsDir() {
		return "", fmt.Errorf("the code is not at %s, where the storage block %q says it is", src, name(b))
	}
	if err := copyTree(src, dir); err != nil {
		return "", fmt.Errorf("the code could not be fetched from %s: %w", src, err)
	}
	return dir, nil
}

// flowFolder is where the flow's own file lies below the code: its
// requirements are beside it.
func flowFolder(code string, entrypoint *string) string {
	if code == "" || entrypoint == nil {
		return code
	}
	file, _, _ := strings.Cut(*entrypoint, ":")
	if filepath.IsAbs(file) || !strings.HasSuffix(file, ".py") {
		return code
	}
	dir := filepath.Join(code, filepath.Dir(file))
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return code
	}
	return dir
}

func name(b *orion.BlockDocument) string {
	if b.Name == nil {
		return b.ID.String()
	}
	return *b.Name
}

// join is the path below a storage block's own; one that lies in it already
// stays as it is.
func join(base, path string) string {
	if strings.HasPrefix(base, "~/") {
		if h, err := os.UserHomeDir(); err == nil {
			base = filepath.Join(h, base[2:])
		}
	}
	if filepath.IsAbs(path) && (base == "" || strings.HasPrefix(path, base)) {
		return path
	}
	return filepath.Join(base, path)
}

// pulled is the folder a pull step works in, when it is one on this machine.
func pulled(steps orion.JSON) string {
	var list []map[string]struct {
		Directory string `json:"directory"`
	}
	if orion.Decode(steps, &list) != nil {
		return ""
	}
	for _, s := range list {
		for k, v := range s {
			if strings.HasSuffix(k, "set_working_directory") {
				if info, err := os.Stat(v.Directory); err == nil && info.IsDir() {
					return v.Directory
				}
			}
		}
	}
	return ""
}

// copyTree copies files and folders; links are kept as links when they stay
// inside.
func copyTree(src, dst string) error {
	return filepath.WalkDir(src, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(src, p)
		if err != nil {
			return err
		}
		to := filepath.Join(dst, rel)
		switch {
		case d.IsDir():
			return os.MkdirAll(to, 0o755)
		case d.Type()&fs.ModeSymlink != 0:
			target, err := os.Readlink(p)
			if err != nil || filepath.IsAbs(target) || strings.HasPrefix(filepath.Clean(filepath.Join(filepath.Dir(rel), target)), "..") {
				return err
			}
			return os.Symlink(target, to)
		case !d.Type().IsRegular():
			return nil
		}
		b, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		return os.WriteFile(to, b, info.Mode().Perm())
	})
}

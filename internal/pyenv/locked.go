package pyenv

import (
	"bufio"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Locked are the distributions that an environment holds, as name==version,
// ordered by name.
func Locked(env Environment) ([]string, error) {
	top := filepath.Dir(filepath.Dir(env.Python))
	var folders []string
	for _, pattern := range []string{"lib/python3*/site-packages", "lib64/python3*/site-packages", "Lib/site-packages"} {
		found, err := filepath.Glob(filepath.Join(top, filepath.FromSlash(pattern)))
		if err != nil {
			return nil, err
		}
		folders = append(folders, found...)
	}
	if len(folders) == 0 {
		return nil, errors.New(env.Python + " is in no environment whose packages can be listed")
	}
	return locked(folders)
}

// locked reads the names and versions that installers leave in site-packages.
func locked(folders []string) ([]string, error) {
	found := map[string]string{} // by name
	for _, folder := range folders {
		entries, err := os.ReadDir(folder)
		if err != nil {
			return nil, err
		}
		for _, entry := range entries {
			var file string
			switch {
			case strings.HasSuffix(entry.Name(), ".dist-info"):
				file = "METADATA"
			case strings.HasSuffix(entry.Name(), ".egg-info"):
				file = "PKG-INFO"
			default:
				continue
			}
			name, version := metadata(filepath.Join(folder, entry.Name(), file))
			if name == "" { // a half-removed one, which Python passes over, too
				continue
			}
			name = strings.ToLower(dashes.ReplaceAllString(name, "-"))
			if _, ok := found[name]; !ok {
				found[name] = name + "==" + version
			}
		}
	}
	lines := make([]string, 0, len(found))
	for _, line := range found {
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return lines, nil
}

// metadata reads the head of a distribution's description.
func metadata(path string) (name, version string) {
	f, err := os.Open(path)
	if err != nil {
		return "", ""
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan() && lines.Text() != ""; {
		key, value, _ := strings.Cut(lines.Text(), ":")
		switch strings.ToLower(key) {
		case "name":
			name = strings.TrimSpace(value)
		case "version":
			version = strings.TrimSpace(value)
		}
		if name != "" && version != "" {
			break
		}
	}
	return name, version
}

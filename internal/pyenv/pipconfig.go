package pyenv

import (
	"os"
	"path/filepath"
	"strings"
)

// fromPip tells uv what the user has told pip: where packages come from. uv
// reads none of pip's configuration, and a company's mirror usually stands
// only there. It says nothing when uv has been told something of its own.
func (m *Manager) fromPip() []string {
	for _, name := range []string{"UV_INDEX", "UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_NO_INDEX", "UV_OFFLINE"} {
		if m.getenv(name) != "" {
			return nil
		}
	}
	home := m.configHome()
	for _, path := range []string{m.getenv("UV_CONFIG_FILE"), filepath.Join(home, "uv", "uv.toml"), "/etc/uv/uv.toml"} {
		text, err := os.ReadFile(path)
		if err == nil && (strings.Contains(string(text), "index") || strings.Contains(string(text), "find-links")) {
			return nil
		}
	}
	pip := m.pipSettings()
	var env []string
	for _, pair := range [][2]string{
		{"index-url", "UV_DEFAULT_INDEX"}, {"extra-index-url", "UV_INDEX"},
		{"trusted-host", "UV_INSECURE_HOST"}, {"cert", "SSL_CERT_FILE"},
	} {
		if value := pip[pair[0]]; value != "" {
			env = append(env, pair[1]+"="+strings.Join(strings.Fields(value), " "))
		}
	}
	if on := strings.ToLower(pip["no-index"]); on == "1" || on == "true" || on == "yes" || on == "on" {
		env = append(env, "UV_NO_INDEX=1")
	}
	var links []string
	for _, link := range strings.Fields(pip["find-links"]) {
		// pip passes over a folder that is not there; uv stops.
		if _, err := os.Stat(link); err == nil || strings.Contains(link, "://") {
			links = append(links, link)
		}
	}
	if links != nil {
		env = append(env, "UV_FIND_LINKS="+strings.Join(links, ","))
	}
	return env
}

// pipSettings reads pip's files in pip's order, then its variables.
func (m *Manager) pipSettings() map[string]string {
	settings := map[string]string{}
	files := []string{
		"/etc/xdg/pip/pip.conf", "/etc/pip.conf",
		filepath.Join(m.getenv("HOME"), ".pip", "pip.conf"),
		filepath.Join(m.configHome(), "pip", "pip.conf"),
	}
	if file := m.getenv("PIP_CONFIG_FILE"); file == os.DevNull {
		files = nil // pip's own way to say: none
	} else if file != "" {
		files = append(files, file)
	}
	for _, section := range []string{"global", "install"} {
		for _, file := range files {
			if text, err := os.ReadFile(file); err == nil {
				readINI(string(text), section, settings)
			}
		}
	}
	for _, name := range []string{"index-url", "extra-index-url", "trusted-host", "cert", "no-index", "find-links"} {
		variable := "PIP_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
		if value := m.getenv(variable); value != "" {
			settings[name] = value
		}
	}
	return settings
}

// readINI adds one section's values; an indented line goes on with the last.
func readINI(text, section string, to map[string]string) {
	in, last := false, ""
	for line := range strings.SplitSeq(text, "\n") {
		trimmed := strings.TrimSpace(line)
		switch {
		case trimmed == "" || strings.HasPrefix(trimmed, "#") || strings.HasPrefix(trimmed, ";"):
		case strings.HasPrefix(trimmed, "["):
			in, last = trimmed == "["+section+"]", ""
		case !in:
		case last != "" && line != strings.TrimLeft(line, " \t"):
			to[last] += " " + trimmed
		default:
			end := strings.IndexAny(trimmed, "=:")
			if end < 0 {
				continue
			}
			last = strings.ReplaceAll(strings.ToLower(strings.TrimSpace(trimmed[:end])), "_", "-")
			to[last] = strings.TrimSpace(trimmed[end+1:])
		}
	}
}

func (m *Manager) configHome() string {
	if dir := m.getenv("XDG_CONFIG_HOME"); dir != "" {
		return dir
	}
	return filepath.Join(m.getenv("HOME"), ".config")
}

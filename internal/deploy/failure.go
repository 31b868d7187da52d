package deploy

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/orionflows/orion/internal/pyenv"
)

// FileError says how a deployment file failed.
type FileError struct {
	File     File
	ExitCode int
	Cause    string // one line: the exception, where there was one
	Lines    string // the end of the output
}

func (e *FileError) Error() string {
	how := fmt.Sprintf("ended with exit code %d", e.ExitCode)
	if e.ExitCode < 0 {
		how = fmt.Sprintf("was ended by signal %d", -e.ExitCode)
	}
	if e.Lines == "" {
		return fmt.Sprintf("%s %s and said nothing", e.File.Rel, how)
	}
	return fmt.Sprintf("%s %s:\n%s", e.File.Rel, how, e.Lines)
}

var escape = regexp.MustCompile(`\x1b\[[0-9;?]*[A-Za-z]`)

func explain(file File, code int, output []byte) *FileError {
	e := &FileError{File: file, ExitCode: code, Lines: lastLines(output, 8)}
	text := escape.ReplaceAllString(string(output), "")
	// Of chained exceptions the last is the one that got out. What follows its
	// indented frames is its name and message.
	if at := strings.LastIndex(text, "Traceback (most recent call last):\n"); at >= 0 {
		_, frames, _ := strings.Cut(text[at:], "\n")
		for line := range strings.SplitSeq(frames, "\n") {
			if line != "" && line[0] != ' ' && line[0] != '\t' {
				e.Cause = strings.TrimSpace(line)
				return e
			}
		}
	}
	e.Cause = strings.TrimSpace(lastLines(output, 1))
	return e
}

// lastLines returns the last n lines that are not blank, without colours.
func lastLines(output []byte, n int) string {
	var lines []string
	for line := range strings.SplitSeq(escape.ReplaceAllString(string(output), ""), "\n") {
		if line = strings.TrimRight(line, " \r\t"); line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

var noModule = regexp.MustCompile(`^ModuleNotFoundError: No module named '([^'.]+)`)

// Prefect's words for Block.load of what is not there (blocks/core.py).
var noBlock = regexp.MustCompile(`Unable to find block document named (\S+) for block type (\S+)`)

// packageOf is the package that brings a module, where the names differ and
// flows often want it.
var packageOf = map[string]string{
	"bs4": "beautifulsoup4", "cv2": "opencv-python-headless", "dateutil": "python-dateutil",
	"dotenv": "python-dotenv", "jwt": "PyJWT", "OpenSSL": "pyOpenSSL", "PIL": "Pillow",
	"psycopg2": "psycopg2-binary", "skimage": "scikit-image", "sklearn": "scikit-learn",
	"yaml": "PyYAML", "MySQLdb": "mysqlclient", "google": "google-cloud-storage", "azure": "azure-identity",
	"snowflake": "snowflake-connector-python", "kafka": "kafka-python", "zmq": "pyzmq",
	"prefect_azure": "prefect-azure", "prefect_aws": "prefect-aws", "prefect_gcp": "prefect-gcp",
}

// hint says what to do about a failure, or "" where nothing better is known
// than what the failure itself says.
func hint(e *FileError, env pyenv.Environment, vars []string) string {
	if match := noModule.FindStringSubmatch(e.Cause); match != nil {
		return moduleHint(match[1], e.File, env)
	}
	for _, sign := range []string{"ConnectError", "ConnectionRefusedError", "ConnectTimeout"} {
		if strings.Contains(e.Cause, sign) {
			if url := lookup(vars, "PREFECT_API_URL"); url != "" {
				return "check that a server answers at " + url + " (PREFECT_API_URL)"
			}
		}
	}
	if match := noBlock.FindStringSubmatch(e.Cause); match != nil {
		return fmt.Sprintf("the server has no block %s/%s: make it first, or correct the name", match[2], match[1])
	}
	if e.ExitCode == -9 { // SIGKILL
		return "if it did not do so itself, the machine ran out of memory: run fewer files at once with --parallel"
	}
	if strings.Contains(e.Cause, "401") && strings.Contains(e.Cause, "Unauthorized") {
		return "check PREFECT_API_KEY"
	}
	return ""
}

func moduleHint(module string, file File, env pyenv.Environment) string {
	root := file.root()
	show := func(path string) string {
		if rel, err := filepath.Rel(root, path); err == nil && !strings.HasPrefix(rel, "..") {
			return filepath.ToSlash(rel)
		}
		return path
	}
	// A module of the repository itself is not a package to install.
	for dir := file.Folder; ; dir = filepath.Dir(dir) {
		for _, path := range []string{filepath.Join(dir, module), filepath.Join(dir, module+".py")} {
			if _, err := os.Stat(path); err == nil && dir != file.Folder {
				return fmt.Sprintf("%s is there, but Python looks only in the file's own folder: put %s on PYTHONPATH", show(path), dir)
			}
		}
		if dir == root || dir == filepath.Dir(dir) {
			break
		}
	}
	name := module
	if known := packageOf[module]; known != "" {
		name = known
	}
	to := env.Requirements
	if to == "" {
		to = filepath.Join(file.Folder, "requirements.txt")
	}
	return fmt.Sprintf("add %s to %s, then save", name, show(to))
}

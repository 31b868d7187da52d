package orion_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// The import table is the one of ARCHITECTURE.md: this test reads it there, so
// that the page and the code cannot say different things.

type pkg struct {
	ImportPath string
	Doc        string
	Imports    []string
	GoFiles    []string
}

const module = "github.com/orionflows/orion"

func packages(t *testing.T) []pkg {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Doc,Imports,GoFiles", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var ps []pkg
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var p pkg
		if err := d.Decode(&p); err != nil {
			t.Fatal(err)
		}
		ps = append(ps, p)
	}
	return ps
}

func short(path string) string {
	switch s := strings.TrimPrefix(strings.TrimPrefix(path, module), "/"); s {
	case "":
		return "orion"
	default:
		return strings.TrimPrefix(s, "internal/")
	}
}

func TestImportsAreThoseOfTheArchitecture(t *testing.T) {
	page, err := os.ReadFile("ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	may := map[string][]string{}
	for _, line := range strings.Split(string(page), "\n") {
		cells := strings.Split(line, "|")
		if len(cells) != 4 || !strings.Contains(cells[1], "`") {
			continue
		}
		allowed := quoted(cells[2])
		if strings.Contains(cells[2], "everything") {
			allowed = []string{"*"}
		}
		for _, name := range quoted(cells[1]) {
			may[name] = allowed
		}
	}
	for _, p := range packages(t) {
		name := short(p.ImportPath)
		if len(p.GoFiles) == 0 || strings.HasPrefix(name, "test") || strings.HasPrefix(name, "bench") || strings.HasPrefix(name, "cmd/") || strings.Contains(name, "/gen") {
			continue // programs and proofs may use what they like
		}
		allowed, known := may[name]
		if !known {
			t.Errorf("%s has no row in the import table of ARCHITECTURE.md: say there what it may import", name)
			continue
		}
		if slices.Contains(allowed, "*") {
			continue
		}
		for _, i := range p.Imports {
			if i != module && !strings.HasPrefix(i, module+"/") {
				continue
			}
			if to := short(i); !slices.Contains(allowed, to) {
				t.Errorf("%s imports %s, which ARCHITECTURE.md does not allow: arrows point down, so that a part can be read without what is above it", name, to)
			}
		}
	}
}

func quoted(s string) (out []string) {
	for i, part := range strings.Split(s, "`") {
		if i%2 == 1 {
			out = append(out, part)
		}
	}
	return out
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	for _, p := range packages(t) {
		if len(p.GoFiles) > 0 && strings.TrimSpace(p.Doc) == "" {
			t.Errorf("%s has no package comment: say what it is for, what it is not for, and where to start reading", p.ImportPath)
		}
	}
}

package block_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/internal/block"
)

func TestBuiltIn(t *testing.T) {
	t.Parallel()
	all, err := block.BuiltIn()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 69 {
		t.Errorf("%d types, Prefect 2.20 has 69", len(all))
	}
	bySlug := map[string]orion.BlockSchema{}
	var protected []string
	for _, s := range all {
		bySlug[s.BlockType.Slug] = s
		if s.BlockType.IsProtected {
			protected = append(protected, s.BlockType.Slug)
		}
		if d := *s.BlockType.Description; d == "" || !strings.HasSuffix(d, ".") || len(d) > 120 {
			t.Errorf("%s: the description %q is not a short sentence", s.BlockType.Slug, d)
		}
		if !strings.HasPrefix(s.Checksum, "sha256:") || len(s.Checksum) != len("sha256:")+64 {
			t.Errorf("%s: checksum %q", s.BlockType.Slug, s.Checksum)
		}
	}
	if want := []string{"date-time", "json", "local-file-system", "process", "secret", "webhook"}; !slices.Equal(protected, want) {
		t.Errorf("protected are %v, want %v", protected, want)
	}
	for slug, sum := range map[string]string{
		"secret":            "sha256:e6b26e0a0240eb112e604608338f863e5ca2f137936e310014bfa2139d0a9b6c",
		"local-file-system": "sha256:6db1ab242e7b2b88a52dc137a7da3a373af63e0a103b9a91e060ed54a26f395a",
	} {
		if bySlug[slug].Checksum != sum {
			t.Errorf("%s has checksum %s; the 2.20 client asks for %s", slug, bySlug[slug].Checksum, sum)
		}
	}
	for slug, s := range bySlug {
		var f struct {
			Slug       string                `json:"block_type_slug"`
			Properties map[string]orion.JSON `json:"properties"`
			References map[string]orion.JSON `json:"block_schema_references"`
		}
		if err := orion.Decode(s.Fields, &f); err != nil {
			t.Fatalf("%s: %v", slug, err)
		}
		if f.Slug != slug {
			t.Errorf("the fields of %s are those of %q", slug, f.Slug)
		}
		for field, ref := range f.References {
			if f.Properties[field] == nil {
				t.Errorf("%s refers to a block in %q, which is no field", slug, field)
			}
			for _, r := range references(t, ref) {
				if _, ok := bySlug[r]; !ok {
					t.Errorf("%s.%s refers to the unknown type %q", slug, field, r)
				}
			}
		}
	}
	if block.Digest() != block.Digest() || len(block.Digest()) != 32 {
		t.Error("the digest is not one name for one content")
	}
}

func references(t *testing.T, ref orion.JSON) (slugs []string) {
	type one struct {
		Slug string `json:"block_type_slug"`
	}
	many := make([]one, 1)
	var err error
	if ref.Kind() == '[' {
		err = orion.Decode(ref, &many)
	} else {
		err = orion.Decode(ref, &many[0])
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range many {
		slugs = append(slugs, m.Slug)
	}
	return slugs
}

func TestWorkerTypes(t *testing.T) {
	t.Parallel()
	var view map[string]map[string]struct {
		Type        string `json:"type"`
		Description string `json:"description"`
		Template    struct {
			Job       orion.JSON `json:"job_configuration"`
			Variables struct {
				Properties map[string]orion.JSON `json:"properties"`
			} `json:"variables"`
		} `json:"default_base_job_configuration"`
	}
	if err := orion.Decode(block.WorkerTypes(), &view); err != nil {
		t.Fatal(err)
	}
	var types []string
	for _, c := range view {
		for name, w := range c {
			types = append(types, name)
			if w.Type != name || w.Description == "" {
				t.Errorf("%s: type %q, description %q", name, w.Type, w.Description)
			}
			for field := range w.Template.Variables.Properties {
				if !strings.Contains(string(w.Template.Job), "{{ "+field+" }}") {
					t.Errorf("%s: the variable %s is used nowhere", name, field)
				}
			}
		}
	}
	slices.Sort(types)
	want := []string{"azure-container-instance", "cloud-run", "cloud-run-v2", "docker", "ecs", "kubernetes", "prefect-agent", "process", "vertex-ai"}
	if !slices.Equal(types, want) {
		t.Errorf("types %v, want %v", types, want)
	}
}

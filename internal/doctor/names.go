package doctor

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/client"
	"github.com/orionflows/orion/internal/overlay"
	"github.com/orionflows/orion/internal/plan"
)

// blocks are those that deployments refer to, and those within them.
func (x *examination) blocks(context.Context) error {
	for i := range x.all {
		d := &x.all[i]
		for _, b := range []struct {
			what string
			id   orion.ID
			use  *overlay.BlockUse
		}{{"storage", d.StorageDocumentID, d.Storage}, {"infrastructure", d.InfrastructureDocumentID, d.Infrastructure}} {
			if !b.id.IsZero() && b.use == nil {
				x.find(Error, d.File, "Save the block again, or let the deployment name another; then deploy.", "the %s block of %q does not exist any more", b.what, d.FullName)
				continue
			}
			for _, field := range lacks(b.use) {
				x.find(Error, d.File, fmt.Sprintf("Save the block that belongs there, and %s/%s with it.", b.use.Type, b.use.Name),
					"the %s block %s/%s of %q has no %s: the block that was there was deleted", b.what, b.use.Type, b.use.Name, d.FullName, field)
			}
		}
	}
	return nil
}

// lacks are the fields of a block that must be there and are not: the server
// leaves out a block within it that was deleted.
func lacks(u *overlay.BlockUse) (out []string) {
	if u == nil {
		return nil
	}
	var schema struct {
		Fields struct {
			Required []string `json:"required"`
		} `json:"fields"`
	}
	var data map[string]orion.JSON
	if orion.DecodeLoose(orion.ObjectOr(u.Schema), &schema) != nil || orion.Decode(orion.ObjectOr(u.Data.JSON()), &data) != nil {
		return nil // a type of block that describes itself in another way
	}
	for _, name := range schema.Fields.Required {
		if orion.IsNull(data[name]) {
			out = append(out, name)
		}
	}
	return out
}

var (
	blockTemplate    = regexp.MustCompile(`\{\{\s*prefect\.blocks\.([\w-]+)\.([\w-]+)[^{}]*\}\}`)
	variableTemplate = regexp.MustCompile(`\{\{\s*prefect\.variables\.([\w-]+)\s*\}\}`)
)

// templates are the blocks and variables that job variables and pull steps
// name; a worker puts their values in as it starts a run.
func (x *examination) templates(ctx context.Context) error {
	for i := range x.all {
		d := &x.all[i]
		text := string(d.JobVariables) + " " + string(d.PullSteps)
		for _, m := range blockTemplate.FindAllStringSubmatch(text, -1) {
			if err := x.block(ctx, Finding{Level: Error, File: d.File}, m[1], m[2], "job variables or pull steps of "+quote(d.FullName)); err != nil {
				return err
			}
		}
		for _, m := range variableTemplate.FindAllStringSubmatch(text, -1) {
			if err := x.variable(ctx, Finding{Level: Error, File: d.File}, m[1], "job variables or pull steps of "+quote(d.FullName)); err != nil {
				return err
			}
		}
	}
	return nil
}

func quote(s string) string { return fmt.Sprintf("%q", s) }

var (
	blockLoad   = regexp.MustCompile(`\b([A-Z]\w*)\.a?load\(\s*(?:name\s*=\s*)?["']([^"'{}]+)["']`)
	variableGet = regexp.MustCompile(`\b(?:Variable|variables)\.a?get\(\s*(?:name\s*=\s*)?["']([^"'{}]+)["']\s*(,?)`)
)

// sources are searched for blocks and variables that are loaded by a name in
// plain text. What is only looked for when a run comes that way may be missing
// for a reason, so that is a warning; a file that failed was looking for it.
func (x *examination) sources(ctx context.Context) error {
	seen := map[string]bool{}
	scan := func(level Level, name, file string, open func() (io.ReadCloser, error)) error {
		if seen[name] {
			return nil
		}
		seen[name] = true
		r, err := open()
		if err != nil {
			return nil // whoever needs it says so: the deploy, or the file itself
		}
		defer r.Close()
		return x.source(ctx, level, name, r)
	}
	file := func(level Level, rel string) error {
		return scan(level, rel, rel, func() (io.ReadCloser, error) {
			return os.Open(filepath.Join(x.p.Repository.Root, filepath.FromSlash(rel)))
		})
	}
	for _, f := range x.p.Failures {
		for rel := range strings.SplitSeq(f.File, ", ") {
			if err := file(Error, rel); err != nil {
				return err
			}
		}
	}
	for i := range x.all {
		d := &x.all[i]
		if err := file(Warning, d.File); err != nil {
			return err
		}
		if d.Code == nil {
			if err := x.beside(d, func(rel string) error { return file(Warning, rel) }); err != nil {
				return err
			}
			continue
		}
		for _, f := range d.Code.Files {
			if !strings.HasSuffix(f.Path, ".py") {
				continue
			}
			if err := scan(Warning, x.nameOf(d, f.Path), f.Path, func() (io.ReadCloser, error) { return d.Code.Open(f.Path) }); err != nil {
				return err
			}
		}
	}
	return nil
}

// nameOf is a bundle's file below the repository's root. Most bundles are the
// folder of their deployment file; a module from elsewhere keeps its name in
// the bundle.
func (x *examination) nameOf(d *plan.Declared, inBundle string) string {
	rel := path.Join(path.Dir(d.File), inBundle)
	if _, err := os.Stat(filepath.Join(x.p.Repository.Root, filepath.FromSlash(rel))); err == nil {
		return rel
	}
	return inBundle
}

// beside are the Python files of a deployment file's folder, for code that
// nothing packs.
func (x *examination) beside(d *plan.Declared, each func(rel string) error) error {
	folder := path.Dir(d.File)
	entries, err := os.ReadDir(filepath.Join(x.p.Repository.Root, filepath.FromSlash(folder)))
	if err != nil {
		return nil // it is gone; the plan has told
	}
	for _, e := range entries {
		if e.Type().IsRegular() && strings.HasSuffix(e.Name(), ".py") {
			if err := each(path.Join(folder, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

func (x *examination) source(ctx context.Context, level Level, file string, r io.Reader) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		text := lines.Text()
		if strings.HasPrefix(strings.TrimSpace(text), "#") {
			continue
		}
		at := Finding{Level: level, File: file, Line: n}
		for _, m := range blockLoad.FindAllStringSubmatch(text, -1) {
			slug, name, err := x.typeOf(ctx, m[1], m[2])
			if err != nil {
				return err
			}
			if slug == "" {
				continue // some other class that has a load
			}
			if err := x.block(ctx, at, slug, name, m[0]+")"); err != nil {
				return err
			}
		}
		for _, m := range variableGet.FindAllStringSubmatch(text, -1) {
			if m[2] != "" {
				continue // there is a default for when it is missing
			}
			if err := x.variable(ctx, at, m[1], m[0]+")"); err != nil {
				return err
			}
		}
	}
	return nil // a line too long is no source that people wrote
}

// typeOf is the block type that a class of Python's is, by what the server
// calls it: S3Bucket is s3-bucket.
func (x *examination) typeOf(ctx context.Context, class, name string) (slug, document string, err error) {
	if class == "Block" {
		slug, document, _ = strings.Cut(name, "/")
		return slug, document, nil
	}
	if x.types == nil {
		x.types = map[string]string{}
		for offset := 0; ; offset += 200 {
			var types []orion.BlockType
			if err := x.c.Do(ctx, "POST", "/block_types/filter", map[string]any{"limit": 200, "offset": offset}, &types); err != nil {
				return "", "", err
			}
			for _, t := range types {
				x.types[strings.ReplaceAll(t.Slug, "-", "")] = t.Slug
			}
			if len(types) < 200 {
				break
			}
		}
	}
	return x.types[strings.ToLower(class)], name, nil
}

// block looks for a block, once.
func (x *examination) block(ctx context.Context, at Finding, slug, name, who string) error {
	there, err := x.exists(ctx, overlay.Block, slug+"/"+name, client.Path("/block_types/slug/%s/block_documents/name/%s", slug, name))
	if err != nil || there {
		return err
	}
	at.What = fmt.Sprintf("there is no block %s/%s, which is named by %s", slug, name, who)
	at.Fix = fmt.Sprintf("Save a block of type %s under the name %q on the server, or correct the name.", slug, name)
	x.report.Findings = append(x.report.Findings, at)
	return nil
}

func (x *examination) variable(ctx context.Context, at Finding, name, who string) error {
	there, err := x.exists(ctx, overlay.Variable, name, client.Path("/variables/name/%s", name))
	if err != nil || there {
		return err
	}
	at.What = fmt.Sprintf("there is no variable %q, which is named by %s", name, who)
	at.Fix = fmt.Sprintf("Set it with: orion variable set %s VALUE", name)
	x.report.Findings = append(x.report.Findings, at)
	return nil
}

func (x *examination) exists(ctx context.Context, kind overlay.Kind, name, at string) (bool, error) {
	key := string(kind) + " " + name
	if x.made[key] {
		return true, nil
	}
	there, asked := x.names[key]
	if asked {
		return there, nil
	}
	var doc orion.JSON
	err := x.c.Do(ctx, "GET", at, nil, &doc)
	if err != nil && !missing(err) {
		return false, err
	}
	x.names[key] = err == nil
	return x.names[key], nil
}

// files are the distinct files of some deployments.
func files(ds []*plan.Declared) (out []string) {
	for _, d := range ds {
		if !slices.Contains(out, d.File) {
			out = append(out, d.File)
		}
	}
	return out
}

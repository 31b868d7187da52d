package plan

import (
	"context"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/internal/codestore"
	"github.com/orionflows/orion/internal/deploy"
	"github.com/orionflows/orion/internal/overlay"
)

func cores() int { return runtime.NumCPU() }

// packer packs the code of deployments, each folder once.
type packer struct {
	p        *Plan
	packed   map[string]*codestore.Bundle
	packings map[string]packing // by deployment
}

func newPacker(p *Plan) *packer {
	return &packer{p: p, packed: map[string]*codestore.Bundle{}, packings: map[string]packing{}}
}

// of packs a deployment's code: what its file would have uploaded, or, for one
// that runs from a folder of this machine, that folder, so that other machines
// can run it, too; and the requirements file that its environment came from.
// Nil where Orion keeps no code: an image or a repository has
// it.
func (b *packer) of(ctx context.Context, c *overlay.Claim, ran *deploy.Collected, requirements string) (*bundle, error) {
	root := b.p.o.Repository.Root
	out := &bundle{store: orion.InStorage, storage: c.Storage}
	folder, ignore, view := "", "", ""
	var err error
	upload := uploadOf(c, ran)
	switch {
	case upload != nil:
		folder = filepath.Join(upload.CWD, upload.LocalPath)
		if filepath.IsAbs(upload.LocalPath) {
			folder = upload.LocalPath
		}
		if upload.IgnoreFile != "" {
			ignore = filepath.Join(upload.CWD, upload.IgnoreFile)
			if filepath.IsAbs(upload.IgnoreFile) {
				ignore = upload.IgnoreFile
			}
		}
		view = upload.Path
		if upload.What == deploy.UploadStep {
			if out.storage, err = placeOfStep(upload); err != nil {
				return nil, err
			}
			out.step = true
		}
	case c.Storage == nil && b.p.o.Client.IsOrion() && runsFromFolder(c, ran):
		out.store, out.storage = orion.InServer, nil
		folder = *c.Create.Path.Ptr()
		ignore = filepath.Join(folder, ".prefectignore")
	default:
		b.packings[c.FullName()] = packing{}
		return nil, nil
	}
	rel, ok := below(root, folder)
	if !ok {
		return nil, orion.Errorf(orion.Invalid, "the code of %q is in %s, outside of the repository %s", c.FullName(), folder, root)
	}
	how := packing{Folder: rel, Extra: map[string]string{}}
	if at, ok := below(root, ignore); ok && ignore != "" {
		how.Ignore = at
	}
	for _, m := range ran.Inputs.Modules {
		if _, inside := below(folder, filepath.Join(root, filepath.FromSlash(m.File))); !inside {
			how.Extra[m.Bundle] = m.File
		}
	}
	if at, ok := below(root, requirements); ok && requirements != "" {
		// They may lie above the folder, and an agent looks for them in the code.
		if _, inside := below(folder, requirements); !inside {
			how.Extra[path.Base(at)] = at
		}
	}
	key := how.Folder + "\x00" + how.Ignore
	for _, at := range sortedKeys(how.Extra, nil) {
		key += "\x00" + at + "\x00" + how.Extra[at]
	}
	packed := b.packed[key]
	if packed == nil {
		if packed, err = how.pack(ctx, root); err != nil {
			return nil, err
		}
		b.packed[key] = packed
	}
	out.Bundle, out.hash = packed, packed.Manifest.Hash()
	how.Hash = out.hash
	b.packings[c.FullName()] = how
	if out.store == orion.InStorage {
		if view == "" {
			// From the repository's root, whatever the folders above are called.
			view = path.Join(b.p.Repository.Base(), rel)
		}
		if at := path.Clean(view); at == ".." || strings.HasPrefix(at, "../") {
			return nil, orion.Errorf(orion.Invalid, "the path %q of %q leads out of its storage: give it one without \"..\"", view, c.FullName())
		}
		out.views = []string{view}
	}
	return out, nil
}

// uploadOf is what the file would have uploaded for a deployment: by itself, or
// by a push step to where the deployment's pull step fetches from.
func uploadOf(c *overlay.Claim, ran *deploy.Collected) *deploy.Upload {
	for i := range ran.Uploads {
		u := &ran.Uploads[i]
		switch u.What {
		case deploy.UploadCode:
			if u.Flow == c.Flow && u.Deployment == c.Name {
				return u
			}
		case deploy.UploadStep:
			if _, found := redirect(c.Create.PullSteps.V, u, u.Path); found {
				return u
			}
		}
	}
	return nil
}

// redirect makes the pull steps that fetch what a push step has sent fetch it
// from another folder, and reports whether there are any.
func redirect(steps orion.JSON, u *deploy.Upload, folder string) (orion.JSON, bool) {
	var list []map[string]map[string]orion.JSON
	if orion.IsNull(steps) || orion.Decode(steps, &list) != nil {
		return steps, false
	}
	from := strings.Replace(u.Storage, ".push_to_", ".pull_from_", 1)
	found := false
	for _, step := range list {
		for name, inputs := range step {
			if strings.Replace(name, ".projects.", ".deployments.", 1) != strings.Replace(from, ".projects.", ".deployments.", 1) ||
				textOf(inputs["folder"]) != u.Path || firstOf(textOf(inputs["container"]), textOf(inputs["bucket"])) != u.Bucket {
				continue
			}
			inputs["folder"] = quoted(folder)
			found = true
		}
	}
	if !found {
		return steps, false
	}
	b, err := orion.Encode(list)
	return b, err == nil
}

func textOf(v orion.JSON) (s string) {
	if v.Kind() == '"' && orion.Decode(v, &s) != nil {
		return ""
	}
	return s
}

// placeOfStep is where a push step puts code, as the block that would.
func placeOfStep(u *deploy.Upload) (*overlay.BlockUse, error) {
	_, step, _ := strings.Cut(u.Storage, ".push_to_")
	use := &overlay.BlockUse{Name: u.Bucket}
	var data any
	switch step {
	case "azure_blob_storage":
		use.Type, data = "azure-blob-storage-container", map[string]any{"container_name": u.Bucket, "credentials": orion.ObjectOr(u.Credentials.JSON())}
	case "s3":
		use.Type = "s3-bucket"
		credentials, _ := membersOf(u.Credentials.JSON())
		if client, ok := membersOf(u.Client.JSON()); ok && len(client) > 0 {
			credentials["aws_client_parameters"] = u.Client.JSON()
		}
		data = map[string]any{"bucket_name": u.Bucket, "credentials": credentials}
	case "gcs":
		use.Type, data = "gcs-bucket", map[string]any{"bucket": u.Bucket, "gcp_credentials": orion.ObjectOr(u.Credentials.JSON())}
	default:
		return nil, orion.Errorf(orion.Invalid, "the push step %s is not known: deploy this file with --no-atomic", u.Storage)
	}
	b, err := orion.Encode(data)
	use.Data = overlay.Body(b)
	return use, err
}

// runsFromFolder tells a deployment whose path is a folder of this repository:
// what Prefect makes of one that names neither a storage nor an image.
func runsFromFolder(c *overlay.Claim, ran *deploy.Collected) bool {
	p := c.Create.Path.Ptr()
	if p == nil || !filepath.IsAbs(*p) || !orion.IsNull(c.Create.PullSteps.V) {
		return false
	}
	folder, err := filepath.EvalSymlinks(*p)
	if err != nil {
		return false // a path of the image
	}
	return folder == ran.File.Folder
}

// describe says which files of the changed deployments differ, where what was
// there before can be read; the plan is as good without.
func (s *shipment) describe(ctx context.Context) {
	before := map[string]*codestore.Manifest{}
	for i := range s.p.Items {
		it := &s.p.Items[i]
		if it.Action != Change || it.Code == nil || it.Code.From == "" || len(before) > maxDescribed {
			continue
		}
		m, ok := before[it.Code.From]
		if !ok {
			m = s.manifest(ctx, it)
			before[it.Code.From] = m
		}
		if m != nil {
			it.Code.Files = Differences(*m, it.bundle.Manifest)
		}
	}
}

// maxDescribed bounds how many bundles are looked into for a plan.
const maxDescribed = 30

func (s *shipment) manifest(ctx context.Context, it *Item) *codestore.Manifest {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if it.bundle.store == orion.InServer {
		archive, err := s.p.o.Client.GetBundle(ctx, it.Code.From)
		if err != nil {
			return nil
		}
		defer archive.Close()
		m, err := codestore.ReadArchive(ctx, archive, 0)
		if err != nil {
			return nil
		}
		return &m
	}
	store, err := s.store(ctx, it.bundle.storage)
	if err != nil {
		return nil
	}
	m, err := codestore.ReadManifest(ctx, store, it.Code.From, codestore.Options{Tries: 1})
	if err != nil {
		return nil
	}
	return &m
}

// Differences lists how two bundles differ, each file behind a mark: + - ~.
func Differences(from, to codestore.Manifest) []string {
	was := map[string]string{}
	for _, f := range from.Files {
		was[f.Path] = f.SHA256
	}
	var out []string
	for _, f := range to.Files {
		sum, ok := was[f.Path]
		switch {
		case !ok:
			out = append(out, "+"+f.Path)
		case sum != f.SHA256:
			out = append(out, "~"+f.Path)
		}
		delete(was, f.Path)
	}
	for p := range was {
		out = append(out, "-"+p)
	}
	slices.SortFunc(out, func(a, b string) int { return strings.Compare(a[1:], b[1:]) })
	return out
}

// sortedKeys are the keys of one or two maps, in order.
func sortedKeys(a map[string]string, b fields) []string {
	var out []string
	for k := range a {
		out = append(out, k)
	}
	for k := range b {
		if _, ok := a[k]; !ok {
			out = append(out, k)
		}
	}
	slices.Sort(out)
	return out
}

// ofBlock tells the fields that come from a block's content, which is not read
// when a file need not be run.
func ofBlock(field string) bool {
	return field == "storage" || field == "infrastructure" || strings.HasPrefix(field, "storage.") || strings.HasPrefix(field, "infrastructure.")
}

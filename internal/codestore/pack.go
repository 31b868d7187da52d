package codestore

import (
	"cmp"
	"context"
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

	"golang.org/x/sync/errgroup"

	"github.com/orionflows/orion/internal/codestore/storage"
)

// DefaultMaxSize bounds a bundle unless PackOptions say otherwise: code is
// small, and what is larger is usually data or an environment that got in.
const DefaultMaxSize = 1 << 30

// PackOptions say what goes into a bundle.
type PackOptions struct {
	// Dir is the folder whose files are packed.
	Dir string
	// Root is the repository: links may lead anywhere within it. Dir if "".
	Root string
	// IgnoreFile is read in place of Dir's .prefectignore.
	IgnoreFile string
	// Extra are files and folders from elsewhere within Root, by the path they
	// get in the bundle: the modules that the flow imports. They are not
	// subject to the ignore file.
	Extra map[string]string
	// MaxSize bounds the sum of all files; 0 is DefaultMaxSize.
	MaxSize int64
}

// Pack makes a bundle of a folder. It leaves out what the ignore file says, and
// always .git, .orion, __pycache__, compiled Python, virtual environments and
// .prefectignore itself (some blocks would apply it again when they fetch).
//
// Links are followed and become files. One that leads out of the repository,
// nowhere, or in a circle is an error that names it, as is a socket or device,
// a name that not every store can keep, and a file that changes meanwhile.
func Pack(ctx context.Context, o PackOptions) (*Bundle, error) {
	dir, err := filepath.EvalSymlinks(o.Dir)
	if err != nil {
		return nil, err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	root := dir
	if o.Root != "" {
		if root, err = filepath.EvalSymlinks(o.Root); err != nil {
			return nil, err
		}
		if root, err = filepath.Abs(root); err != nil {
			return nil, err
		}
	}
	if !within(root, dir) {
		return nil, fmt.Errorf("the folder %s is not in the repository %s", dir, root)
	}
	ignoreFile := cmp.Or(o.IgnoreFile, filepath.Join(dir, ".prefectignore"))
	ignored, err := readIgnoreFile(ignoreFile)
	if err != nil {
		return nil, err
	}
	p := packing{ctx: ctx, root: root, ignored: ignored, found: map[string]found{}, max: cmp.Or(o.MaxSize, DefaultMaxSize)}
	if err := p.folder(dir, "", nil); err != nil {
		return nil, err
	}
	p.ignored = &ignoreRules{}
	for _, at := range slices.Sorted(maps.Keys(o.Extra)) {
		if err := p.extra(at, o.Extra[at]); err != nil {
			return nil, err
		}
	}
	return p.hash()
}

type packing struct {
	ctx     context.Context
	root    string
	ignored *ignoreRules
	found   map[string]found // by bundle path
	size    int64
	max     int64
}

type found struct {
	source string
	info   fs.FileInfo
}

// folder takes what is in the real folder dir, at a path of the bundle; above
// are the real folders that it was reached through.
func (p *packing) folder(dir, at string, above []string) error {
	if err := p.ctx.Err(); err != nil {
		return err
	}
	if slices.Contains(above, dir) {
		return fmt.Errorf("%s: a link in it leads back to it, in a circle: remove the link, or name it in .prefectignore", at)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if at != "" && slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == "pyvenv.cfg" }) {
		return nil // a virtual environment
	}
	for _, e := range entries {
		if err := p.entry(filepath.Join(dir, e.Name()), storage.Join(at, e.Name()), e.Type(), append(slices.Clip(above), dir)); err != nil {
			return err
		}
	}
	return nil
}

func (p *packing) entry(source, at string, kind fs.FileMode, above []string) error {
	if unwanted(at) || p.ignored.match(at) && !kind.IsDir() && kind&fs.ModeSymlink == 0 {
		return nil
	}
	if kind&fs.ModeSymlink != 0 {
		real, info, err := p.follow(source)
		if err != nil {
			if p.ignored.match(at) {
				return nil
			}
			return err
		}
		if !info.IsDir() && p.ignored.match(at) {
			return nil
		}
		source, kind = real, info.Mode().Type()
	}
	switch {
	case kind.IsDir():
		if p.ignored.matchAllOf(at) {
			return nil
		}
		return p.folder(source, at, above)
	case !kind.IsRegular():
		return fmt.Errorf("%s is no file but a %s: remove it, or name it in .prefectignore", source, special(kind))
	}
	return p.file(source, at)
}

// follow finds what a link leads to.
func (p *packing) follow(link string) (real string, info fs.FileInfo, err error) {
	real, err = filepath.EvalSymlinks(link)
	if err == nil {
		info, err = os.Stat(real)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil, fmt.Errorf("the link %s leads nowhere: remove it, or name it in .prefectignore", link)
	case err != nil: // too many links
		return "", nil, fmt.Errorf("the link %s cannot be followed, it may lead back to itself: %w", link, err)
	case !within(p.root, real):
		return "", nil, fmt.Errorf("the link %s leads to %s, out of the repository %s: what is there is not under version control, so copy it into the repository", link, real, p.root)
	}
	return real, info, nil
}

func (p *packing) file(source, at string) error {
	if err := storage.ValidKey(at); err != nil {
		return err
	}
	info, err := os.Stat(source)
	if err != nil {
		return err
	}
	if before, ok := p.found[at]; ok {
		if os.SameFile(before.info, info) {
			return nil
		}
		return fmt.Errorf("%s and %s both want to be %s in the bundle", before.source, source, at)
	}
	p.found[at] = found{source, info}
	if p.size += info.Size(); p.size > p.max {
		return p.tooLarge()
	}
	return nil
}

func (p *packing) extra(at, source string) error {
	if err := storage.ValidKey(at); err != nil {
		return err
	}
	real, info, err := p.follow(source)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return p.folder(real, at, nil)
	}
	return p.file(real, at)
}

func (p *packing) tooLarge() error {
	paths := slices.SortedFunc(maps.Keys(p.found), func(a, b string) int {
		return cmp.Or(-cmp.Compare(p.found[a].info.Size(), p.found[b].info.Size()), cmp.Compare(a, b))
	})
	var largest []string
	for _, path := range paths[:min(5, len(paths))] {
		largest = append(largest, fmt.Sprintf("%s (%s)", path, megabytes(p.found[path].info.Size())))
	}
	return fmt.Errorf("the code is larger than %s: name in .prefectignore what a run does not need. The largest files so far: %s",
		megabytes(p.max), strings.Join(largest, ", "))
}

func megabytes(n int64) string {
	if n < 1<<20 {
		return fmt.Sprintf("%d bytes", n)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/(1<<20))
}

// hash reads all files that were found.
func (p *packing) hash() (*Bundle, error) {
	b := &Bundle{Manifest: Manifest{Files: make([]File, 0, len(p.found))}, sources: make(map[string]string, len(p.found))}
	for at, f := range p.found {
		b.Files = append(b.Files, File{Path: at})
		b.sources[at] = f.source
	}
	slices.SortFunc(b.Files, byPath)
	g, ctx := errgroup.WithContext(p.ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i := range b.Files {
		g.Go(func() (err error) {
			if err := ctx.Err(); err != nil {
				return err
			}
			f := p.found[b.Files[i].Path]
			b.Files[i], err = hashFile(ctx, b.Files[i].Path, f.source, f.info)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return b, b.Validate()
}

func hashFile(ctx context.Context, at, source string, before fs.FileInfo) (File, error) {
	r, err := os.Open(source)
	if err != nil {
		return File{}, err
	}
	defer r.Close()
	sum := sha256.New()
	n, err := io.Copy(sum, storage.Reader(ctx, r))
	if err != nil {
		return File{}, err
	}
	after, err := r.Stat()
	if err != nil {
		return File{}, err
	}
	if n != before.Size() || after.Size() != before.Size() || !after.ModTime().Equal(before.ModTime()) || !os.SameFile(before, after) {
		return File{}, fmt.Errorf("%s: %w", source, ErrChanged)
	}
	return File{Path: at, Size: n, Executable: after.Mode()&0o100 != 0, SHA256: hex.EncodeToString(sum.Sum(nil))}, nil
}

// unwanted tells what no bundle holds, whatever the ignore file says.
func unwanted(at string) bool {
	name := at[strings.LastIndexByte(at, '/')+1:]
	switch name {
	case ".git", ownFolder, "__pycache__":
		return true
	case ".prefectignore":
		return name == at
	}
	return strings.HasSuffix(name, ".pyc")
}

func special(kind fs.FileMode) string {
	switch {
	case kind&fs.ModeSocket != 0:
		return "socket"
	case kind&fs.ModeNamedPipe != 0:
		return "pipe"
	}
	return "device"
}

func within(root, path string) bool {
	rel, err := filepath.Rel(root, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

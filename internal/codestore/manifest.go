// Package codestore keeps the code of flows: as bundles, which are named by
// their content and never change, in the storages that Prefect's blocks name.
//
// A storage holds, below the place its block names,
//
//	.orion/code/HASH/…             a bundle's tree, as a run reads it
//	.orion/manifests/HASH.json     its manifest, written last: the tree is whole
//	REPOSITORY/projects/…          views: folders that are made equal to a bundle
//
// The manifests lie apart from the trees because some of Prefect's blocks fetch
// everything whose name begins with the path they are given.
//
// Which bundle a deployment's runs use, and when that changes, is not decided
// here. Start with [Pack], [Upload] and [Fetch]; package storage is the
// contract of the places.
package codestore

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/internal/codestore/storage"
)

// File is one file of a bundle.
type File struct {
	Path       string `json:"path"` // slash-separated, below the bundle's root
	Size       int64  `json:"size"`
	Executable bool   `json:"executable"`
	SHA256     string `json:"sha256"` // hexadecimal
}

// Manifest says what a bundle holds, ordered by path.
type Manifest struct {
	Files []File `json:"files"`
}

// Hash names the bundle: the same files have the same hash on every machine.
func (m Manifest) Hash() string {
	h := sha256.New()
	fmt.Fprintln(h, "orion bundle 1")
	for _, f := range m.Files {
		mode := "-"
		if f.Executable {
			mode = "x"
		}
		// The path comes last and has no line end in it, so no two manifests read the same.
		fmt.Fprintln(h, f.SHA256, f.Size, mode, f.Path)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Size is what all files together hold.
func (m Manifest) Size() (n int64) {
	for _, f := range m.Files {
		n += f.Size
	}
	return n
}

// JSON is the form that lies in a store.
func (m Manifest) JSON() ([]byte, error) {
	if m.Files == nil {
		m.Files = []File{}
	}
	return orion.Encode(m)
}

// ParseManifest reads the JSON form and validates it.
func ParseManifest(b []byte) (Manifest, error) {
	var m Manifest
	if err := orion.Decode(b, &m); err != nil {
		return Manifest{}, fmt.Errorf("this is no manifest of a bundle: %w", err)
	}
	return m, m.Validate()
}

// Validate refuses a manifest that could write outside of a folder, names a
// file twice, needs a name to be a file and a folder, or is not in order.
func (m Manifest) Validate() error {
	files := make(map[string]bool, len(m.Files))
	for i, f := range m.Files {
		if err := storage.ValidKey(f.Path); err != nil {
			return err
		}
		if f.Path == ownFolder || strings.HasPrefix(f.Path, ownFolder+"/") {
			return fmt.Errorf("%q: the folder %s is kept for Orion's own files", f.Path, ownFolder)
		}
		if f.Size < 0 || !validHash(f.SHA256) {
			return fmt.Errorf("%q has no proper size and hash", f.Path)
		}
		if i > 0 && m.Files[i-1].Path >= f.Path {
			return fmt.Errorf("%q is there twice, or out of order", f.Path)
		}
		files[f.Path] = true
	}
	for _, f := range m.Files {
		for i := range len(f.Path) {
			if f.Path[i] == '/' && files[f.Path[:i]] {
				return fmt.Errorf("%q cannot be a file and the folder of %q", f.Path[:i], f.Path)
			}
		}
	}
	return nil
}

func byPath(a, b File) int { return cmp.Compare(a.Path, b.Path) }

func (m Manifest) file(path string) (File, bool) {
	i, ok := slices.BinarySearchFunc(m.Files, File{Path: path}, byPath)
	if !ok {
		return File{}, false
	}
	return m.Files[i], true
}

func validHash(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == sha256.Size && strings.ToLower(s) == s
}

const ownFolder = ".orion"

// TreePath is what a deployment's path must be, for runs to read the bundle's
// tree from a store through the block it was opened with.
func TreePath(s storage.Store, hash string) (string, error) {
	key, err := treeKey(s, hash)
	if err != nil {
		return "", err
	}
	// Some blocks read paths below their own place, others from the top.
	for _, path := range []string{ownFolder + "/code/" + hash, key} {
		if leadsTo, err := s.Key(path); err == nil && leadsTo == key {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s: no path leads to what is deployed there", s)
}

func treeKey(s storage.Store, hash string) (string, error) { return place(s, "code/"+hash) }

func manifestKey(s storage.Store, hash string) (string, error) {
	return place(s, "manifests/"+hash+".json")
}

// place is the key of one of our own folders.
func place(s storage.Store, name string) (string, error) {
	base, err := s.Key("")
	return storage.Join(base, ownFolder+"/"+name), err
}

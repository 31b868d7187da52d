package codestore

import (
	"fmt"
	"path"
	"regexp"
	"strings"

	"github.com/orionflows/orion/internal/codestore/storage"
)

// The keys that Prefect's blocks read when they are told to fetch a path. Which
// block does what is held by TestStoresAndPythonBlocksReadEachOther.

// belowFolder is the key below a folder of the bucket: the blocks "Azure Blob
// Storage Container" and "GCS Bucket".
func belowFolder(folder string) func(string) (string, error) {
	return func(p string) (string, error) { return clean(path.Join(folder, p)) }
}

// fromTheTop is the key in the bucket itself, whatever the block's folder, unless
// there is none: the block "S3 Bucket", which puts below its folder all the same
// (prefect_aws/s3.py, get_directory and put_directory).
func fromTheTop(folder string) func(string) (string, error) {
	return func(p string) (string, error) {
		if p == "" {
			return clean(folder)
		}
		return clean(p)
	}
}

// belowURL is the key below a basepath such as s3://bucket/folder: "Remote File
// System" and the blocks that are made of it (filesystems.py, _resolve_path).
func belowURL(basepath, folder string) func(string) (string, error) {
	base := splitURL(basepath)
	return func(p string) (string, error) {
		u := splitURL(p)
		if u.scheme != "" && u.scheme != base.scheme {
			return "", fmt.Errorf("the path %q must have the scheme of the storage's basepath %q", p, basepath)
		}
		if u.host != "" && (u.host != base.host || !strings.HasPrefix(u.path, base.path)) {
			return "", fmt.Errorf("the path %q is outside of the storage's basepath %q", p, basepath)
		}
		return clean(path.Join(folder, u.path))
	}
}

func clean(key string) (string, error) {
	if key = strings.Trim(path.Clean(key), "/"); key == "." || key == "" {
		return "", nil
	}
	return key, storage.ValidKey(key)
}

// address is a URL taken apart as Python's urlsplit does it, which never fails.
type address struct{ scheme, host, path string }

var urlScheme = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*:`)

func splitURL(s string) (a address) {
	if scheme := urlScheme.FindString(s); scheme != "" {
		a.scheme, s = strings.ToLower(scheme[:len(scheme)-1]), s[len(scheme):]
	}
	if rest, ok := strings.CutPrefix(s, "//"); ok {
		end := strings.IndexAny(rest, "/?#")
		if end < 0 {
			end = len(rest)
		}
		a.host, s = rest[:end], rest[end:]
	}
	a.path, _, _ = strings.Cut(s, "#")
	a.path, _, _ = strings.Cut(a.path, "?")
	return a
}

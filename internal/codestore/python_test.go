package codestore

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/orionflows/orion/internal/testenv"
)

// blocksScript calls a block's put_directory or get_directory for each task.
const blocksScript = `
import json, sys
from prefect.filesystems import LocalFileSystem, RemoteFileSystem, Azure
from prefect_azure.blob_storage import AzureBlobStorageContainer
from prefect_aws.s3 import S3Bucket
from prefect_aws.credentials import AwsCredentials, MinIOCredentials
classes = {"local-file-system": LocalFileSystem, "remote-file-system": RemoteFileSystem, "azure": Azure,
           "azure-blob-storage-container": AzureBlobStorageContainer, "s3-bucket": S3Bucket}
for task in json.load(sys.stdin):
    try:
        data = dict(task["data"])
        if task["slug"] == "s3-bucket":
            c = data["credentials"]
            data["credentials"] = (MinIOCredentials if "minio_root_user" in c else AwsCredentials)(**c)
        block = classes[task["slug"]](**data)
        if task["put"]:
            block.put_directory(local_path=task["dir"], to_path=task["path"], ignore_file=task["ignore"])
        else:
            block.get_directory(from_path=task["path"], local_path=task["dir"])
    except Exception as e:
        raise Exception(f"{task['slug']} {task['path']}") from e
`

type blockTask struct {
	Slug   string         `json:"slug"`
	Data   map[string]any `json:"data"`
	Put    bool           `json:"put"`
	Dir    string         `json:"dir"`
	Path   *string        `json:"path"`
	Ignore string         `json:"ignore"`
}

func runBlocks(t *testing.T, python string, tasks []blockTask) {
	t.Helper()
	in, err := json.Marshal(tasks)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, python, "-W", "ignore", "-c", blocksScript)
	cmd.Env = append(testenv.Environment(), "PREFECT_HOME="+t.TempDir(), "PREFECT_LOGGING_LEVEL=ERROR")
	cmd.Stdin = bytes.NewReader(in)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// What the blocks of unmodified Prefect put, we read, and what we put they read:
// from the paths that a deployment would have.
func TestStoresAndPythonBlocksReadEachOther(t *testing.T) {
	testenv.Heavy(t)
	t.Parallel()
	python := testenv.StoragePython(t)

	code := maps.Clone(codeV1)
	code[".prefectignore"] = "*.tmp\n.prefectignore\nold/\n"
	code["a.tmp"], code["old/x.py"] = "ignored", "ignored"
	dir := tree(t, code)
	b := pack(t, dir)
	view := "shop/projects/load"
	type place struct {
		name                   string
		block                  block
		tree, view, whole, put string // folders that Python or we fetch into
	}
	var all []place
	var puts, gets []blockTask
	at := func(s string) *string { return &s }
	for _, p := range places {
		if strings.HasSuffix(p.name, ", gs") {
			continue // gcsfs and the emulator do not understand each other
		}
		pl := place{name: p.name, block: p.make(t), tree: t.TempDir(), view: t.TempDir(), whole: t.TempDir(), put: "from/python"}
		all = append(all, pl)
		puts = append(puts, blockTask{Slug: pl.block.slug, Data: pl.block.data, Put: true, Dir: dir, Path: &pl.put, Ignore: filepath.Join(dir, ".prefectignore")})
	}
	runBlocks(t, python, puts)

	for i, pl := range all {
		s := pl.block.open(t)
		if _, err := Upload(t.Context(), s, b, Options{}); err != nil {
			t.Fatalf("%s: %v", pl.name, err)
		}
		if _, err := SyncView(t.Context(), s, b, view, Options{}); err != nil {
			t.Fatalf("%s: %v", pl.name, err)
		}
		treePath, err := TreePath(s, b.Hash())
		if err != nil {
			t.Fatal(err)
		}
		// The block "S3 Bucket" reads from the bucket's top what it puts below its folder.
		put, viewPath := pl.put, view
		if folder, ok := pl.block.data["bucket_folder"].(string); ok && folder != "" {
			put, viewPath = folder+"/"+put, folder+"/"+viewPath
		}
		all[i].put = put
		gets = append(gets,
			blockTask{Slug: pl.block.slug, Data: pl.block.data, Dir: pl.tree, Path: &treePath},
			blockTask{Slug: pl.block.slug, Data: pl.block.data, Dir: pl.view, Path: at(viewPath)},
			blockTask{Slug: pl.block.slug, Data: pl.block.data, Dir: pl.whole})
	}
	runBlocks(t, python, gets)

	for _, pl := range all {
		t.Run(pl.name, func(t *testing.T) {
			s := pl.block.open(t)
			modes := pl.block.slug == "local-file-system" // others keep no executable bits
			same := func(what string, got map[string]string, want map[string]string) {
				t.Helper()
				if !modes {
					got, want = withoutModes(got), withoutModes(want)
				}
				if !maps.Equal(got, want) {
					t.Log(what)
				}
				wantFiles(t, got, want)
			}
			got := t.TempDir()
			if err := FetchPath(t.Context(), s, pl.put, got, Options{}); err != nil {
				t.Fatal(err)
			}
			same("what Python put", read(t, got), codeV1)
			same("the tree, by Python", read(t, pl.tree), codeV1)
			same("the view, by Python", read(t, pl.view), codeV1)
			got = t.TempDir()
			if err := FetchPath(t.Context(), s, "", got, Options{}); err != nil {
				t.Fatal(err)
			}
			same("all of it, by Python and by us", read(t, got), read(t, pl.whole))
			if sent, err := SyncView(t.Context(), s, b, "from/python", Options{}); err != nil {
				t.Errorf("a view that Python put: %+v, %v", sent, err)
			}
		})
	}
}

func withoutModes(files map[string]string) map[string]string {
	out := map[string]string{}
	for name, text := range files {
		out[strings.TrimSuffix(name, "*")] = text
	}
	return out
}

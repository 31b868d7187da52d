package codestore

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"github.com/orionflows/orion/internal/codestore/storage"
	"github.com/orionflows/orion/internal/testenv"
)

var testTime = time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)

const testPatience = 30 * time.Second

func TestMain(m *testing.M) {
	if os.Getenv("ORION_TEST_UPLOAD") != "" {
		os.Exit(uploadAndDie())
	}
	if err := testenv.TrustLocalCertificate(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// block is one of Prefect's storage blocks.
type block struct {
	slug string
	data map[string]any
}

func (b block) open(t testing.TB) storage.Store {
	t.Helper()
	text, err := json.Marshal(b.data)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), b.slug, text)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func azureConnection(address string) string {
	return "DefaultEndpointsProtocol=http;AccountName=" + testenv.AzuriteAccount + ";AccountKey=" + testenv.AzuriteKey + ";BlobEndpoint=" + address + ";"
}

// newContainer makes a container in an Azurite.
func newContainer(t testing.TB, address string) string {
	t.Helper()
	name := strings.ToLower("c" + rand.Text())
	client, err := container.NewClientFromConnectionString(azureConnection(address), name, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Create(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	return name
}

func newBucket(t testing.TB) (name, address string) {
	t.Helper()
	address, root := testenv.S3Server(t)
	name = strings.ToLower("b" + rand.Text())
	if err := os.Mkdir(filepath.Join(root, name), 0o755); err != nil {
		t.Fatal(err)
	}
	return name, address
}

func newGoogleBucket(t testing.TB) (name, address string) {
	t.Helper()
	address = testenv.GoogleStorage(t)
	name = strings.ToLower("b" + rand.Text())
	resp, err := http.Post(address+"/storage/v1/b?project=test", "application/json", strings.NewReader(`{"name":"`+name+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("making a bucket: %s", resp.Status)
	}
	return name, address
}

// place is a storage that the conformance suite is run on: make gives a block
// whose own place is new and empty.
type testPlace struct {
	name string
	make func(t testing.TB) block
}

var places = []testPlace{
	{"local-file-system", func(t testing.TB) block {
		return block{"local-file-system", map[string]any{"basepath": t.TempDir()}}
	}},
	{"azure", func(t testing.TB) block {
		address := testenv.Azurite(t)
		return block{"azure", map[string]any{"bucket_path": newContainer(t, address) + "/some/folder", "azure_storage_connection_string": azureConnection(address)}}
	}},
	{"azure, a container of its own", func(t testing.TB) block {
		address := testenv.Azurite(t)
		return block{"azure", map[string]any{"bucket_path": "folder", "azure_storage_container": newContainer(t, address),
			"azure_storage_account_name": testenv.AzuriteAccount, "azure_storage_connection_string": azureConnection(address)}}
	}},
	{"azure-blob-storage-container", func(t testing.TB) block {
		address := testenv.Azurite(t)
		return block{"azure-blob-storage-container", map[string]any{"container_name": newContainer(t, address), "base_folder": "some/folder",
			"credentials": map[string]any{"connection_string": azureConnection(address)}}}
	}},
	{"remote-file-system, abfs", func(t testing.TB) block {
		address := testenv.Azurite(t)
		return block{"remote-file-system", map[string]any{"basepath": "abfs://" + newContainer(t, address) + "/", "settings": map[string]any{"connection_string": azureConnection(address)}}}
	}},
	{"remote-file-system, s3", func(t testing.TB) block {
		bucket, address := newBucket(t)
		return block{"remote-file-system", map[string]any{"basepath": "s3://" + bucket + "/some/folder", "settings": map[string]any{
			"key": testenv.S3AccessKey, "secret": testenv.S3SecretKey, "client_kwargs": map[string]any{"endpoint_url": address, "region_name": "us-east-1"}}}}
	}},
	{"s3-bucket", func(t testing.TB) block {
		bucket, address := newBucket(t)
		return block{"s3-bucket", map[string]any{"bucket_name": bucket, "bucket_folder": "some/folder", "credentials": map[string]any{
			"aws_access_key_id": testenv.S3AccessKey, "aws_secret_access_key": testenv.S3SecretKey, "region_name": "us-east-1",
			"aws_client_parameters": map[string]any{"endpoint_url": address}}}}
	}},
	{"s3-bucket with minio-credentials", func(t testing.TB) block {
		bucket, address := newBucket(t)
		return block{"s3-bucket", map[string]any{"bucket_name": bucket, "bucket_folder": "", "credentials": map[string]any{
			"minio_root_user": testenv.S3AccessKey, "minio_root_password": testenv.S3SecretKey, "region_name": "us-east-1",
			"aws_client_parameters": map[string]any{"endpoint_url": address}}}}
	}},
	{"remote-file-system, gs", func(t testing.TB) block {
		bucket, address := newGoogleBucket(t)
		return block{"remote-file-system", map[string]any{"basepath": "gs://" + bucket + "/folder", "settings": map[string]any{"token": "anon", "endpoint_url": address}}}
	}},
}

func TestEveryStore(t *testing.T) {
	t.Parallel()
	for _, p := range places {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			for name, test := range map[string]func(*testing.T, storage.Store){
				"keeps objects":                               keepsObjects,
				"carries bundles":                             carriesBundles,
				"mirrors views":                               mirrorsViews,
				"resumes what was cut":                        resumes,
				"forgets trees that nothing refers to":        forgets,
				"stops at once":                               stopsAtOnce,
				"says what it keeps with a file that changes": noticesChanges,
			} {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					test(t, p.make(t).open(t))
				})
			}
		})
	}
}

func keepsObjects(t *testing.T, s storage.Store) {
	ctx := t.Context()
	base, err := s.Key("")
	if err != nil {
		t.Fatal(err)
	}
	at := func(key string) string { return storage.Join(base, key) }
	if err := s.Check(ctx); err != nil {
		t.Errorf("Check: %v", err)
	}
	if left := keys(t, s, base); len(left) > 0 {
		t.Errorf("Check leaves %q", left)
	}
	if _, err := s.Stat(ctx, at("none")); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("Stat of nothing: %v", err)
	}
	if r, err := s.Get(ctx, at("none")); err == nil {
		if _, err = io.ReadAll(r); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("Get of nothing: %v", err)
		}
		r.Close()
	} else if !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("Get of nothing: %v", err)
	}
	names := []string{"a/b/c.py", "a/b.py", "a b/ü+%20&#?.txt", "empty", "ab/x"}
	for i, name := range names {
		body := name
		if name == "empty" {
			body = ""
		}
		for range 1 + i%2 { // again: in its own place
			if err := s.Put(ctx, at(name), text(body)); err != nil {
				t.Fatalf("Put %q: %v", name, err)
			}
		}
		o, err := s.Stat(ctx, at(name))
		if err != nil || o.Size != int64(len(body)) || o.SHA256 != text(body).SHA256 || o.Key != at(name) || time.Since(o.Modified).Abs() > time.Hour {
			t.Errorf("Stat %q: %+v, %v", name, o, err)
		}
		r, err := s.Get(ctx, at(name))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r); err != nil || string(got) != body {
			t.Errorf("Get %q: %q, %v", name, got, err)
		}
		r.Close()
	}
	want := func(folder string, want ...string) {
		t.Helper()
		got := keys(t, s, folder)
		ok := len(got) == len(want)
		for i := range want {
			ok = ok && got[i] == at(want[i])
		}
		if !ok {
			t.Errorf("below %q: %q, want %q", folder, got, want)
		}
	}
	want(base, "a b/ü+%20&#?.txt", "a/b.py", "a/b/c.py", "ab/x", "empty")
	want(at("a"), "a/b.py", "a/b/c.py")
	want(at("a/b"), "a/b/c.py")
	want(at("nothing"))
	if err := s.Delete(ctx, []string{at("a/b.py"), at("not there"), at("empty"), at("a b/ü+%20&#?.txt")}); err != nil {
		t.Errorf("Delete: %v", err)
	}
	want(base, "a/b/c.py", "ab/x")
	if err := s.Put(ctx, at("../out"), text("x")); err == nil {
		t.Error("a key that leaves the place is accepted")
	}
}

func carriesBundles(t *testing.T, s storage.Store) {
	ctx := t.Context()
	b := pack(t, tree(t, codeV1))
	var last Progress
	sent, err := Upload(ctx, s, b, Options{Progress: func(p Progress) { last = p }})
	if err != nil || sent.Files != len(codeV1) || sent.Bytes != b.Size() {
		t.Fatalf("Upload: %+v, %v", sent, err)
	}
	if last != (Progress{len(codeV1), len(codeV1), b.Size(), b.Size()}) {
		t.Errorf("progress ends with %+v", last)
	}
	if sent, err := Upload(ctx, s, b, Options{}); err != nil || sent.Files != 0 {
		t.Errorf("again: %+v, %v", sent, err)
	}
	dir := filepath.Join(t.TempDir(), "cache", b.Hash())
	for range 2 {
		m, err := Fetch(ctx, s, b.Hash(), dir, Options{})
		if err != nil || m.Hash() != b.Hash() {
			t.Fatalf("Fetch: %v", err)
		}
		wantFiles(t, read(t, dir), codeV1)
	}
	path, err := TreePath(s, b.Hash())
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	if err := FetchPath(ctx, s, path, dir, Options{}); err != nil {
		t.Fatal(err)
	}
	got := read(t, dir)
	if _, ok := got["run.sh"]; ok { // not every storage keeps that
		got["run.sh*"] = got["run.sh"]
		delete(got, "run.sh")
	}
	wantFiles(t, got, codeV1)
	if err := FetchPath(ctx, s, "no/such/path", dir, Options{}); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("FetchPath of nothing: %v", err)
	}
	other := pack(t, tree(t, codeV2))
	if _, err := Fetch(ctx, s, other.Hash(), filepath.Join(t.TempDir(), "x"), Options{}); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("Fetch of what is not there: %v", err)
	}
	// A file that was changed in the storage is noticed.
	key, err := treeKey(s, b.Hash())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Put(ctx, storage.Join(key, "flow.py"), text("print('bad')")); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "x")
	if _, err := Fetch(ctx, s, b.Hash(), to, Options{Tries: 1}); err == nil {
		t.Error("a tree that was changed in the storage is fetched")
	}
}

func mirrorsViews(t *testing.T, s storage.Store) {
	ctx := t.Context()
	base, _ := s.Key("")
	for _, key := range []string{"shop/projects/other/flow.py", "shop/projects/load2/flow.py", ".orion/code/x"} {
		if err := s.Put(ctx, storage.Join(base, key), text(key)); err != nil {
			t.Fatal(err)
		}
	}
	const view = "shop/projects/load"
	for _, code := range []map[string]string{codeV1, codeV2, codeV1} {
		if _, err := SyncView(ctx, s, pack(t, tree(t, code)), view, Options{}); err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for _, key := range keys(t, s, storage.Join(base, view)) {
			at, _ := storage.Below(storage.Join(base, view), key)
			r, err := s.Get(ctx, key)
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			r.Close()
			if at == "run.sh" {
				at += "*"
			}
			got[at] = string(b)
		}
		wantFiles(t, got, code)
	}
	if sent, err := SyncView(ctx, s, pack(t, tree(t, codeV1)), view, Options{}); err != nil || sent.Files > 0 {
		t.Errorf("nothing changed: %+v, %v", sent, err)
	}
	for _, key := range []string{"shop/projects/other/flow.py", "shop/projects/load2/flow.py", ".orion/code/x"} {
		if _, err := s.Stat(ctx, storage.Join(base, key)); err != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
	for _, view := range []string{"", ".", "/", "..", "a/../..", ".orion", ".orion/code"} {
		if _, err := SyncView(ctx, s, pack(t, tree(t, codeV1)), view, Options{}); err == nil {
			t.Errorf("the view %q is accepted", view)
		}
	}
}

func resumes(t *testing.T, s storage.Store) {
	ctx := t.Context()
	b := pack(t, tree(t, codeV1))
	path, err := treeKey(s, b.Hash())
	if err != nil {
		t.Fatal(err)
	}
	// One file is there, one with another content of the same size.
	if err := s.Put(ctx, storage.Join(path, "flow.py"), text(codeV1["flow.py"])); err != nil {
		t.Fatal(err)
	}
	if err := s.Put(ctx, storage.Join(path, "thing"), text("a filX\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadManifest(ctx, s, b.Hash(), Options{}); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("an unfinished tree: %v", err)
	}
	sent, err := Upload(ctx, s, b, Options{})
	if err != nil || sent.Files != len(codeV1)-1 {
		t.Errorf("%+v, %v", sent, err)
	}
	dir := filepath.Join(t.TempDir(), "x")
	if _, err := Fetch(ctx, s, b.Hash(), dir, Options{}); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, read(t, dir), codeV1)
}

func forgets(t *testing.T, s storage.Store) {
	ctx := t.Context()
	one, two := pack(t, tree(t, codeV1)), pack(t, tree(t, codeV2))
	for _, b := range []*Bundle{one, two} {
		if _, err := Upload(ctx, s, b, Options{}); err != nil {
			t.Fatal(err)
		}
	}
	cut := pack(t, tree(t, map[string]string{"x.py": "1"}))
	path, _ := treeKey(s, cut.Hash())
	if err := s.Put(ctx, storage.Join(path, "x.py"), text("1")); err != nil {
		t.Fatal(err)
	}
	keep := func(hash string) bool { return hash == one.Hash() }
	later := time.Now().Add(time.Hour)
	if gone, err := Collect(ctx, s, CollectOptions{Keep: keep, Before: time.Now().Add(-time.Hour)}); err != nil || len(gone) > 0 {
		t.Errorf("young trees: %+v, %v", gone, err)
	}
	for _, dry := range []bool{true, false} {
		gone, err := Collect(ctx, s, CollectOptions{Keep: keep, Before: later, DryRun: dry})
		if err != nil || len(gone) != 2 {
			t.Fatalf("dry %v: %+v, %v", dry, gone, err)
		}
		for _, tree := range gone {
			want := Tree{Hash: two.Hash(), Whole: true, Files: len(codeV2), Bytes: two.Size(), Modified: tree.Modified}
			if tree.Hash == cut.Hash() {
				want = Tree{Hash: cut.Hash(), Files: 1, Bytes: 1, Modified: tree.Modified}
			}
			if tree != want {
				t.Errorf("%+v, want %+v", tree, want)
			}
		}
	}
	if _, err := ReadManifest(ctx, s, two.Hash(), Options{}); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("the collected tree: %v", err)
	}
	if _, err := Fetch(ctx, s, one.Hash(), filepath.Join(t.TempDir(), "x"), Options{}); err != nil {
		t.Errorf("the kept tree: %v", err)
	}
	base, _ := s.Key("")
	if left := keys(t, s, base); len(left) != len(codeV1)+1 {
		t.Errorf("left: %q", left)
	}
}

func stopsAtOnce(t *testing.T, s storage.Store) {
	b := pack(t, tree(t, codeV1))
	if _, err := Upload(cancelledContext(t), s, b, Options{}); err == nil {
		t.Error("it goes on")
	}
	if _, err := ReadManifest(t.Context(), s, b.Hash(), Options{}); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("a tree is marked: %v", err)
	}
}

func noticesChanges(t *testing.T, s storage.Store) {
	dir := tree(t, codeV1)
	b := pack(t, dir)
	write(t, dir, map[string]string{"flow.py": "print('ONE')\n"})
	if _, err := Upload(t.Context(), s, b, Options{}); !errors.Is(err, ErrChanged) {
		t.Errorf("the same size: %v", err)
	}
	write(t, dir, map[string]string{"flow.py": "print('one') # more\n"})
	if _, err := Upload(t.Context(), s, b, Options{}); !errors.Is(err, ErrChanged) {
		t.Errorf("more: %v", err)
	}
	write(t, dir, map[string]string{"flow.py": "pr"})
	if _, err := Upload(t.Context(), s, b, Options{}); !errors.Is(err, ErrChanged) {
		t.Errorf("less: %v", err)
	}
	if _, err := ReadManifest(t.Context(), s, b.Hash(), Options{}); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("a tree is marked: %v", err)
	}
	path, _ := treeKey(s, b.Hash())
	if o, err := s.Stat(t.Context(), storage.Join(path, "flow.py")); err == nil {
		t.Errorf("a wrong file is there: %+v", o)
	}
}

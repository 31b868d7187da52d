package codestore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/orionflows/orion/internal/codestore/storage"
	"github.com/orionflows/orion/internal/testenv"
)

// An upload is cut at many places, again and again: at no time is there a tree
// that is marked and not whole, and in the end only what was missing is sent.
func TestUploadsThatAreCutResume(t *testing.T) {
	t.Parallel()
	for name, behind := range map[string]func(t *testing.T) (*testenv.FaultProxy, block){
		"azure": func(t *testing.T) (*testenv.FaultProxy, block) {
			address := testenv.Azurite(t)
			proxy, through := proxied(t, address)
			return proxy, block{"azure", map[string]any{"bucket_path": newContainer(t, address), "azure_storage_connection_string": azureConnection(through)}}
		},
		"s3-bucket": func(t *testing.T) (*testenv.FaultProxy, block) {
			bucket, address := newBucket(t)
			proxy, through := proxied(t, address)
			return proxy, s3Block(bucket, through, testenv.S3SecretKey)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			proxy, block := behind(t)
			s := block.open(t)
			files := maps.Clone(codeV1)
			for i := range 20 {
				files[fmt.Sprintf("data/%02d.bin", i)] = strings.Repeat(fmt.Sprint(i), 3000*(i+1))
			}
			code := tree(t, files)
			b := pack(t, code)
			once := Options{Tries: 1, Parallel: 3}

			var sent Sent
			uploads := 0
			for at := int64(0); ; at += 40_000 { // further each time: the end is reached
				proxy.CutAfter(at)
				got, err := Upload(t.Context(), s, b, once)
				uploads++
				sent.Files += got.Files
				proxy.CutAfter(-1)
				if err == nil {
					break
				}
				if !errors.Is(err, storage.ErrUnreachable) {
					t.Fatalf("cut after %d bytes: %v", at, err)
				}
				if m, err := ReadManifest(t.Context(), s, b.Hash(), Options{}); err == nil {
					if _, err := Fetch(t.Context(), s, m.Hash(), filepath.Join(t.TempDir(), "x"), once); err != nil {
						t.Fatalf("cut after %d bytes: a tree is marked and not whole: %v", at, err)
					}
				}
			}
			if uploads < 5 || proxy.Cuts() < 4 {
				t.Errorf("it was cut only %d times", proxy.Cuts())
			}
			// What was under way when the line broke may have arrived and be found there.
			if sent.Files > len(files)+3*uploads {
				t.Errorf("%d files were sent for %d", sent.Files, len(files))
			}
			dir := filepath.Join(t.TempDir(), "x")
			if _, err := Fetch(t.Context(), s, b.Hash(), dir, Options{}); err != nil {
				t.Fatal(err)
			}
			wantFiles(t, read(t, dir), files)
			t.Logf("%d uploads, cut %d times, %d of %d files sent", uploads, proxy.Cuts(), sent.Files, len(files))
		})
	}
}

// A line that breaks for a moment is not seen by who uploads.
func TestShortInterruptionsAreRetried(t *testing.T) {
	t.Parallel()
	bucket, address := newBucket(t)
	proxy, through := proxied(t, address)
	s := s3Block(bucket, through, testenv.S3SecretKey).open(t)
	b := pack(t, tree(t, codeV1))
	proxy.CutAfter(1500)
	told := make(chan struct{})
	go func() {
		testenv.Eventually(t, testPatience, "the line to break", func() bool { return proxy.Cuts() > 0 })
		proxy.CutAfter(-1)
		close(told)
	}()
	if _, err := Upload(t.Context(), s, b, Options{}); err != nil {
		t.Error(err)
	}
	<-told
}

func proxied(t *testing.T, address string) (*testenv.FaultProxy, string) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	proxy := testenv.NewFaultProxy(t, u.Host)
	u.Host = proxy.Address
	return proxy, u.String()
}

func s3Block(bucket, address, secret string) block {
	return block{"s3-bucket", map[string]any{"bucket_name": bucket, "bucket_folder": "", "credentials": map[string]any{
		"aws_access_key_id": testenv.S3AccessKey, "aws_secret_access_key": secret, "region_name": "us-east-1",
		"aws_client_parameters": map[string]any{"endpoint_url": address}}}}
}

// What is wrong is told by its kind, and what to do by its words; no secret is
// in it.
func TestWhatIsWrongIsTold(t *testing.T) {
	t.Parallel()
	const wrongKey = "d3JvbmcgcGFzc3dvcmQ="
	nowhere := fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t))
	azure := func(container, connection string) block {
		return block{"azure", map[string]any{"bucket_path": container + "/x", "azure_storage_connection_string": connection}}
	}
	for _, c := range []struct {
		name  string
		block func(t *testing.T) block
		kind  error
		words []string
	}{
		{"azure: no container", func(t *testing.T) block { return azure("missing", azureConnection(testenv.Azurite(t))) }, storage.ErrNoContainer, []string{"missing", "az storage container create"}},
		{"azure: wrong key", func(t *testing.T) block {
			address := testenv.Azurite(t)
			return azure(newContainer(t, address), strings.ReplaceAll(azureConnection(address), testenv.AzuriteKey, wrongKey))
		}, storage.ErrCredentials, []string{"the connection string is wrong"}},
		{"azure: nobody there", func(t *testing.T) block { return azure("c", azureConnection("http://"+nowhere+"/devstoreaccount1")) }, storage.ErrUnreachable, []string{nowhere}},
		{"azure: a container that is not public", func(t *testing.T) block {
			address := testenv.AzuriteTLS(t)
			return block{"azure-blob-storage-container", map[string]any{"container_name": "private", "credentials": map[string]any{"account_url": address + "?sv=2020-08-04&sr=c&sig=d3Jvbmc%3D&se=2099-01-01&sp=rl"}}}
		}, storage.ErrCredentials, []string{"the SAS token is wrong"}},
		{"s3: no bucket", func(t *testing.T) block {
			_, address := newBucket(t)
			return s3Block("missing", address, testenv.S3SecretKey)
		}, storage.ErrNoContainer, []string{"missing", "aws s3 mb"}},
		{"s3: wrong key", func(t *testing.T) block {
			bucket, address := newBucket(t)
			return s3Block(bucket, address, wrongKey)
		}, storage.ErrCredentials, []string{"access key " + testenv.S3AccessKey}},
		{"s3: anonymous", func(t *testing.T) block {
			bucket, address := newBucket(t)
			return block{"remote-file-system", map[string]any{"basepath": "s3://" + bucket, "settings": map[string]any{"anon": true, "endpoint_url": address, "client_kwargs": map[string]any{"region_name": "us-east-1"}}}}
		}, storage.ErrDenied, []string{"s3:PutObject"}},
		{"s3: nobody there", func(t *testing.T) block { return s3Block("bucket", "http://"+nowhere, "x") }, storage.ErrUnreachable, []string{nowhere}},
		{"google: no bucket", func(t *testing.T) block {
			_, address := newGoogleBucket(t)
			return block{"remote-file-system", map[string]any{"basepath": "gs://missing/x", "settings": map[string]any{"token": "anon", "endpoint_url": address}}}
		}, storage.ErrNoContainer, []string{"missing"}},
		{"google: nobody there", func(t *testing.T) block {
			return block{"remote-file-system", map[string]any{"basepath": "gs://b/x", "settings": map[string]any{"token": "anon", "endpoint_url": "http://" + nowhere}}}
		}, storage.ErrUnreachable, []string{nowhere}},
		{"a folder: not there", func(t *testing.T) block {
			return block{"local-file-system", map[string]any{"basepath": filepath.Join(t.TempDir(), "none")}}
		}, storage.ErrNoContainer, []string{"none", "make the folder"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := c.block(t).open(t)
			check := func(what string, err error) {
				t.Helper()
				if !errors.Is(err, c.kind) {
					t.Errorf("%s: %v, want: %v", what, err, c.kind)
					return
				}
				for _, w := range c.words {
					if !strings.Contains(err.Error(), w) {
						t.Errorf("%s: %q does not say %q", what, err, w)
					}
				}
				if strings.Contains(err.Error(), wrongKey) || strings.Contains(err.Error(), "sig=") || strings.Contains(err.Error(), "d3Jvbmc") {
					t.Errorf("%s: it tells a secret: %v", what, err)
				}
			}
			check("Check", s.Check(t.Context()))
			if _, ok := s.(*storage.Local); ok {
				return
			}
			_, err := Upload(t.Context(), s, pack(t, tree(t, codeV1)), Options{Tries: 1})
			check("Upload", err)
		})
	}

	t.Run("a folder: denied", func(t *testing.T) {
		t.Parallel()
		if os.Getuid() == 0 {
			t.Skip("root may do everything")
		}
		dir := t.TempDir()
		if err := os.Chmod(dir, 0o500); err != nil {
			t.Fatal(err)
		}
		s := block{"local-file-system", map[string]any{"basepath": dir}}.open(t)
		if err := s.Check(t.Context()); !errors.Is(err, storage.ErrDenied) {
			t.Error(err)
		}
	})

	for _, b := range []block{
		{"smb", nil}, {"json", nil},
		{"remote-file-system", map[string]any{"basepath": "memory://x"}},
		{"azure", map[string]any{"bucket_path": "c"}},
		{"azure-blob-storage-container", map[string]any{"container_name": "c", "credentials": map[string]any{"connection_string": "AccountKey=" + wrongKey}}},
		{"azure", map[string]any{"bucket_path": "c", "azure_storage_account_name": "a", "azure_storage_account_key": "not base64 " + wrongKey}},
		{"s3", map[string]any{}}, {"gcs", map[string]any{"bucket_path": "b", "service_account_info": wrongKey}},
		{"github", map[string]any{"repository": "--upload-pack=x"}},
		{"s3-bucket", map[string]any{"bucket_name": "b", "credentials": map[string]any{"aws_client_parameters": map[string]any{"endpoint_url": "localhost:9000"}}}},
	} {
		text, err := json.Marshal(b.data)
		if err != nil {
			t.Fatal(err)
		}
		_, err = Open(t.Context(), b.slug, text)
		if !errors.Is(err, storage.ErrInvalid) || strings.Contains(fmt.Sprint(err), wrongKey) {
			t.Errorf("%s %v: %v", b.slug, b.data, err)
		}
	}
}

// uploadAndDie is what this program does when TestUploadersThatAreKilled starts
// it: an upload, which it may not live to see done.
func uploadAndDie() int {
	ctx := context.Background()
	b, err := Pack(ctx, PackOptions{Dir: os.Getenv("ORION_TEST_UPLOAD")})
	if err != nil {
		return 1
	}
	s, err := Open(ctx, os.Getenv("ORION_TEST_BLOCK"), []byte(os.Getenv("ORION_TEST_BLOCK_DATA")))
	if err != nil {
		return 1
	}
	if _, err := Upload(ctx, s, b, Options{}); err != nil {
		return 1
	}
	if _, err := SyncView(ctx, s, b, "view", Options{}); err != nil {
		return 1
	}
	return 0
}

// Uploaders are killed, without a chance to clean up, at any time.
func TestUploadersThatAreKilled(t *testing.T) {
	testenv.Heavy(t)
	t.Parallel()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name, make := range map[string]func(t *testing.T) block{
		"a folder": func(t *testing.T) block { return block{"local-file-system", map[string]any{"basepath": t.TempDir()}} },
		"s3-bucket": func(t *testing.T) block {
			bucket, address := newBucket(t)
			return s3Block(bucket, address, testenv.S3SecretKey)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			block := make(t)
			s := block.open(t)
			data, err := json.Marshal(block.data)
			if err != nil {
				t.Fatal(err)
			}
			random := rand.New(rand.NewPCG(7, 7))
			killed, whole := 0, 0
			for round := range 40 {
				files := map[string]string{"round": fmt.Sprint(round)}
				for i := range 40 {
					files[fmt.Sprintf("f/%02d", i)] = strings.Repeat(fmt.Sprint(round, i), 1000)
				}
				dir := tree(t, files)
				b := pack(t, dir)
				cmd := exec.Command(program, "-test.run=^$")
				cmd.Env = append(os.Environ(), "ORION_TEST_UPLOAD="+dir, "ORION_TEST_BLOCK="+block.slug, "ORION_TEST_BLOCK_DATA="+string(data))
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				timer := time.AfterFunc(time.Duration(20+random.IntN(400))*time.Millisecond, func() { _ = cmd.Process.Kill() })
				if cmd.Wait() != nil {
					killed++
				}
				timer.Stop()
				if _, err := ReadManifest(t.Context(), s, b.Hash(), Options{}); err == nil {
					whole++
					to := filepath.Join(t.TempDir(), "x")
					if _, err := Fetch(t.Context(), s, b.Hash(), to, Options{Tries: 1}); err != nil {
						t.Fatalf("round %d: a tree is marked and not whole: %v", round, err)
					}
				} else if !errors.Is(err, storage.ErrNotFound) {
					t.Fatal(err)
				}
				if round%10 == 9 {
					if _, err := Upload(t.Context(), s, b, Options{}); err != nil {
						t.Fatal(err)
					}
					if _, err := SyncView(t.Context(), s, b, "view", Options{}); err != nil {
						t.Fatal(err)
					}
					to := t.TempDir()
					if err := FetchPath(t.Context(), s, "view", to, Options{}); err != nil {
						t.Fatal(err)
					}
					wantFiles(t, read(t, to), files)
				}
			}
			if killed == 0 {
				t.Error("nobody was killed in time")
			}
			gone, err := Collect(t.Context(), s, CollectOptions{Before: time.Now().Add(time.Hour)})
			if err != nil || len(gone) == 0 {
				t.Errorf("%d trees are collected, %v", len(gone), err)
			}
			if left := keys(t, s, ".orion"); len(left) > 0 {
				t.Errorf("left: %q", left)
			}
			if l, ok := s.(*storage.Local); ok {
				if left, err := os.ReadDir(l.Folder(".orion/part")); err == nil && len(left) > 0 {
					t.Errorf("left: %v", left)
				}
			}
			t.Logf("40 uploaders, %d killed, %d trees whole", killed, whole)
		})
	}
}

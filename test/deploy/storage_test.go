package deploy

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"github.com/orionflows/orion/internal/testenv"
)

func azureConnection(address string) string {
	return "DefaultEndpointsProtocol=http;AccountName=" + testenv.AzuriteAccount + ";AccountKey=" + testenv.AzuriteKey + ";BlobEndpoint=" + address + ";"
}

// staticToken is a credential for the tests' own preparations.
type staticToken string

func (t staticToken) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: string(t), ExpiresOn: time.Now().Add(time.Hour)}, nil
}

func newContainerName() string { return strings.ToLower("c" + rand.Text()) }

func create(t *testing.T, c *container.Client, err error) *container.Client {
	t.Helper()
	if err == nil {
		_, err = c.Create(t.Context(), nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// blobs lists a container.
func blobs(t *testing.T, c *container.Client) (names []string) {
	t.Helper()
	for pages := c.NewListBlobsFlatPager(nil); pages.More(); {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range page.Segment.BlobItems {
			names = append(names, *b.Name)
		}
	}
	return names
}

// inStorage writes a flow folder whose deployment names a storage block, made by
// a line of Python.
func (w *world) inStorage(folder, imports, block string) {
	w.t.Helper()
	w.write(folder+"/code.deployment.py", imports+`
from prefect.deployments import Deployment
from flow import both
block = `+block+`
block.save("code", overwrite=True)
Deployment.build_from_flow(flow=both, name="main", work_queue_name="q", storage=type(block).load("code"), path="repo/`+folder+`", apply=True)
`)
}

func TestCodeInAzure(t *testing.T) {
	for name, prepare := range map[string]func(t *testing.T, w *world) (c *container.Client, imports, block string){
		"connection string": func(t *testing.T, w *world) (*container.Client, string, string) {
			name, connection := newContainerName(), azureConnection(testenv.Azurite(t))
			c, err := container.NewClientFromConnectionString(connection, name, nil)
			return create(t, c, err), "from prefect.filesystems import Azure",
				fmt.Sprintf("Azure(bucket_path=%q, azure_storage_connection_string=%q)", name+"/flows", connection)
		},
		"service principal": func(t *testing.T, w *world) (*container.Client, string, string) {
			name, address, entra := newContainerName(), testenv.AzuriteTLS(t), testenv.NewEntra(t)
			u, err := url.Parse(address)
			if err != nil {
				t.Fatal(err)
			}
			certificate := testenv.LocalCertificate(t).CertFile
			for _, name := range trusted {
				w.env = append(w.env, name+"="+certificate)
			}
			w.env = append(w.env, "AZURE_AUTHORITY_HOST="+entra.URL)
			c, err := container.NewClient(address+"/"+name, staticToken(entra.Token("https://storage.azure.com", time.Hour)), nil)
			return create(t, c, err), "from prefect.filesystems import RemoteFileSystem",
				fmt.Sprintf(`RemoteFileSystem(basepath="az://%s/flows", settings={"account_name": %q, "account_host": %q, "tenant_id": %q, "client_id": %q, "client_secret": %q})`,
					name, testenv.AzuriteAccount, u.Host+u.Path, testenv.EntraTenant, "b9d2b3c4-0000-4000-8000-000000000001", testenv.EntraSecret)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			python := testenv.StoragePython(t)
			c, imports, block := prepare(t, w)
			w.inStorage("load", imports, block)
			w.marked("load", "Load", "v1")
			w.write("load/old.txt", "to be deleted")
			w.commit("v1")
			w.ok("deploy")
			names := blobs(t, c)
			for _, part := range []string{"/.orion/code/", "repo/load/flow.py", "repo/load/old.txt", ".json"} {
				if !slices.ContainsFunc(names, func(n string) bool { return strings.Contains("/"+n, part) }) {
					t.Errorf("%s is not in the container: %q", part, names)
				}
			}
			first, second := w.start("Load/main"), ""
			w.agent()
			w.ended(first, "COMPLETED", "read only v1.")
			second = w.start("Load/main")
			w.prefectAgentOf(python)
			w.ended(second, "COMPLETED", "read only v1.")

			w.marked("load", "Load", "v2")
			if err := os.Remove(filepath.Join(w.repo, "load", "old.txt")); err != nil {
				t.Fatal(err)
			}
			w.commit("v2")
			w.ok("deploy")
			if names := blobs(t, c); slices.ContainsFunc(names, func(n string) bool { return strings.HasSuffix(n, "repo/load/old.txt") }) {
				t.Errorf("a file that left the repository is still in the view: %q", names)
			}
			third := w.start("Load/main")
			w.prefectAgentOf(python)
			w.ended(third, "COMPLETED", "read only v2.")
			var again run
			w.json(&again, "flow-run", "rerun", first, "--same-code")
			w.agent()
			w.ended(again.ID, "COMPLETED", "read only v1.")
			if out := w.ok("plan", "--exit-code"); !strings.Contains(out, "Nothing to do") {
				t.Errorf("the plan after the deploy:\n%s", out)
			}

			// What is wrong is told, and the server stays as it was.
			w.marked("load", "Load", "v3")
			wrong := []string{"the connection string is wrong"}
			if name == "service principal" {
				wrong = []string{"b9d2b3c4-0000-4000-8000-000000000001"}
			}
			w.inStorage("load", imports, strings.NewReplacer(testenv.AzuriteKey, "d3JvbmcgcGFzc3dvcmQ=", testenv.EntraSecret, "a wrong secret").Replace(block))
			w.failsAndChangesNothing("a wrong key", append(wrong, "Load/main")...)
			nowhere := newContainerName()
			parts := strings.Split(strings.TrimPrefix(c.URL(), "https://"), "/")
			w.inStorage("load", imports, strings.Replace(block, parts[len(parts)-1], nowhere, 1))
			w.failsAndChangesNothing("a missing container", nowhere, "az storage container create", "Load/main")
			w.inStorage("load", imports, block)
			w.ok("deploy")
		})
	}
}

// The line to the storage breaks, at every stage of an upload: the deploy tries
// again or fails, and one that failed has changed nothing on the server.
func TestALineThatBreaksLeavesTheServerAsItWas(t *testing.T) {
	w := newWorld(t)
	address := testenv.Azurite(t)
	name := newContainerName()
	c, err := container.NewClientFromConnectionString(azureConnection(address), name, nil)
	create(t, c, err)
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	proxy := testenv.NewFaultProxy(t, u.Host)
	u.Host = proxy.Address
	// A large file gives the upload a middle.
	w.inStorage("load", "from prefect.filesystems import Azure", fmt.Sprintf("Azure(bucket_path=%q, azure_storage_connection_string=%q)", name+"/flows", azureConnection(u.String())))
	version := 0
	next := func() string {
		version++
		text := fmt.Sprintf("v%d", version)
		w.marked("load", "Load", text)
		w.write("load/data.txt", strings.Repeat(text, 100_000))
		w.commit(text)
		return text
	}
	next()
	w.ok("deploy")
	marks := func() (n int) {
		for _, name := range blobs(t, c) {
			if strings.Contains(name, ".orion/manifests/") {
				n++
			}
		}
		return n
	}

	// broken deploys a next version through a line that breaks after so many
	// bytes, and tells whether its tree is whole all the same.
	broken := func(after int64) bool {
		t.Helper()
		before, had := w.server(), marks()
		next()
		proxy.CutAfter(after)
		out, errs, code := w.run("deploy")
		proxy.CutAfter(-1)
		if code != 1 || !strings.Contains(errs, "the code of Load/main") || !strings.Contains(errs, proxy.Address) {
			t.Errorf("cut after %d bytes: exit %d\n%s%s", after, code, out, errs)
		}
		if after := w.server(); after != before {
			t.Errorf("the server moved:\n%s\n%s", before, after)
		}
		return marks() > had
	}
	if broken(0) || broken(60_000) {
		t.Error("a tree is marked as whole, of which a file is missing")
	}
	// The tree is sent first, then its mark, then the view: the data once more.
	if !broken(300_000) {
		t.Error("the tree is not there, though the line broke only as the view was sent")
	}
	// For a moment only: nobody notices.
	text := next()
	cuts := proxy.Cuts()
	proxy.CutAfter(30_000)
	mended := make(chan struct{})
	go func() {
		defer close(mended)
		for proxy.Cuts() == cuts && t.Context().Err() == nil {
			time.Sleep(5 * time.Millisecond)
		}
		proxy.CutAfter(-1)
	}()
	w.ok("deploy")
	<-mended
	id := w.start("Load/main")
	w.agent()
	w.ended(id, "COMPLETED", "read only "+text+".")
}

func TestCodeInS3(t *testing.T) {
	w := newWorld(t)
	address, root := testenv.S3Server(t)
	bucket := strings.ToLower("b" + rand.Text())
	if err := os.Mkdir(filepath.Join(root, bucket), 0o755); err != nil {
		t.Fatal(err)
	}
	w.inStorage("load", "from prefect.filesystems import RemoteFileSystem", fmt.Sprintf(
		`RemoteFileSystem(basepath="s3://%s/flows", settings={"key": %q, "secret": %q, "client_kwargs": {"endpoint_url": %q, "region_name": "us-east-1"}})`,
		bucket, testenv.S3AccessKey, testenv.S3SecretKey, address))
	w.marked("load", "Load", "v1")
	w.commit("v1")
	w.ok("deploy")
	if _, err := os.Stat(filepath.Join(root, bucket, "flows", "repo", "load", "flow.py")); err != nil {
		t.Errorf("the view: %v", err)
	}
	id := w.start("Load/main")
	w.agent()
	w.ended(id, "COMPLETED", "read only v1.")
	if out := w.ok("plan", "--exit-code"); !strings.Contains(out, "Nothing to do") {
		t.Errorf("the plan after the deploy:\n%s", out)
	}
}

// The code stays in git, where the deployment says: a branch, and a folder in
// it, of a repository that asks who is there.
func TestCodeThatStaysInGit(t *testing.T) {
	w := newWorld(t)
	const flow = `
from prefect import flow, get_run_logger
@flow(name="Kept")
def kept():
    get_run_logger().info("from branch BRANCH")
`
	w.write("flows/kept/flow.py", strings.Replace(flow, "BRANCH", "main", 1))
	w.commit("first")
	root := t.TempDir()
	server := testenv.GitServer(t, root, "bot", "t0ken")
	w.git("checkout", "-q", "-b", "live")
	w.write("flows/kept/flow.py", strings.Replace(flow, "BRANCH", "live", 1))
	w.commit("second")
	w.git("clone", "-q", "--bare", w.repo, filepath.Join(root, "flows.git"))
	w.write("flows/kept/kept.deployment.py", `
from prefect.deployments import Deployment
from prefect.filesystems import GitHub
from flow import kept
GitHub(repository="`+strings.Replace(server, "://", "://bot:t0ken@", 1)+`/flows.git", reference="live").save("flows", overwrite=True)
Deployment.build_from_flow(flow=kept, name="main", work_queue_name="q", storage=GitHub.load("flows"), path="flows/kept",
    entrypoint="flows/kept/flow.py:kept", skip_upload=True, apply=True)
`)
	w.commit("third")
	w.ok("deploy")
	if out := w.ok("plan", "--exit-code"); !strings.Contains(out, "Nothing to do") {
		t.Errorf("the plan after the deploy:\n%s", out)
	}
	id := w.start("Kept/main")
	w.agent()
	w.ended(id, "COMPLETED", "from branch live")
}

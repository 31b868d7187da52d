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

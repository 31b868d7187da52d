package codestore

import (
	"context"
	"errors"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/sas"

	"github.com/orionflows/orion/internal/codestore/storage"
	"github.com/orionflows/orion/internal/testenv"
)

// staticToken is a credential for the tests' own preparations.
type staticToken string

func (t staticToken) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: string(t), ExpiresOn: time.Now().Add(time.Hour)}, nil
}

// Every way to sign in to Azure, against a real Azurite. The tokens come from a
// double, and Azurite looks at all of them but the signature. Not parallel: it
// sets what the environment says of who we are.
func TestSigningInToAzure(t *testing.T) {
	address := testenv.AzuriteTLS(t)
	entra := testenv.NewEntra(t)
	made, err := container.NewClient(address+"/code", staticToken(entra.Token("https://storage.azure.com", time.Hour)), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := made.Create(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_CLIENT_SECRET", "IDENTITY_ENDPOINT", "IDENTITY_HEADER", "AZURE_TOKEN_CREDENTIALS", "AZURE_FEDERATED_TOKEN_FILE"} {
		t.Setenv(name, "")
		os.Unsetenv(name) // as it was, at the end
	}
	t.Setenv("AZURE_AUTHORITY_HOST", entra.URL)
	const client = "b9d2b3c4-0000-4000-8000-00000000000"

	fs := func(folder string, settings map[string]any) block {
		settings["account_name"], settings["account_host"] = testenv.AzuriteAccount, u.Host+u.Path
		return block{"remote-file-system", map[string]any{"basepath": "az://code/" + folder, "settings": settings}}
	}
	works := func(name string, b block, asked ...string) {
		t.Run(name, func(t *testing.T) {
			s := b.open(t)
			if err := s.Check(t.Context()); err != nil {
				t.Error(err)
			}
			if len(asked) > 0 && !entra.Asked(asked...) {
				t.Errorf("nobody asked for a token with %q", asked)
			}
		})
	}

	works("account key", fs("key", map[string]any{"account_key": testenv.AzuriteKey}))
	works("service principal", fs("principal", map[string]any{"tenant_id": testenv.EntraTenant, "client_id": client + "1", "client_secret": testenv.EntraSecret}), "client_id="+client+"1")

	key, err := container.NewSharedKeyCredential(testenv.AzuriteAccount, testenv.AzuriteKey)
	if err != nil {
		t.Fatal(err)
	}
	signed := func(p sas.ContainerPermissions) string {
		v := sas.BlobSignatureValues{ContainerName: "code", Protocol: sas.ProtocolHTTPSandHTTP, ExpiryTime: time.Now().Add(time.Hour), Permissions: p.String()}
		q, err := v.SignWithSharedKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return q.Encode()
	}
	all := signed(sas.ContainerPermissions{Read: true, Add: true, Create: true, Write: true, Delete: true, List: true})
	works("SAS token", fs("sas", map[string]any{"sas_token": all}))
	works("SAS token in the account's URL", block{"azure-blob-storage-container", map[string]any{"container_name": "code", "base_folder": "sas2", "credentials": map[string]any{"account_url": address + "?" + all}}})

	t.Run("a SAS token that may only read", func(t *testing.T) {
		s := fs("sas", map[string]any{"sas_token": signed(sas.ContainerPermissions{Read: true, List: true})}).open(t)
		err := s.Check(t.Context())
		if !errors.Is(err, storage.ErrDenied) || !strings.Contains(err.Error(), "racwdl") {
			t.Error(err)
		}
	})
	t.Run("nobody", func(t *testing.T) {
		s := fs("anon", map[string]any{"anon": true}).open(t)
		if err := s.Check(t.Context()); !errors.Is(err, storage.ErrDenied) {
			t.Error(err)
		}
	})
	t.Run("a service principal with a wrong secret", func(t *testing.T) {
		s := fs("x", map[string]any{"tenant_id": testenv.EntraTenant, "client_id": client + "2", "client_secret": "wrong"}).open(t)
		err := s.Check(t.Context())
		if !errors.Is(err, storage.ErrCredentials) || !strings.Contains(err.Error(), client+"2") {
			t.Error(err)
		}
	})

	// The default chain, as prefect-azure and anon=False use it.
	fromEnvironment := func(folder string) block {
		return block{"azure-blob-storage-container", map[string]any{"container_name": "code", "base_folder": folder, "credentials": map[string]any{"account_url": address}}}
	}
	t.Setenv("AZURE_TENANT_ID", testenv.EntraTenant)
	t.Setenv("AZURE_CLIENT_ID", client+"3")
	t.Setenv("AZURE_CLIENT_SECRET", testenv.EntraSecret)
	works("the environment's service principal", fromEnvironment("env"), "client_id="+client+"3")
	works("the environment's service principal, through adlfs's settings", fs("env2", map[string]any{"anon": false}))

	os.Unsetenv("AZURE_CLIENT_SECRET")
	t.Setenv("AZURE_CLIENT_ID", client+"4")
	federated := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(federated, []byte("the cluster's token"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AZURE_FEDERATED_TOKEN_FILE", federated)
	works("workload identity", fromEnvironment("workload"), "client_id="+client+"4", "client_assertion=the+cluster")

	os.Unsetenv("AZURE_FEDERATED_TOKEN_FILE")
	t.Setenv("IDENTITY_ENDPOINT", entra.URL+"/identity")
	t.Setenv("IDENTITY_HEADER", "x")
	t.Setenv("AZURE_CLIENT_ID", client+"5")
	works("a managed identity of several, by the environment", fromEnvironment("managed"), "/identity", "client_id="+client+"5")
	works("a managed identity of several, by the block", fs("managed2", map[string]any{"anon": false, "managed_identity_client_id": client + "6"}), "/identity", "client_id="+client+"6")
	os.Unsetenv("AZURE_CLIENT_ID")
	works("the machine's managed identity", fromEnvironment("managed3"), "/identity")

	t.Run("an identity that the machine does not have", func(t *testing.T) {
		t.Setenv("IDENTITY_ENDPOINT", entra.URL+"/none")
		s := fs("x", map[string]any{"anon": false, "managed_identity_client_id": client + "7"}).open(t)
		if err := s.Check(t.Context()); !errors.Is(err, storage.ErrCredentials) || !strings.Contains(err.Error(), client+"7") || !strings.Contains(err.Error(), "az login") {
			t.Error(err)
		}
	})
}

func gitCommand(t testing.TB, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main", "-c", "commit.gpgsign=false"}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %q: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func TestReadingFromGit(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	server := testenv.GitServer(t, root, "bot", "t0ken")
	work := tree(t, map[string]string{"flows/flow.py": "one", "flows/lib/x.py": "x", "other/y.py": "y", "flows/run.sh*": "run"})
	gitCommand(t, work, "init", "--quiet")
	commit := func(text string) string {
		write(t, work, map[string]string{"flows/flow.py": text})
		gitCommand(t, work, "add", "-A")
		gitCommand(t, work, "commit", "--quiet", "-m", text)
		return gitCommand(t, work, "rev-parse", "HEAD")
	}
	first := commit("one!")
	gitCommand(t, work, "tag", "v1")
	commit("two!")
	gitCommand(t, work, "branch", "feature/x")
	if err := os.Symlink("../other", filepath.Join(work, "flows", "linked")); err != nil {
		t.Fatal(err)
	}
	commit("three!")
	gitCommand(t, root, "clone", "--quiet", "--bare", work, "repo.git")

	for _, c := range []struct{ reference, want string }{{"", "three!"}, {"main", "three!"}, {"feature/x", "two!"}, {"v1", "one!"}, {first, "one!"}} {
		t.Run("at "+c.reference, func(t *testing.T) {
			t.Parallel()
			s := block{"gitlab-repository", map[string]any{"repository": strings.Replace(server, "://", "://bot:t0ken@", 1) + "/repo.git", "reference": c.reference}}.open(t)
			if err := s.Check(t.Context()); err != nil {
				t.Error(err)
			}
			dir := t.TempDir()
			if err := FetchPath(t.Context(), s, "flows", dir, Options{}); err != nil {
				t.Fatal(err)
			}
			want := map[string]string{"flows/flow.py": c.want, "flows/lib/x.py": "x", "flows/run.sh*": "run"}
			if c.want == "three!" {
				want["flows/linked/y.py"] = "y"
			}
			wantFiles(t, read(t, dir), want)
			dir = t.TempDir()
			if err := FetchPath(t.Context(), s, "", dir, Options{}); err != nil {
				t.Fatal(err)
			}
			if got := read(t, dir); got["flows/flow.py"] != c.want || got["other/y.py"] != "y" {
				t.Errorf("all of it: %q", got)
			}
			if _, err := Upload(t.Context(), s, pack(t, tree(t, codeV1)), Options{}); !errors.Is(err, storage.ErrReadOnly) {
				t.Errorf("Upload: %v", err)
			}
			if _, ok := s.(storage.ReadOnly); !ok {
				t.Error("it does not say that it can only be read")
			}
		})
	}

	withToken := func(token, reference string) block {
		return block{"bitbucket-repository", map[string]any{"repository": server + "/repo.git", "reference": reference, "bitbucket_credentials": map[string]any{"username": "bot", "token": token}}}
	}
	for _, c := range []struct {
		name  string
		block block
		kind  error
	}{
		{"wrong token", withToken("wr0ng", ""), storage.ErrCredentials},
		{"no token", block{"github", map[string]any{"repository": server + "/repo.git"}}, storage.ErrCredentials},
		{"no branch", withToken("t0ken", "nowhere"), storage.ErrNotFound},
		{"no commit", withToken("t0ken", strings.Repeat("0", 39)+"1"), storage.ErrNotFound},
		{"no repository", block{"github", map[string]any{"repository": strings.Replace(server, "://", "://bot:t0ken@", 1) + "/none.git"}}, storage.ErrNoContainer},
		{"nobody there", block{"github", map[string]any{"repository": "http://127.0.0.1:1/x.git"}}, storage.ErrUnreachable},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := c.block.open(t)
			err := FetchPath(t.Context(), s, "flows", t.TempDir(), Options{Tries: 1})
			if !errors.Is(err, c.kind) {
				t.Errorf("%v, want: %v", err, c.kind)
			}
			if err != nil && (strings.Contains(err.Error(), "wr0ng") || strings.Contains(err.Error(), "t0ken")) {
				t.Errorf("it tells a secret: %v", err)
			}
		})
	}
}

package client

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/orionflows/orion"
)

// The rest of this file is Orion's own: a Prefect server answers NotFound.

// Versions lists a deployment's versions, the newest first.
func (c *Client) Versions(ctx context.Context, deployment orion.ID, limit, offset int) (out []orion.DeploymentVersion, err error) {
	err = c.Do(ctx, http.MethodGet, Path("/orion/deployments/%s/versions", deployment)+fmt.Sprintf("?limit=%d&offset=%d", limit, offset), nil, &out)
	return out, err
}

// VersionDetail is a version with the settings it holds.
type VersionDetail struct {
	orion.DeploymentVersion
	Settings orion.DeploymentCreate `json:"settings"`
}

// Version reads one version of a deployment.
func (c *Client) Version(ctx context.Context, deployment orion.ID, number int64) (out *VersionDetail, err error) {
	err = c.Do(ctx, http.MethodGet, Path("/orion/deployments/%s/versions/%s", deployment, strconv.FormatInt(number, 10)), nil, &out)
	return out, err
}

// RollBack makes a deployment again what it was at a version, as a new one.
func (c *Client) RollBack(ctx context.Context, deployment orion.ID, number int64) (out *orion.DeploymentVersion, err error) {
	err = c.Do(ctx, http.MethodPost, Path("/orion/deployments/%s/rollback", deployment), map[string]any{"number": number}, &out)
	return out, err
}

// OwnedDeployments lists the deployments that a repository deployed last.
func (c *Client) OwnedDeployments(ctx context.Context, repository string) (out []orion.OwnedDeployment, err error) {
	err = c.Do(ctx, http.MethodPost, "/orion/deployments/owned", map[string]any{"repository": repository}, &out)
	return out, err
}

// Batch carries out requests together: all of them or none.
func (c *Client) Batch(ctx context.Context, b orion.Batch) (out []orion.BatchAnswer, err error) {
	err = c.Do(ctx, http.MethodPost, "/orion/batch", b, &out)
	return out, err
}

// RunCode answers which code a run ran or is to run.
func (c *Client) RunCode(ctx context.Context, run orion.ID) (out *orion.RunCode, err error) {
	err = c.Do(ctx, http.MethodGet, Path("/orion/flow_runs/%s/code", run), nil, &out)
	return out, err
}

// Rerun starts a run again with its parameters; same is with the code it ran,
// else with what its deployment runs now.
func (c *Client) Rerun(ctx context.Context, run orion.ID, same bool) (out *orion.FlowRun, err error) {
	code := "latest"
	if same {
		code = "same"
	}
	key := orion.NewID().String() // sent again after a lost answer it makes no second run
	err = c.Do(ctx, http.MethodPost, Path("/orion/flow_runs/%s/rerun", run), map[string]any{"code": code, "idempotency_key": "rerun-" + key}, &out)
	return out, err
}

// MissingBundles tells which bundles the server does not keep. The others it
// keeps at least until they are deployed.
func (c *Client) MissingBundles(ctx context.Context, hashes []string) (out []string, err error) {
	err = c.Do(ctx, http.MethodPost, "/orion/bundles/missing", map[string]any{"bundles": hashes}, &out)
	return out, err
}

// PutBundle gives the server the archive of a bundle to keep.
func (c *Client) PutBundle(ctx context.Context, hash string, archive []byte) error {
	return c.retried(ctx, func() (retry, error) {
		res, err := c.send(ctx, http.MethodPut, Path("/orion/bundles/%s", hash), bytes.NewReader(archive), "application/gzip")
		if err != nil {
			return again, err
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err != nil {
			return again, &Unreachable{c.base.String(), err}
		}
		return verdict(res, b)
	})
}

// GetBundle opens the archive of a bundle that the server keeps.
func (c *Client) GetBundle(ctx context.Context, hash string) (archive io.ReadCloser, err error) {
	err = c.retried(ctx, func() (retry, error) {
		res, err := c.send(ctx, http.MethodGet, Path("/orion/bundles/%s", hash), nil, "")
		if err != nil {
			return again, err
		}
		if res.StatusCode == http.StatusOK {
			archive = res.Body
			return never, nil
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err != nil {
			return again, &Unreachable{c.base.String(), err}
		}
		return verdict(res, b)
	})
	return archive, err
}

// UnusedBundle is a bundle that nothing needs any more, where it lies.
type UnusedBundle struct {
	Bundle            string            `json:"bundle"`
	Store             orion.BundleStore `json:"store"`
	StorageDocumentID orion.ID          `json:"storage_document_id"`
}

// UnusedBundles lists what may be removed from the storages: bundles that no
// deployment runs, no run refers to, and no version made since needs.
func (c *Client) UnusedBundles(ctx context.Context, since orion.Time) (out []UnusedBundle, err error) {
	err = c.Do(ctx, http.MethodGet, "/orion/bundles/unused?since="+since.Std().UTC().Format("2006-01-02T15:04:05Z"), nil, &out)
	return out, err
}

// BundleCollected notes that a bundle was removed from its storage.
func (c *Client) BundleCollected(ctx context.Context, b UnusedBundle) error {
	return c.Do(ctx, http.MethodPost, "/orion/bundles/collected", b, nil)
}

// RunURL is the API's URL for the processes of a run, which are answered as of
// the version of the code that the run takes; folder is where that code is, or
// "" when the process fetches it.
func (c *Client) RunURL(run orion.ID, folder string) string {
	u := c.base.String() + Path("/orion/run/%s", run)
	if folder != "" {
		u += "/=" + base64.RawURLEncoding.EncodeToString([]byte(folder))
	}
	return u
}

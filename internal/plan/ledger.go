package plan

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/client"
)

// ledger knows what a repository deployed last.
type ledger interface {
	owned(ctx context.Context, repository string) ([]orion.OwnedDeployment, error)
}

// serverLedger is an Orion server: it keeps versions.
type serverLedger struct{ c *client.Client }

func (l serverLedger) owned(ctx context.Context, repository string) ([]orion.OwnedDeployment, error) {
	return l.c.OwnedDeployments(ctx, repository)
}

// ownerTag marks a deployment as a repository's where the server has no place
// for that: as a tag.
func ownerTag(repository string) string { return "repository:" + repository }

func isOwnerTag(tag string) bool { return strings.HasPrefix(tag, "repository:") }

// localLedger is any other server. Whose a deployment is, is written on it as a
// tag; what the last deploy declared is kept on this machine. Where that is not
// at hand, as in most CI jobs, every file is run, and what was changed by hand
// cannot be told from what the repository changed.
type localLedger struct {
	c   *client.Client
	dir string
}

func (l localLedger) path(repository string) string {
	sum := sha256.Sum256([]byte(l.c.URL() + "\n" + repository))
	return filepath.Join(l.dir, hex.EncodeToString(sum[:8])+".json")
}

// localVersion is what is kept of one deployment.
type localVersion struct {
	Revision string                        `json:"revision"`
	Version  orion.DeploymentVersionCreate `json:"version"`
}

func (l localLedger) owned(ctx context.Context, repository string) ([]orion.OwnedDeployment, error) {
	kept := map[orion.ID]localVersion{}
	if b, err := os.ReadFile(l.path(repository)); err == nil && orion.Decode(b, &kept) != nil {
		kept = nil // written by another version: as if it were not there
	}
	tags := []string{ownerTag(repository)}
	var out []orion.OwnedDeployment
	flows := map[orion.ID]string{}
	for {
		offset := int64(len(out))
		q := client.Query{Page: orion.Page{Offset: &offset}}
		q.Deployments = &orion.DeploymentFilter{Tags: &orion.Cond[string]{All: &tags}}
		ds, err := l.c.Deployments(ctx, q)
		if err != nil {
			return nil, err
		}
		for i := range ds {
			d := &ds[i]
			if flows[d.FlowID] == "" {
				f, err := l.c.Flow(ctx, d.FlowID)
				if err != nil {
					return nil, err
				}
				flows[d.FlowID] = f.Name
			}
			v := &orion.DeploymentVersion{DeploymentID: d.ID}
			if k, ok := kept[d.ID]; ok {
				v.DeploymentVersionCreate, v.Current = k.Version, true
			}
			out = append(out, orion.OwnedDeployment{FlowName: flows[d.FlowID], Deployment: d, Version: v})
		}
		if len(ds) < orion.MaxLimit {
			return out, nil
		}
	}
}

// remember keeps what was deployed for the next time.
func (l localLedger) remember(repository string, made map[orion.ID]localVersion, gone []orion.ID) error {
	kept := map[orion.ID]localVersion{}
	if b, err := os.ReadFile(l.path(repository)); err == nil && orion.Decode(b, &kept) != nil {
		kept = map[orion.ID]localVersion{}
	}
	for id, v := range made {
		kept[id] = v
	}
	for _, id := range gone {
		delete(kept, id)
	}
	b, err := orion.Encode(kept)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(l.dir, 0o700); err != nil {
		return err
	}
	temporary := l.path(repository) + ".new"
	if err := os.WriteFile(temporary, b, 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, l.path(repository))
}

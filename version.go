package orion

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
)

// DeploymentVersion is a deployment as one deploy of its repository left it:
// where the code is, what was asked for, and who asked. Versions are numbered
// from 1 within their deployment and never change, except that Collected is
// set once the code is gone.
type DeploymentVersion struct {
	ID           ID     `json:"id"`
	Created      Time   `json:"created"`
	DeploymentID ID     `json:"deployment_id"`
	Number       int64  `json:"number"`
	Actor        string `json:"actor"`
	// Current says that the deployment runs this version now.
	Current bool `json:"current"`
	// RolledBackTo is the number of the version that this one repeats.
	RolledBackTo *int64 `json:"rolled_back_to"`
	// Collected is when the code was removed from its storage.
	Collected Time `json:"collected"`
	DeploymentVersionCreate
}

// DeploymentVersionCreate is what a deploy tells of the version it makes.
type DeploymentVersionCreate struct {
	// Repository names the repository that the deployment belongs to.
	Repository string `json:"repository"`
	// File is the deployment file, relative to the repository's root.
	File string `json:"file"`
	// Commit, Author and Message describe the revision; nil outside git. Dirty
	// says that the working tree differed from it.
	Commit  *string `json:"commit"`
	Author  *string `json:"author"`
	Message *string `json:"message"`
	Dirty   bool    `json:"dirty"`
	// Bundle is the hash of the code; nil where the deployment's code is not
	// kept by Orion (an image, a git repository).
	Bundle *string `json:"bundle"`
	// Store says where the bundle lies: in the deployment's storage, or with
	// the Orion server itself.
	Store *BundleStore `json:"store"`
	// View is the mirrored path that shows the code to people.
	View *string `json:"view"`
	// Requirements are the installed packages of the flow's environment, each
	// as name==version.
	Requirements []string `json:"requirements"`
	// Declared holds a digest of each setting as the file declared it, by which
	// a later plan tells a change in the repository from one made by hand.
	Declared map[string]string `json:"declared"`
	// Inputs are what the deployment file read when it was run, by which a
	// later deploy tells that nothing changed. Opaque to the server.
	Inputs JSON `json:"inputs"`
}

// BundleStore says which kind of place holds a bundle.
type BundleStore string

const (
	// InStorage is the storage block of the deployment.
	InStorage BundleStore = "storage"
	// InServer is the Orion server.
	InServer BundleStore = "server"
)

var bundleHash = regexp.MustCompile(`^[0-9a-f]{64}$`)

// ValidBundle checks the form of a bundle's hash: 64 hexadecimal digits.
func ValidBundle(hash string) error {
	if !bundleHash.MatchString(hash) {
		return Errorf(Invalid, "%q is not the hash of a bundle: it has 64 hexadecimal digits", hash)
	}
	return nil
}

// Validate checks what the server itself relies on.
func (c *DeploymentVersionCreate) Validate() error {
	if c.Repository == "" {
		return Required("repository")
	}
	if (c.Bundle == nil) != (c.Store == nil) {
		return Errorf(Invalid, "bundle and store go together")
	}
	if c.Bundle == nil {
		return nil
	}
	if *c.Store != InStorage && *c.Store != InServer {
		return Errorf(Invalid, "a bundle is in %q or %q, not in %q", InStorage, InServer, *c.Store)
	}
	return ValidBundle(*c.Bundle)
}

// RunCode is the code that a flow run ran, or is to run.
type RunCode struct {
	Version *DeploymentVersion `json:"version"`
	// Deployment is the deployment with the code settings of that version.
	Deployment *Deployment `json:"deployment"`
	// Pinned says that the run was made for this version, whatever the
	// deployment has become since.
	Pinned bool `json:"pinned"`
	// Exact is false when the deployment changed while a client that cannot
	// tell which version it read was starting.
	Exact bool `json:"exact"`
}

// OwnedDeployment is a deployment that belongs to a repository.
type OwnedDeployment struct {
	FlowName   string             `json:"flow_name"`
	Deployment *Deployment        `json:"deployment"`
	Version    *DeploymentVersion `json:"version"`
}

// Revision changes whenever somebody changes the deployment or its schedules.
// It can be computed from any server's answer.
func (d *Deployment) Revision() string {
	h := sha256.New()
	fmt.Fprintf(h, "%s %d\n", d.ID, d.Updated.Micro())
	for _, s := range d.Schedules {
		fmt.Fprintf(h, "%s %d\n", s.ID, s.Updated.Micro())
	}
	return hex.EncodeToString(h.Sum(nil)[:12])
}

// Batch is a list of requests that succeed or fail together.
type Batch struct {
	// Expect says how deployments must be for the batch to be carried out.
	Expect []Expectation `json:"expect"`
	// Requests are carried out in order.
	Requests []BatchRequest `json:"requests"`
}

// Expectation is a deployment as somebody has seen it.
type Expectation struct {
	Flow       string `json:"flow"`
	Deployment string `json:"deployment"`
	// Revision is [Deployment.Revision]; empty when there was no such
	// deployment.
	Revision string `json:"revision"`
}

// BatchRequest is one request of a batch. Wherever Placeholder occurs in the
// path or body of a later request, it stands for the id that this one answers.
type BatchRequest struct {
	Method      string `json:"method"`
	Path        string `json:"path"`
	Body        JSON   `json:"body,omitzero"`
	Placeholder ID     `json:"placeholder,omitzero"`
}

// BatchAnswer is the answer to one request of a batch.
type BatchAnswer struct {
	Status int  `json:"status"`
	Body   JSON `json:"body"`
}

// maxBatchRequests bounds a batch, which holds up other writers.
const maxBatchRequests = 20_000

// Validate checks the form of each request.
func (b *Batch) Validate() error {
	if len(b.Requests) > maxBatchRequests {
		return Errorf(Invalid, "a batch has at most %d requests, this one has %d", maxBatchRequests, len(b.Requests))
	}
	for i, r := range b.Requests {
		if r.Method == "" || r.Path == "" || r.Path[0] != '/' {
			return Errorf(Invalid, "request %d of the batch needs a method, and a path that begins with a slash", i)
		}
	}
	return nil
}

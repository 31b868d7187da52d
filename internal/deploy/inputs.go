package deploy

import "github.com/orionflows/orion/internal/overlay"

// Inputs are what a deployment file's outcome depended on besides what the
// server said: what it read below the repository's root, and of its
// environment. While their [Fingerprint] stays the same, so does the outcome.
// Paths are relative to the root, with forward slashes.
type Inputs struct {
	// Files were opened or imported.
	Files []string `json:"files"`
	// Absent were looked for and not there: a module that may come to be.
	Absent []string `json:"absent,omitempty"`
	// Folders were listed.
	Folders []string `json:"folders,omitempty"`
	// Env are the variables that were read, with the SHA-256 of the value in
	// hexadecimal; "" for one that was not set.
	Env     map[string]string `json:"env,omitempty"`
	Modules []Module          `json:"modules,omitempty"`
	Python  string            `json:"python"`
	Prefect string            `json:"prefect"`
	// Complete is false when the file ended in a way that kept the list from
	// being written, such as a signal: then nothing may be concluded from it.
	Complete bool `json:"complete"`
}

// Module is Python code of the repository outside the file's folder that the
// file imports, or that its code imports wherever it does, and which a bundle
// must therefore hold.
type Module struct {
	Name string `json:"name"` // as imported: "shared.money"
	File string `json:"file"` // below the root: "projects/shop/shared/money.py"
	// Bundle is where import finds it when the bundle's own root is on
	// Python's path: "shared/money.py".
	Bundle string `json:"bundle"`
	// Lazy tells that it was not imported yet: an import inside a function.
	Lazy bool `json:"lazy,omitempty"`
}

// What an upload is.
const (
	UploadCode   = "code"   // a deployment's own
	UploadFolder = "folder" // what the file itself puts into a storage block
	UploadFile   = "file"
	UploadStep   = "step" // a push step's
)

// Upload is code or data that a file would have put into a storage.
type Upload struct {
	What string `json:"what"`
	// Flow and Deployment name whose code it is; "" where that is not known.
	Flow       string `json:"flow,omitempty"`
	Deployment string `json:"deployment,omitempty"`
	// StorageID is the storage block's document, perhaps provisional; "" for a
	// push step. Storage is its type's slug, or the step's full name.
	StorageID string `json:"storage_id,omitempty"`
	Storage   string `json:"storage"`
	// Path is below the storage's own; LocalPath is what would be uploaded,
	// IgnoreFile what decides which of it, both as the file gave them, relative
	// to CWD.
	Path       string `json:"path,omitempty"`
	LocalPath  string `json:"local_path,omitempty"`
	IgnoreFile string `json:"ignore_file,omitempty"`
	CWD        string `json:"cwd"`
	// Bucket is a push step's container or bucket; Credentials and Client are
	// the inputs that say how it is reached, and may hold secrets.
	Bucket      string       `json:"bucket,omitempty"`
	Credentials overlay.Body `json:"credentials,omitempty"`
	Client      overlay.Body `json:"client,omitempty"`
}

// Collected is what a deployment file would do: its writes are in the
// recording of the overlay that it ran against, under File.Rel.
type Collected struct {
	Result
	Inputs  Inputs
	Uploads []Upload
	// Warnings are, in words for the user, what could not be collected and was
	// left undone, or may have been done.
	Warnings []string
}

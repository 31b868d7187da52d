package overlay

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/orionflows/orion"
)

// Kind is what a write is about, in the words of the page.
type Kind string

// The kinds of objects that files may write.
const (
	Flow         Kind = "flow"
	Deployment   Kind = "deployment"
	Schedule     Kind = "schedule"
	BlockType    Kind = "block type"
	BlockSchema  Kind = "block schema"
	Block        Kind = "block"
	WorkQueue    Kind = "work queue"
	WorkPool     Kind = "work pool"
	Variable     Kind = "variable"
	TagLimit     Kind = "concurrency limit"
	GlobalLimit  Kind = "global concurrency limit"
	Notification Kind = "notification policy"
	Artifact     Kind = "artifact"
	Automation   Kind = "automation"
)

// Action is what a write does to its object.
type Action string

// The actions. An Ensure finds the object that the server has, or makes it: a
// flow, a block schema.
const (
	Ensure Action = "ensure"
	Create Action = "create"
	Update Action = "update"
	Delete Action = "delete"
)

// Body is the JSON of a request or an answer. It may hold secrets, so it shows
// nothing of itself when it is printed or logged; as JSON it is written whole.
type Body []byte

func (b Body) String() string               { return fmt.Sprintf("(%d bytes)", len(b)) }
func (b Body) Format(s fmt.State, _ rune)   { fmt.Fprint(s, b.String()) }
func (b Body) LogValue() slog.Value         { return slog.StringValue(b.String()) }
func (b Body) JSON() orion.JSON             { return orion.JSON(b) }
func (b Body) MarshalJSON() ([]byte, error) { return orNull(b), nil }

// UnmarshalJSON keeps a copy.
func (b *Body) UnmarshalJSON(text []byte) error {
	*b = nil
	if string(text) != "null" {
		*b = bytes.Clone(text)
	}
	return nil
}

func orNull(b []byte) []byte {
	if len(b) == 0 {
		return []byte("null")
	}
	return b
}

// Write is one request that a file made, and that the server never saw.
type Write struct {
	Seq    int    `json:"seq"`  // place among all writes of the recording, from 0
	File   string `json:"file"` // the name given to Overlay.File
	Method string `json:"method"`
	// Path is below the API, with its query: "/deployments/". Ids in it and in
	// Body are those that the file was told.
	Path   string `json:"path"`
	Body   Body   `json:"body"`
	Kind   Kind   `json:"kind"`
	Action Action `json:"action"`
	Name   string `json:"name"` // for people: "flow/deployment", "secret/token"
	// ID is the object's: the server's own when Existing, else provisional. A
	// provisional id is made from kind and name (or from the file and a count
	// where there is no name), so the same file gets the same ones every time.
	ID       orion.ID `json:"id"`
	Existing bool     `json:"existing"`
	// Uses are the other provisional ids in Path and Body.
	Uses []orion.ID `json:"uses,omitempty"`
	// Secret tells that Body holds a block's data.
	Secret bool `json:"secret,omitempty"`
}

func (w Write) String() string {
	return fmt.Sprintf("%s: %s %s %q", w.File, w.Action, w.Kind, w.Name)
}

// Replay returns path and body with ids exchanged: for each provisional id the
// one that the server gave its object.
func (w Write) Replay(ids map[orion.ID]orion.ID) (path string, body []byte) {
	path, body = w.Path, bytes.Clone(w.Body)
	for _, id := range append(slices.Clone(w.Uses), w.ID) {
		real, ok := ids[id]
		if !ok || real == id {
			continue
		}
		path = strings.ReplaceAll(path, id.String(), real.String())
		body = bytes.ReplaceAll(body, []byte(id.String()), []byte(real.String()))
	}
	return path, body
}

// Claim is what files say of one deployment: the sum of their requests.
type Claim struct {
	File string   `json:"file"`
	Flow string   `json:"flow"`
	Name string   `json:"name"`
	ID   orion.ID `json:"id"` // provisional unless Existing
	// Existing tells that the server has it; Before is then what it answers.
	Existing bool `json:"existing"`
	Before   Body `json:"before,omitempty"`
	// Create is the last request that made or updated it; later ones that
	// changed single fields are merged in.
	Create orion.DeploymentCreate `json:"create"`
	// After is what the server would answer once all is written.
	After Body `json:"after"`
	// Storage and Infrastructure are the blocks it names; nil without.
	Storage        *BlockUse `json:"storage,omitempty"`
	Infrastructure *BlockUse `json:"infrastructure,omitempty"`
}

// FullName is how people name a deployment.
func (c Claim) FullName() string { return c.Flow + "/" + c.Name }

// BlockUse is a block as a deployment refers to it.
type BlockUse struct {
	ID        orion.ID `json:"id"` // provisional unless Existing
	Existing  bool     `json:"existing"`
	Type      string   `json:"type"` // slug
	Name      string   `json:"name"`
	Anonymous bool     `json:"anonymous"`
	// Data is whole, with nested blocks in place; Masked hides what the schema
	// calls secret, as the server does.
	Data   Body       `json:"data"`
	Masked orion.JSON `json:"masked"`
	Schema orion.JSON `json:"schema"` // the block schema, with its type
}

// Conflict is a deployment that several files claim.
type Conflict struct {
	Deployment string   `json:"deployment"` // "flow/deployment"
	Files      []string `json:"files"`
}

// Read is something that a file asked the server. While the digest of the
// answer stays as it is, the file would be told the same again.
type Read struct {
	Method string `json:"method"`
	Path   string `json:"path"` // with its query
	Body   Body   `json:"body,omitempty"`
	Digest string `json:"digest"`
}

// Implied is an object that comes with another: a deployment's work queue, the
// first queue of a pool.
type Implied struct {
	ID   orion.ID `json:"id"`   // provisional
	Path string   `json:"path"` // where the server answers it, and its own id, once it is there
}

// Recording is what files would have done to a server. It is written to JSON
// and read again by orion.Encode and Decode; what is written holds secrets.
type Recording struct {
	Writes    []Write           `json:"writes"`
	Claims    []Claim           `json:"claims"`
	Conflicts []Conflict        `json:"conflicts,omitempty"`
	Reads     map[string][]Read `json:"reads"` // of the server, by file
	// Implied are objects that the server makes along with others, which no
	// write makes but later ones may name.
	Implied []Implied `json:"implied,omitempty"`
	// Needs are the files whose writes a file has read, by file.
	Needs map[string][]string `json:"needs,omitempty"`
	// Refused are the requests that were answered with an error because they
	// would have changed the server in a way that cannot be recorded; by file.
	Refused map[string][]string `json:"refused,omitempty"`
}

// For returns the writes of some files, and those writes of others that made
// what they use, in order.
func (r *Recording) For(files ...string) []Write {
	wanted := map[orion.ID]bool{}
	var writes []Write
	for _, w := range slices.Backward(r.Writes) {
		made := w.Action != Delete && !w.Existing && wanted[w.ID]
		if !made && !slices.Contains(files, w.File) {
			continue
		}
		for _, id := range append(slices.Clone(w.Uses), w.ID) {
			wanted[id] = true
		}
		writes = append(writes, w)
	}
	slices.Reverse(writes)
	return writes
}

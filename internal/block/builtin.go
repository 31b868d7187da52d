package block

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"

	"github.com/orionflows/orion"
)

// blocks.json and workers.json are written by gen/facts.py.

//go:embed blocks.json
var blocks []byte

//go:embed workers.json
var workers []byte

// BuiltIn reads the schemas of the 69 types that Prefect 2.20 has from the
// start, each with its type and without ids. The checksums are those by which
// Prefect's clients recognise the schemas: the fields lack the descriptions that
// went into them.
func BuiltIn() ([]orion.BlockSchema, error) {
	var rows []struct {
		Slug         string     `json:"slug"`
		Name         string     `json:"name"`
		Description  string     `json:"description"`
		Protected    bool       `json:"protected"`
		Version      string     `json:"version"`
		Checksum     string     `json:"checksum"`
		Capabilities []string   `json:"capabilities"`
		Fields       orion.JSON `json:"fields"`
	}
	if err := orion.Decode(blocks, &rows); err != nil {
		return nil, fmt.Errorf("reading the built-in blocks: %w", err)
	}
	out := make([]orion.BlockSchema, len(rows))
	for i, r := range rows {
		out[i] = orion.BlockSchema{
			Checksum: r.Checksum, Fields: r.Fields, Capabilities: r.Capabilities, Version: r.Version,
			BlockType: &orion.BlockType{Name: r.Name, Slug: r.Slug, Description: &r.Description, IsProtected: r.Protected},
		}
	}
	return out, nil
}

// Digest names what BuiltIn answers: another one means that there is something
// new to store.
func Digest() string {
	sum := sha256.Sum256(blocks)
	return hex.EncodeToString(sum[:16])
}

// WorkerTypes is what Prefect's clients call the worker metadata: every type of
// work pool with the job template that a new pool of that type begins with, by
// the collection it comes from.
func WorkerTypes() orion.JSON { return workers }

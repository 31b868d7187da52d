package deploy

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
)

func (in *Inputs) Fingerprint(root string, env []string) (string, error) {
	h := sha256.New()
	for _, f := range in.Files {
		b, _ := os.ReadFile(filepath.Join(root, f))
		fmt.Fprintf(h, "%s %d %x\n", f, len(b), sha256.Sum256(b))
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

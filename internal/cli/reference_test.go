package cli

import (
	"bytes"
	"os"
	"testing"
)

func TestTheReferenceIsThatOfTheCommands(t *testing.T) {
	page, err := os.ReadFile("../../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	a := &app{out: os.Stdout, err: os.Stderr, in: os.Stdin}
	if !bytes.Equal(page, reference(a.root())) {
		t.Error("docs/cli.md says something else than the commands: run go generate ./internal/cli")
	}
}

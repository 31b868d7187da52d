package secret

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestSealedValuesOpenOnlyWithTheirKeyInTheirPlace(t *testing.T) {
	file := filepath.Join(t.TempDir(), "deep", "encryption.key")
	key, err := KeyFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := KeyFile(file); again != key {
		t.Fatal("a second start made another key")
	}
	s, err := Open(key)
	if err != nil {
		t.Fatal(err)
	}
	sealed := s.Seal([]byte("open sesame"), "block a")
	if strings.Contains(sealed, "sesame") {
		t.Fatal("sealed text is readable")
	}
	if b, err := s.Unseal(sealed, "block a"); err != nil || string(b) != "open sesame" {
		t.Fatalf("got %q, %v", b, err)
	}
	if _, err := s.Unseal(sealed, "block b"); err == nil {
		t.Error("a value opened in another place")
	}
	other, _ := Open(NewKey())
	if _, err := other.Unseal(sealed, "block a"); err == nil {
		t.Error("a value opened with another key")
	}
	if _, err := Open("short"); err == nil {
		t.Error("a short key was accepted")
	}
}

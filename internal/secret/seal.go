// Package secret seals what must not be read from the database by whoever gets
// hold of it. Start with [Open].
package secret

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Mask is what is shown in place of a secret.
const Mask = "********"

// Sealer seals and opens with one key. It is safe for concurrent use.
type Sealer struct{ aead cipher.AEAD }

// prefix marks the format and the key of a sealed value.
const prefix = "sealed:1:"

// Open makes a sealer from a key: 32 bytes in base64 (of either alphabet).
func Open(key string) (*Sealer, error) {
	b, err := base64.URLEncoding.DecodeString(strings.NewReplacer("+", "-", "/", "_").Replace(strings.TrimSpace(key)))
	if err != nil || len(b) != 32 {
		return nil, errors.New("the encryption key must be 32 bytes in base64; make one with: openssl rand -base64 32")
	}
	block, err := aes.NewCipher(b)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	return &Sealer{aead}, nil
}

// NewKey makes a key for Open.
func NewKey() string {
	b := make([]byte, 32)
	rand.Read(b)
	return base64.URLEncoding.EncodeToString(b)
}

// KeyFile reads the key in a file, making the file when it is not there.
func KeyFile(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err == nil {
		return string(b), nil
	}
	if !os.IsNotExist(err) {
		return "", err
	}
	key := NewKey()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		if os.IsExist(err) { // another process was faster
			b, err := os.ReadFile(path)
			return string(b), err
		}
		return "", err
	}
	_, err = f.WriteString(key)
	return key, errors.Join(err, f.Sync(), f.Close())
}

// Seal encrypts text; about names the place it belongs to, so that a sealed
// value cannot be moved to another.
func (s *Sealer) Seal(text []byte, about string) string {
	nonce := make([]byte, s.aead.NonceSize())
	rand.Read(nonce)
	return prefix + base64.RawStdEncoding.EncodeToString(s.aead.Seal(nonce, nonce, text, []byte(about)))
}

// Unseal is the reverse of Seal.
func (s *Sealer) Unseal(sealed, about string) ([]byte, error) {
	body, ok := strings.CutPrefix(sealed, prefix)
	if !ok {
		return nil, errors.New("the value is not sealed in a form this version knows")
	}
	b, err := base64.RawStdEncoding.DecodeString(body)
	n := s.aead.NonceSize()
	if err != nil || len(b) < n {
		return nil, errors.New("the sealed value is damaged")
	}
	out, err := s.aead.Open(nil, b[:n], b[n:], []byte(about))
	if err != nil {
		return nil, fmt.Errorf("the value was sealed with another key, or is damaged: is ORION_ENCRYPTION_KEY the one it was written with?")
	}
	return out, nil
}

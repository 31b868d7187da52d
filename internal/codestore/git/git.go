// Package git reads code from a git repository. Nothing can be put there: what
// is deployed is what was pushed. Start with [Open].
package git

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/orionflows/orion/internal/codestore/storage"
)

// Config says which repository, and what of it.
type Config struct {
	URL       string // may hold a user and a password
	Reference string // a branch, a tag or a commit; "" is the repository's own branch
	// User and Password are used for http and https, in place of those in URL.
	User, Password string
}

// Store is a repository at a reference. It is cloned when it is first read.
type Store struct {
	url, reference string // url without user and password
	user, password string

	mu    sync.Mutex // guards clone
	clone *storage.Local
}

// Open prepares a store; it asks nothing of the repository yet.
func Open(c Config) (*Store, error) {
	if c.URL == "" {
		return nil, errors.New("it names no repository")
	}
	// Neither may be taken for an option.
	if strings.HasPrefix(c.URL, "-") || strings.HasPrefix(c.Reference, "-") {
		return nil, fmt.Errorf("%q is no repository, or %q no branch, tag or commit", c.URL, c.Reference)
	}
	s := &Store{url: c.URL, reference: c.Reference}
	u, err := url.Parse(c.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" {
		return s, nil // ssh and files have ways of their own
	}
	s.user, s.password = c.User, c.Password
	if s.user == "" && s.password == "" {
		s.user = u.User.Username()
		s.password, _ = u.User.Password()
	}
	u.User = nil
	s.url = u.String()
	return s, nil
}

func (s *Store) String() string {
	if s.reference == "" {
		return "the git repository " + s.url
	}
	return fmt.Sprintf("the git repository %s at %s", s.url, s.reference)
}

// Key is the path of a folder in the repository.
func (s *Store) Key(path string) (string, error) {
	path = strings.Trim(path, "/")
	if path == "" || path == "." {
		return "", nil
	}
	path = strings.TrimPrefix(path, "./")
	return path, storage.ValidKey(path)
}

// Checkout is the repository's files on this machine's disk, until Close.
func (s *Store) Checkout(ctx context.Context) (*storage.Local, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.clone != nil {
		return s.clone, nil
	}
	dir, err := os.MkdirTemp("", "orion-git-")
	if err != nil {
		return nil, err
	}
	if err = s.fetch(ctx, dir); err == nil {
		s.clone, err = storage.OpenLocal(dir)
	}
	if err != nil {
		_ = os.RemoveAll(dir) // the first error is the one to tell
		return nil, err
	}
	return s.clone, nil
}

var commit = regexp.MustCompile(`^[0-9a-f]{40}$|^[0-9a-f]{64}$`)

// fetch gets the reference alone, without what came before.
func (s *Store) fetch(ctx context.Context, dir string) error {
	if !commit.MatchString(s.reference) {
		args := []string{"clone", "--quiet", "--depth", "1"}
		if s.reference != "" {
			args = append(args, "--branch", s.reference)
		}
		_, err := s.git(ctx, "clone it", append(args, "--", s.url, dir)...)
		return err
	}
	if _, err := s.git(ctx, "clone it", "init", "--quiet", dir); err != nil {
		return err
	}
	_, err := s.git(ctx, "fetch the commit", "-C", dir, "fetch", "--quiet", "--depth", "1", "--", s.url, s.reference)
	if err != nil && !storage.Temporary(err) && !errors.Is(err, storage.ErrCredentials) && ctx.Err() == nil {
		// Not every server gives out a commit by its name: take all there is.
		_, err = s.git(ctx, "clone it", "-C", dir, "fetch", "--quiet", "--tags", "--", s.url, "+refs/heads/*:refs/remotes/origin/*")
	}
	if err != nil {
		return err
	}
	_, err = s.git(ctx, "check out the commit", "-C", dir, "checkout", "--quiet", "--detach", s.reference)
	return err
}

// git runs the program. Passwords reach it by its environment, where no other
// user of the machine sees them.
func (s *Store) git(ctx context.Context, op string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.WaitDelay = 2 * time.Second
	cmd.Env = append(os.Environ(), "LC_ALL=C", "GIT_TERMINAL_PROMPT=0", "GIT_ASKPASS=true", "SSH_ASKPASS=true")
	if os.Getenv("GIT_SSH_COMMAND") == "" {
		cmd.Env = append(cmd.Env, "GIT_SSH_COMMAND=ssh -o BatchMode=yes")
	}
	if s.user != "" || s.password != "" {
		header := "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(s.user+":"+s.password))
		cmd.Env = append(cmd.Env, "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=http."+s.url+".extraHeader", "GIT_CONFIG_VALUE_0="+header)
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if err == nil {
		return stdout.String(), nil
	}
	if cause := ctx.Err(); cause != nil {
		return "", cause
	}
	e := &storage.Error{Store: s.String(), Op: op}
	if errors.Is(err, exec.ErrNotFound) {
		e.Kind, e.Fix = storage.ErrInvalid, "the program git is not on this machine: install it"
		return "", e
	}
	said := strings.TrimSpace(stderr.String())
	e.Err = errors.New(cmp.Or(said, err.Error()))
	has := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(said, w) {
				return true
			}
		}
		return false
	}
	switch {
	case has("Remote branch", "couldn't find remote ref", "not our ref", "unable to read tree", "reference is not a tree"):
		e.Kind, e.Fix = storage.ErrNotFound, fmt.Sprintf("there is no branch, tag or commit %q", s.reference)
	case has("Authentication failed", "could not read Username", "could not read Password", "Permission denied (publickey", "error: 401"):
		e.Kind, e.Fix = storage.ErrCredentials, "give the block a token that may read the repository"
	case has("error: 403"):
		e.Kind, e.Fix = storage.ErrDenied, "give the token the right to read the repository's contents"
	case has("not found", "does not exist", "does not appear to be a git repository", "error: 404"):
		e.Kind, e.Fix = storage.ErrNoContainer, "check its URL, and that the token may see it"
	case has("Could not resolve", "Failed to connect", "Connection refused", "Connection reset", "timed out", "early EOF", "unexpected disconnect", "Empty reply", "error: 5", "RPC failed", "Recv failure", "Couldn't connect"):
		e.Kind = storage.ErrUnreachable
	default:
		return "", fmt.Errorf("%s: cannot %s: %w", s, op, e.Err)
	}
	return "", e
}

// Get reads a file.
func (s *Store) Get(ctx context.Context, key string) (io.ReadCloser, error) {
	clone, err := s.Checkout(ctx)
	if err != nil {
		return nil, err
	}
	return clone.Get(ctx, key)
}

// Stat describes a file.
func (s *Store) Stat(ctx context.Context, key string) (storage.Object, error) {
	clone, err := s.Checkout(ctx)
	if err != nil {
		return storage.Object{}, err
	}
	return clone.Stat(ctx, key)
}

// List yields the files, but for git's own.
func (s *Store) List(ctx context.Context, folder string) iter.Seq2[storage.Object, error] {
	return func(yield func(storage.Object, error) bool) {
		clone, err := s.Checkout(ctx)
		if err != nil {
			yield(storage.Object{}, err)
			return
		}
		for o, err := range clone.List(ctx, folder) {
			if strings.HasPrefix(o.Key, ".git/") {
				continue
			}
			if !yield(o, err) {
				return
			}
		}
	}
}

// Put is refused.
func (s *Store) Put(_ context.Context, key string, _ storage.Content) error {
	return s.readOnly("write " + key)
}

// Delete is refused.
func (s *Store) Delete(context.Context, []string) error { return s.readOnly("delete anything") }

func (s *Store) readOnly(op string) error {
	return &storage.Error{Kind: storage.ErrReadOnly, Store: s.String(), Op: op, Fix: "commit and push the code"}
}

// ReadOnly says that nothing can be put here.
func (s *Store) ReadOnly() {}

// Check asks the repository for its references.
func (s *Store) Check(ctx context.Context) error {
	list, err := s.git(ctx, "read it", "ls-remote", "--", s.url)
	if err != nil || s.reference == "" || commit.MatchString(s.reference) {
		return err
	}
	for line := range strings.Lines(list) {
		_, name, _ := strings.Cut(strings.TrimSpace(line), "\t")
		if name == "refs/heads/"+s.reference || name == "refs/tags/"+s.reference {
			return nil
		}
	}
	return &storage.Error{Kind: storage.ErrNotFound, Store: s.String(), Fix: fmt.Sprintf("there is no branch or tag %q", s.reference)}
}

// Close removes the clone.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.clone == nil {
		return nil
	}
	dir := s.clone.Folder("")
	s.clone = nil
	return os.RemoveAll(dir)
}

var _ storage.Checkout = (*Store)(nil)

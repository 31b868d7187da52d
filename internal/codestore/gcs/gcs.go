// Package gcs keeps code in a bucket of Google Cloud Storage, through its JSON
// API. It hides the library that signs in. Start with [Open].
package gcs

import (
	"bytes"
	"cmp"
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"
	"golang.org/x/sync/errgroup"

	"github.com/orionflows/orion/internal/codestore/storage"
)

// Config says which bucket, and as whom: a service account, nobody, or the
// application default credentials.
type Config struct {
	Bucket         string
	ServiceAccount []byte // its JSON key
	Anonymous      bool
	Endpoint       string // a URL; "" is Google's, or STORAGE_EMULATOR_HOST

	// Key is the store's: see storage.Store.
	Key func(path string) (string, error)
}

// Store is a bucket.
type Store struct {
	bucket   string
	endpoint string
	client   *http.Client
	identity string
	key      func(string) (string, error)
	signIn   func(context.Context) (oauth2.TokenSource, error) // nil for nobody

	mu     sync.Mutex // guards tokens
	tokens oauth2.TokenSource
}

const scope = "https://www.googleapis.com/auth/devstorage.read_write"

// Open prepares a store; it asks nothing of Google yet.
func Open(_ context.Context, c Config) (*Store, error) {
	if c.Bucket == "" {
		return nil, errors.New("it names no bucket")
	}
	s := &Store{bucket: c.Bucket, key: c.Key, client: &http.Client{Transport: storage.Transport()}, endpoint: "https://storage.googleapis.com", identity: "the identity of this environment"}
	emulator := os.Getenv("STORAGE_EMULATOR_HOST")
	if address := cmp.Or(c.Endpoint, emulator); address != "" {
		if !strings.Contains(address, "://") {
			address = "http://" + address
		}
		s.endpoint = strings.TrimSuffix(address, "/")
	}
	switch {
	case len(c.ServiceAccount) > 0:
		account, err := google.JWTConfigFromJSON(c.ServiceAccount, scope)
		if err != nil {
			return nil, errors.New("its service account is not the JSON key that Google gives out: paste the whole file")
		}
		s.identity = "the service account " + account.Email
		s.signIn = func(ctx context.Context) (oauth2.TokenSource, error) { return account.TokenSource(ctx), nil }
	case c.Anonymous:
		s.identity = "anonymous access"
	case emulator != "" && c.Endpoint == "": // an emulator asks for nothing
	default:
		s.signIn = func(ctx context.Context) (oauth2.TokenSource, error) { return google.DefaultTokenSource(ctx, scope) }
	}
	return s, nil
}

func (s *Store) String() string { return "the Google Cloud Storage bucket " + s.bucket }

// Key is the key of the folder that the Python block reads for a path.
func (s *Store) Key(path string) (string, error) { return s.key(path) }

// object is what the API says of one.
type object struct {
	Name     string            `json:"name"`
	Size     int64             `json:"size,string"`
	Updated  time.Time         `json:"updated"`
	MD5      string            `json:"md5Hash"`
	Metadata map[string]string `json:"metadata"`
}

func (o object) told() storage.Object {
	return storage.Object{Key: o.Name, Size: o.Size, Modified: o.Updated, SHA256: o.Metadata["sha256"]}
}

func (s *Store) objectURL(key string) string {
	return s.endpoint + "/storage/v1/b/" + url.PathEscape(s.bucket) + "/o/" + url.PathEscape(key)
}

// Put reads the content twice: Google takes nothing whose MD5 is not the one
// that it is told in advance.
func (s *Store) Put(ctx context.Context, key string, c storage.Content) error {
	op := "write " + key
	if err := storage.ValidKey(key); err != nil {
		return err
	}
	sum, err := hash(ctx, c)
	if err != nil {
		return err
	}
	content, err := c.Read()
	if err != nil {
		return err
	}
	defer content.Close()
	description, err := json.Marshal(map[string]any{"name": key, "md5Hash": sum, "metadata": map[string]string{"sha256": c.SHA256}})
	if err != nil {
		return err
	}
	// Everything around the content is made first, so that the length is known.
	var head bytes.Buffer
	form := multipart.NewWriter(&head)
	for _, part := range []struct {
		kind string
		body []byte
	}{{"application/json; charset=UTF-8", description}, {"application/octet-stream", nil}} {
		w, err := form.CreatePart(textproto.MIMEHeader{"Content-Type": {part.kind}})
		if err != nil {
			return err
		}
		if _, err := w.Write(part.body); err != nil {
			return err
		}
	}
	end := "\r\n--" + form.Boundary() + "--\r\n"
	length := int64(head.Len()) + c.Size + int64(len(end))
	body := io.MultiReader(&head, content, strings.NewReader(end))
	var got object
	err = s.ask(ctx, op, http.MethodPost, s.endpoint+"/upload/storage/v1/b/"+url.PathEscape(s.bucket)+"/o?uploadType=multipart", func(r *http.Request) {
		r.Body, r.ContentLength = io.NopCloser(body), length
		r.Header.Set("Content-Type", "multipart/related; boundary="+form.Boundary())
	}, &got)
	if content.Err != nil {
		return content.Err
	}
	if err != nil {
		return err
	}
	if got.Size != c.Size || got.MD5 != "" && got.MD5 != sum {
		return &storage.Error{Kind: storage.ErrUnreachable, Store: s.String(), Op: op, Err: errors.New("it did not arrive as it was sent")}
	}
	return nil
}

func hash(ctx context.Context, c storage.Content) (string, error) {
	r, err := c.Open()
	if err != nil {
		return "", err
	}
	defer r.Close()
	sum := md5.New()
	if _, err := io.Copy(sum, storage.Reader(ctx, r)); err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(sum.Sum(nil)), nil
}

// Get starts a download.
func (s *Store) Get(ctx context.Context, key string) (io.ReadCloser, error) {
	op := "read " + key
	resp, err := s.do(ctx, op, http.MethodGet, s.objectURL(key)+"?alt=media", nil)
	if err != nil {
		return nil, err
	}
	return storage.Body(resp.Body, func(err error) error { return s.failed(ctx, op, err) }), nil
}

// Stat asks for an object's description.
func (s *Store) Stat(ctx context.Context, key string) (storage.Object, error) {
	var o object
	err := s.ask(ctx, "read "+key, http.MethodGet, s.objectURL(key), nil, &o)
	return o.told(), err
}

// List asks for all objects with a prefix.
func (s *Store) List(ctx context.Context, folder string) iter.Seq2[storage.Object, error] {
	return func(yield func(storage.Object, error) bool) {
		query := url.Values{"fields": {"nextPageToken,items(name,size,updated,metadata)"}}
		if folder != "" {
			query.Set("prefix", folder+"/")
		}
		for {
			var page struct {
				Items []object `json:"items"`
				Next  string   `json:"nextPageToken"`
			}
			err := s.ask(ctx, "list "+cmp.Or(folder, "it"), http.MethodGet, s.endpoint+"/storage/v1/b/"+url.PathEscape(s.bucket)+"/o?"+query.Encode(), nil, &page)
			if err != nil {
				yield(storage.Object{}, err)
				return
			}
			for _, o := range page.Items {
				if strings.HasSuffix(o.Name, "/") {
					continue // a folder, as some tools make them
				}
				if !yield(o.told(), nil) {
					return
				}
			}
			if page.Next == "" {
				return
			}
			query.Set("pageToken", page.Next)
		}
	}
}

// Delete removes objects side by side.
func (s *Store) Delete(ctx context.Context, keys []string) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for _, key := range keys {
		g.Go(func() error {
			err := s.ask(ctx, "delete "+key, http.MethodDelete, s.objectURL(key), nil, nil)
			if errors.Is(err, storage.ErrNotFound) {
				return nil
			}
			return err
		})
	}
	return g.Wait()
}

// Check writes an object, reads it back and removes it.
func (s *Store) Check(ctx context.Context) error { return storage.CheckByWriting(ctx, s) }

// Close ends idle connections.
func (s *Store) Close() error {
	s.client.CloseIdleConnections()
	return nil
}

// ask makes a request and decodes the answer, unless there is nothing to decode.
func (s *Store) ask(ctx context.Context, op, method, address string, prepare func(*http.Request), into any) error {
	resp, err := s.do(ctx, op, method, address, prepare)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return s.failed(ctx, op, err)
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%s: cannot %s: the answer is not understood: %w", s, op, err)
	}
	return nil
}

// do makes a request; its answer is a good one.
func (s *Store) do(ctx context.Context, op, method, address string, prepare func(*http.Request)) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil {
		return nil, err
	}
	if prepare != nil {
		prepare(r)
	}
	if s.signIn != nil {
		token, err := s.token()
		if err != nil {
			return nil, s.failed(ctx, op, err)
		}
		token.SetAuthHeader(r)
	}
	resp, err := s.client.Do(r)
	if err != nil {
		return nil, s.failed(ctx, op, err)
	}
	if resp.StatusCode < 300 {
		return resp, nil
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10)) // what there is of it
	return nil, s.refused(op, strings.HasPrefix(address, s.objectURL("")), resp.StatusCode, text)
}

func (s *Store) token() (*oauth2.Token, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tokens == nil {
		// The source outlives the request that needs it first.
		tokens, err := s.signIn(context.Background())
		if err != nil {
			return nil, err
		}
		s.tokens = oauth2.ReuseTokenSource(nil, tokens)
	}
	return s.tokens.Token()
}

// refused tells an answer of the API as an error of package storage.
func (s *Store) refused(op string, ofObject bool, status int, text []byte) error {
	var answer struct {
		Error struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	message := strings.TrimSpace(string(text))
	if json.Unmarshal(text, &answer) == nil && answer.Error.Message != "" {
		message = answer.Error.Message
	}
	e := &storage.Error{Store: s.String(), Op: op, Err: errors.New(cmp.Or(message, http.StatusText(status)))}
	switch {
	case status == http.StatusNotFound && (!ofObject || strings.Contains(message, "bucket does not exist")):
		e.Kind, e.Fix = storage.ErrNoContainer, "create it: gcloud storage buckets create gs://"+s.bucket
	case status == http.StatusNotFound:
		e.Kind, e.Err = storage.ErrNotFound, nil
	case status == http.StatusUnauthorized && s.signIn != nil:
		e.Kind, e.Fix = storage.ErrCredentials, s.identity+" is not accepted"
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		e.Kind = storage.ErrDenied
		e.Fix = fmt.Sprintf(`grant %s the role "Storage Object User" (roles/storage.objectUser) on the bucket`, s.identity)
	case status >= 500, status == http.StatusTooManyRequests, status == http.StatusRequestTimeout:
		e.Kind = storage.ErrUnreachable
	default:
		return fmt.Errorf("%s: cannot %s: %w", s, op, e.Err)
	}
	return e
}

// failed tells that a request could not be made, or its answer not be read.
func (s *Store) failed(ctx context.Context, op string, err error) error {
	if cause := ctx.Err(); cause != nil {
		return cause
	}
	e := &storage.Error{Store: s.String(), Op: op, Err: err}
	var token *oauth2.RetrieveError
	switch {
	case errors.As(err, &token):
		e.Kind, e.Fix = storage.ErrCredentials, s.identity+" is not accepted"
	case storage.Broken(err):
		e.Kind = storage.ErrUnreachable
	case strings.Contains(err.Error(), "could not find default credentials"):
		e.Kind, e.Fix = storage.ErrCredentials, "set GOOGLE_APPLICATION_CREDENTIALS, or run gcloud auth application-default login"
	default:
		return fmt.Errorf("%s: cannot %s: %w", s, op, err)
	}
	return e
}

var _ storage.Store = (*Store)(nil)

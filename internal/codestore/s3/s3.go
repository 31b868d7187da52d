// Package s3 keeps code in a bucket of Amazon S3, or of a server that speaks
// its protocol. It hides the library. Start with [Open].
package s3

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"os"
	"slices"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/orionflows/orion/internal/codestore/storage"
)

// Config says which bucket, and as whom: with keys, as nobody, or as the
// environment, a profile or the machine's own role says.
type Config struct {
	Bucket string

	AccessKey, SecretKey, SessionToken string
	Profile                            string
	Anonymous                          bool

	Endpoint string // a URL; "" is Amazon's
	Region   string
	// PathStyle and VirtualStyle say where the bucket stands in addresses. Chosen
	// by the endpoint if neither is set.
	PathStyle, VirtualStyle bool
	Insecure                bool   // accept any certificate
	CAFile                  string // whose certificates to accept

	// Key is the store's: see storage.Store.
	Key func(path string) (string, error)
}

// Store is a bucket.
type Store struct {
	client   *minio.Core
	http     *http.Transport
	bucket   string
	where    string
	identity string
	key      func(string) (string, error)
}

// Open prepares a store; it asks nothing of it yet.
func Open(c Config) (*Store, error) {
	if c.Bucket == "" {
		return nil, errors.New("it names no bucket")
	}
	c.Endpoint = cmp.Or(c.Endpoint, os.Getenv("AWS_ENDPOINT_URL_S3"), os.Getenv("AWS_ENDPOINT_URL"), "https://s3.amazonaws.com")
	c.Region = cmp.Or(c.Region, os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION"))
	endpoint, err := url.Parse(c.Endpoint)
	if err != nil || endpoint.Host == "" || endpoint.Scheme != "http" && endpoint.Scheme != "https" {
		return nil, fmt.Errorf("the endpoint %q is no URL, such as https://s3.example.com", c.Endpoint)
	}
	transport, err := transport(c)
	if err != nil {
		return nil, err
	}
	s := &Store{http: transport, bucket: c.Bucket, where: endpoint.Host, key: c.Key}
	// Retrying is the caller's.
	options := &minio.Options{Secure: endpoint.Scheme == "https", Region: c.Region, Transport: transport, MaxRetries: 1, Creds: s.credentials(c, transport)}
	switch {
	case c.PathStyle:
		options.BucketLookup = minio.BucketLookupPath
	case c.VirtualStyle:
		options.BucketLookup = minio.BucketLookupDNS
	}
	if s.client, err = minio.NewCore(endpoint.Host, options); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Store) credentials(c Config, transport http.RoundTripper) *credentials.Credentials {
	switch {
	case c.Anonymous:
		s.identity = "anonymous access"
		return credentials.NewStatic("", "", "", credentials.SignatureAnonymous)
	case c.AccessKey != "":
		s.identity = "the access key " + c.AccessKey
		return credentials.NewStaticV4(c.AccessKey, c.SecretKey, c.SessionToken)
	}
	s.identity = "the identity of this environment"
	profile := &credentials.FileAWSCredentials{Profile: c.Profile}
	if c.Profile != "" {
		s.identity = "the profile " + c.Profile
		return credentials.New(profile)
	}
	return credentials.NewChainCredentials([]credentials.Provider{
		&credentials.EnvAWS{}, profile, &credentials.IAM{Client: &http.Client{Transport: transport}},
	})
}

func transport(c Config) (*http.Transport, error) {
	t := storage.Transport()
	if !c.Insecure && c.CAFile == "" {
		return t, nil
	}
	t.TLSClientConfig = &tls.Config{InsecureSkipVerify: c.Insecure}
	if c.CAFile != "" {
		text, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, err
		}
		t.TLSClientConfig.RootCAs = x509.NewCertPool()
		if !t.TLSClientConfig.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%s holds no certificates", c.CAFile)
		}
	}
	return t, nil
}

func (s *Store) String() string { return fmt.Sprintf("the S3 bucket %s at %s", s.bucket, s.where) }

// Key is the key of the folder that the Python block reads for a path.
func (s *Store) Key(path string) (string, error) { return s.key(path) }

// Put sends an object in one request, whose signature covers its hash.
func (s *Store) Put(ctx context.Context, key string, c storage.Content) error {
	if err := storage.ValidKey(key); err != nil {
		return err
	}
	content, err := c.Read()
	if err != nil {
		return err
	}
	defer content.Close()
	_, err = s.client.PutObject(ctx, s.bucket, key, content, c.Size, "", c.SHA256, minio.PutObjectOptions{
		UserMetadata: map[string]string{"sha256": c.SHA256},
	})
	if content.Err != nil {
		return content.Err
	}
	return s.failed(ctx, "write "+key, err)
}

// Get starts a download.
func (s *Store) Get(ctx context.Context, key string) (io.ReadCloser, error) {
	op := "read " + key
	r, _, _, err := s.client.GetObject(ctx, s.bucket, key, minio.GetObjectOptions{})
	if err != nil {
		return nil, s.failed(ctx, op, err)
	}
	return storage.Body(r, func(err error) error { return s.failed(ctx, op, err) }), nil
}

// Stat asks for an object's head.
func (s *Store) Stat(ctx context.Context, key string) (storage.Object, error) {
	o, err := s.client.StatObject(ctx, s.bucket, key, minio.StatObjectOptions{})
	if err == nil {
		return object(key, o), nil
	}
	if minio.ToErrorResponse(err).StatusCode == http.StatusForbidden {
		// The answer to HEAD has no body that says why; that to a list has.
		for _, because := range s.List(ctx, key) {
			if because != nil {
				return storage.Object{}, because
			}
			break
		}
	}
	return storage.Object{}, s.failed(ctx, "read "+key, err)
}

func object(key string, o minio.ObjectInfo) storage.Object {
	return storage.Object{Key: key, Size: o.Size, Modified: o.LastModified, SHA256: o.UserMetadata["Sha256"]}
}

// List asks for all objects with a prefix; hashes are not in the answer.
func (s *Store) List(ctx context.Context, folder string) iter.Seq2[storage.Object, error] {
	return func(yield func(storage.Object, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		prefix := ""
		if folder != "" {
			prefix = folder + "/"
		}
		for o := range s.client.ListObjectsIter(ctx, s.bucket, minio.ListObjectsOptions{Prefix: prefix, Recursive: true}) {
			if o.Err != nil {
				yield(storage.Object{}, s.failed(ctx, "list "+cmp.Or(folder, "it"), o.Err))
				return
			}
			if o.Key != "" && o.Key[len(o.Key)-1] == '/' {
				continue // a folder, as some tools make them
			}
			if !yield(object(o.Key, o), nil) {
				return
			}
		}
		if err := ctx.Err(); err != nil {
			yield(storage.Object{}, err)
		}
	}
}

// Delete removes a thousand objects with a request.
func (s *Store) Delete(ctx context.Context, keys []string) error {
	var objects []minio.ObjectInfo
	for _, key := range keys {
		objects = append(objects, minio.ObjectInfo{Key: key})
	}
	results, err := s.client.RemoveObjectsWithIter(ctx, s.bucket, slices.Values(objects), minio.RemoveObjectsOptions{})
	if err != nil {
		return s.failed(ctx, "delete", err)
	}
	var first error
	for r := range results {
		if r.Err != nil && first == nil && minio.ToErrorResponse(r.Err).Code != "NoSuchKey" {
			first = s.failed(ctx, "delete "+r.ObjectName, r.Err)
		}
	}
	return first
}

// Check writes an object, reads it back and removes it.
func (s *Store) Check(ctx context.Context) error { return storage.CheckByWriting(ctx, s) }

// Close ends idle connections.
func (s *Store) Close() error {
	s.http.CloseIdleConnections()
	return nil
}

// failed tells an error of the library as one of package storage.
func (s *Store) failed(ctx context.Context, op string, err error) error {
	if err == nil {
		return nil
	}
	if cause := ctx.Err(); cause != nil {
		return cause
	}
	e := &storage.Error{Store: s.String(), Op: op}
	var answer minio.ErrorResponse
	if !errors.As(err, &answer) {
		if storage.Broken(err) {
			e.Kind, e.Err = storage.ErrUnreachable, err
			return e
		}
		return fmt.Errorf("%s: cannot %s: %w", s, op, err)
	}
	e.Err = errors.New(cmp.Or(answer.Code, http.StatusText(answer.StatusCode)))
	switch answer.Code {
	case "NoSuchKey":
		e.Kind = storage.ErrNotFound
		e.Err = nil
	case "NoSuchBucket":
		e.Kind = storage.ErrNoContainer
		e.Fix = fmt.Sprintf("create it: aws s3 mb s3://%s", s.bucket)
	case "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken", "TokenRefreshRequired", "InvalidSecurity", "RequestTimeTooSkewed", "AuthorizationHeaderMalformed":
		e.Kind = storage.ErrCredentials
		e.Fix = fmt.Sprintf("%s is wrong, has expired or is of another region", s.identity)
		if answer.Code == "RequestTimeTooSkewed" {
			e.Fix = "the clock of this machine is wrong"
		}
	case "AccessDenied", "AllAccessDisabled", "AccountProblem":
		e.Kind = storage.ErrDenied
		e.Fix = fmt.Sprintf("grant %s the actions s3:ListBucket on the bucket, and s3:GetObject, s3:PutObject and s3:DeleteObject on what is in it", s.identity)
	case "SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout", "OperationAborted", "Throttling", "XAmzContentSHA256Mismatch", "BadDigest", "IncompleteBody":
		e.Kind = storage.ErrUnreachable
	default:
		if answer.StatusCode < 500 && answer.StatusCode != http.StatusTooManyRequests {
			return fmt.Errorf("%s: cannot %s: %w", s, op, err)
		}
		e.Kind = storage.ErrUnreachable
	}
	return e
}

// Package azure keeps code in a container of Azure Blob Storage. It hides the
// Azure SDK. Start with [Open].
package azure

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"golang.org/x/sync/errgroup"

	"github.com/orionflows/orion/internal/codestore/storage"
)

// Config says which container, and as whom. The first of these that is given
// is used: a connection string, an account key, a SAS token, a service
// principal, nobody (Anonymous), or the identity of the environment.
type Config struct {
	Container string
	// Account is the name of the storage account, or AccountURL its address
	// where that is not https://ACCOUNT.blob.core.windows.net; it may carry a
	// SAS token.
	Account, AccountURL string

	ConnectionString                 string
	AccountKey                       string
	SASToken                         string
	TenantID, ClientID, ClientSecret string
	Anonymous                        bool
	// ManagedIdentity is the client id of the identity to use of several that
	// the machine has.
	ManagedIdentity string

	// Key is the store's: see storage.Store.
	Key func(path string) (string, error)
}

// Store is a container.
type Store struct {
	client   *container.Client
	http     *http.Client
	name     string
	account  string
	identity *identity
	key      func(string) (string, error)
}

// Open prepares a store; it asks nothing of Azure yet.
func Open(c Config) (*Store, error) {
	// Retrying is the caller's.
	client := &http.Client{Transport: storage.Transport()}
	core := policy.ClientOptions{Retry: policy.RetryOptions{MaxRetries: -1}, Telemetry: policy.TelemetryOptions{ApplicationID: "orion"}, Transport: client}
	options := &container.ClientOptions{ClientOptions: core}
	s := &Store{name: c.Container, key: c.Key, http: client, identity: &identity{}}

	if c.ConnectionString != "" {
		client, err := container.NewClientFromConnectionString(c.ConnectionString, c.Container, options)
		if err != nil {
			return nil, fmt.Errorf("the connection string makes no sense: %w", withoutSecrets(err))
		}
		s.client = client
		s.identity.name = "the connection string"
		s.account = host(client.URL())
		return s, nil
	}
	if c.Account == "" && c.AccountURL == "" {
		return nil, errors.New("it names no storage account: give a connection string or an account's name")
	}
	account, sas, _ := strings.Cut(cmp.Or(c.AccountURL, "https://"+c.Account+".blob.core.windows.net"), "?")
	sas = strings.TrimPrefix(cmp.Or(c.SASToken, sas), "?")
	address := strings.TrimSuffix(account, "/") + "/" + url.PathEscape(c.Container)
	s.account = host(address)

	var err error
	switch {
	case c.AccountKey != "":
		var key *container.SharedKeyCredential
		if key, err = container.NewSharedKeyCredential(cmp.Or(c.Account, accountOf(account)), c.AccountKey); err != nil {
			return nil, errors.New("the account key is not base64: copy it again from the storage account's access keys")
		}
		s.identity.name = "the account key"
		s.client, err = container.NewClientWithSharedKeyCredential(address, key, options)
	case sas != "":
		s.identity.name = "the SAS token"
		s.client, err = container.NewClientWithNoCredential(address+"?"+sas, options)
	case c.ClientID == "" && c.Anonymous:
		s.identity.name = anonymous
		s.client, err = container.NewClientWithNoCredential(address, options)
	default:
		var credential azcore.TokenCredential
		if credential, s.identity.name, err = token(c, core); err != nil {
			return nil, withoutSecrets(err)
		}
		s.identity.TokenCredential = credential
		s.client, err = container.NewClient(address, s.identity, options)
	}
	if err != nil {
		return nil, withoutSecrets(err)
	}
	return s, nil
}

func host(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Host
}

func accountOf(address string) string {
	name, _, _ := strings.Cut(host(address), ".")
	return name
}

// withoutSecrets is the error without the URL in it, which may hold a SAS token.
func withoutSecrets(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

func (s *Store) String() string {
	return fmt.Sprintf("the Azure container %s of %s", s.name, s.account)
}

// Key is the key of the folder that the Python block reads for a path.
func (s *Store) Key(path string) (string, error) { return s.key(path) }

const anonymous = "anonymous access"

const blockSize = 8 << 20

// Put sends small objects in one request, larger ones in blocks that become
// the object with a last request.
func (s *Store) Put(ctx context.Context, key string, c storage.Content) error {
	if err := storage.ValidKey(key); err != nil {
		return err
	}
	content, err := c.Read()
	if err != nil {
		return err
	}
	defer content.Close()
	_, err = s.client.NewBlockBlobClient(key).UploadStream(ctx, content, &blockblob.UploadStreamOptions{
		BlockSize: max(min(c.Size+1, blockSize), 1),
		Metadata:  map[string]*string{"sha256": &c.SHA256},
	})
	if content.Err != nil {
		return content.Err
	}
	return s.failed(ctx, "write "+key, err)
}

// Get starts a download.
func (s *Store) Get(ctx context.Context, key string) (io.ReadCloser, error) {
	op := "read " + key
	resp, err := s.client.NewBlobClient(key).DownloadStream(ctx, nil)
	if err != nil {
		return nil, s.failed(ctx, op, err)
	}
	return storage.Body(resp.Body, func(err error) error { return s.failed(ctx, op, err) }), nil
}

// Stat asks for a blob's properties.
func (s *Store) Stat(ctx context.Context, key string) (storage.Object, error) {
	p, err := s.client.NewBlobClient(key).GetProperties(ctx, nil)
	if err != nil {
		return storage.Object{}, s.failed(ctx, "read "+key, err)
	}
	return storage.Object{Key: key, Size: *p.ContentLength, Modified: *p.LastModified, SHA256: metadata(p.Metadata, "sha256")}, nil
}

// metadata finds a value whose name's case the protocol does not keep.
func metadata(m map[string]*string, name string) string {
	for k, v := range m {
		if strings.EqualFold(k, name) && v != nil {
			return *v
		}
	}
	return ""
}

// List asks for all blobs with a prefix.
func (s *Store) List(ctx context.Context, folder string) iter.Seq2[storage.Object, error] {
	return func(yield func(storage.Object, error) bool) {
		options := &container.ListBlobsFlatOptions{Include: container.ListBlobsInclude{Metadata: true}}
		if folder != "" {
			prefix := folder + "/"
			options.Prefix = &prefix
		}
		for pages := s.client.NewListBlobsFlatPager(options); pages.More(); {
			page, err := pages.NextPage(ctx)
			if err != nil {
				yield(storage.Object{}, s.failed(ctx, "list "+cmp.Or(folder, "it"), err))
				return
			}
			for _, b := range page.Segment.BlobItems {
				if metadata(b.Metadata, "hdi_isfolder") == "true" {
					continue // a folder of a Data Lake account
				}
				o := storage.Object{Key: *b.Name, Size: *b.Properties.ContentLength, Modified: *b.Properties.LastModified, SHA256: metadata(b.Metadata, "sha256")}
				if !yield(o, nil) {
					return
				}
			}
		}
	}
}

// Delete removes blobs side by side.
func (s *Store) Delete(ctx context.Context, keys []string) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for _, key := range keys {
		g.Go(func() error {
			_, err := s.client.NewBlobClient(key).Delete(ctx, nil)
			if bloberror.HasCode(err, bloberror.BlobNotFound) {
				return nil
			}
			return s.failed(ctx, "delete "+key, err)
		})
	}
	return g.Wait()
}

// Check writes a blob, reads it back and removes it.
func (s *Store) Check(ctx context.Context) error { return storage.CheckByWriting(ctx, s) }

// Close ends idle connections.
func (s *Store) Close() error {
	s.http.CloseIdleConnections()
	return nil
}

// failed tells an error of the SDK as one of package storage.
func (s *Store) failed(ctx context.Context, op string, err error) error {
	if err == nil {
		return nil
	}
	if cause := ctx.Err(); cause != nil {
		return cause
	}
	e := &storage.Error{Store: s.String(), Op: op}
	var answer *azcore.ResponseError
	var signIn *azidentity.AuthenticationFailedError
	var response *http.Response
	switch {
	case errors.As(err, &answer):
		response = answer.RawResponse
		e.Err = errors.New(cmp.Or(answer.ErrorCode, http.StatusText(answer.StatusCode)))
	case errors.As(err, &signIn), strings.Contains(err.Error(), "DefaultAzureCredential"), strings.Contains(err.Error(), "ManagedIdentityCredential"), strings.Contains(err.Error(), "ChainedTokenCredential"):
		e.Kind = storage.ErrCredentials
		e.Fix = fmt.Sprintf("%s could not sign in; on a machine in Azure give it a managed identity, elsewhere set AZURE_CLIENT_ID, AZURE_TENANT_ID and AZURE_CLIENT_SECRET or run az login", s.identity.name)
		e.Err = err
		return e
	default:
		e.Kind, e.Err = storage.ErrUnreachable, withoutSecrets(err)
		if !storage.Broken(err) {
			return fmt.Errorf("%s: cannot %s: %w", s, op, withoutSecrets(err))
		}
		return e
	}

	code := bloberror.Code(answer.ErrorCode)
	switch {
	case code == bloberror.ContainerNotFound, code == bloberror.ContainerBeingDeleted, code == bloberror.ContainerDisabled:
		e.Kind = storage.ErrNoContainer
		e.Fix = fmt.Sprintf("create it: az storage container create --name %s --account-name %s", s.name, accountOf("https://"+s.account))
	case code == bloberror.ResourceNotFound && s.identity.name == anonymous:
		e.Kind = storage.ErrDenied
		e.Fix = "the container is not there, or is not public: give the storage block an identity"
	case code == bloberror.BlobNotFound, answer.StatusCode == http.StatusNotFound && code == "":
		e.Kind = storage.ErrNotFound
	case code == bloberror.AuthenticationFailed, code == bloberror.InvalidAuthenticationInfo, code == bloberror.AccountIsDisabled:
		e.Kind = storage.ErrCredentials
		e.Fix = fmt.Sprintf("%s is wrong, has expired or belongs to another account", s.identity)
	case code == bloberror.AuthorizationFailure && s.identity.TokenCredential == nil && s.identity.name != anonymous:
		e.Kind = storage.ErrCredentials
		e.Fix = fmt.Sprintf("%s is wrong, or the account's firewall keeps this machine out", s.identity)
	case code == bloberror.AuthorizationFailure:
		e.Kind = storage.ErrDenied
		e.Fix = fmt.Sprintf("%s may not do that, or the account's firewall keeps this machine out: grant %s, and allow this network", s.identity, s.identity.role())
	case answer.StatusCode == http.StatusForbidden, answer.StatusCode == http.StatusUnauthorized, code == "PublicAccessNotPermitted":
		e.Kind = storage.ErrDenied
		e.Fix = fmt.Sprintf("%s may not do that: grant %s on the storage account or the container", s.identity, s.identity.role())
	case answer.StatusCode >= 500, answer.StatusCode == http.StatusTooManyRequests, answer.StatusCode == http.StatusRequestTimeout:
		e.Kind = storage.ErrUnreachable
	default:
		return fmt.Errorf("%s: cannot %s: %s (%s)", s, op, answer.ErrorCode, response.Status)
	}
	return e
}

var _ storage.Store = (*Store)(nil)

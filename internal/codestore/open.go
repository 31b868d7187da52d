package codestore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/internal/codestore/azure"
	"github.com/orionflows/orion/internal/codestore/gcs"
	"github.com/orionflows/orion/internal/codestore/git"
	"github.com/orionflows/orion/internal/codestore/s3"
	"github.com/orionflows/orion/internal/codestore/storage"
)

// Open is the store that one of Prefect's storage blocks names: slug is its
// block type, data its fields with the secrets in clear and the blocks it
// refers to in place, as the API answers them with include_secrets. Nothing is
// asked of the store yet.
//
// The caller closes the store.
func Open(ctx context.Context, slug string, data orion.JSON) (storage.Store, error) {
	open, ok := openers[slug]
	if !ok {
		return nil, &storage.Error{Kind: storage.ErrInvalid, Store: fmt.Sprintf("the block type %q", slug),
			Fix: "Orion cannot keep code there: use one of " + strings.Join(slices.Sorted(maps.Keys(openers)), ", ")}
	}
	s, err := open(ctx, orion.ObjectOr(data))
	if err != nil {
		return nil, &storage.Error{Kind: storage.ErrInvalid, Store: "the storage block of type " + slug, Err: err}
	}
	return s, nil
}

// Known reports whether blocks of this type can be opened.
func Known(slug string) bool { return openers[slug] != nil }

type opener func(context.Context, orion.JSON) (storage.Store, error)

var openers = map[string]opener{
	"local-file-system":            openLocal,
	"remote-file-system":           openRemote,
	"azure":                        openAzure,
	"azure-blob-storage-container": openAzureContainer,
	"s3":                           openS3,
	"s3-bucket":                    openS3Bucket,
	"gcs":                          openGCS,
	"gcs-bucket":                   openGCSBucket,
	"github":                       openGitHub,
	"github-repository":            openGitHubRepository,
	"gitlab-repository":            openGitLab,
	"bitbucket-repository":         openBitbucket,
}

func openLocal(_ context.Context, data orion.JSON) (storage.Store, error) {
	var block struct {
		Basepath string `json:"basepath"`
	}
	if err := orion.Decode(data, &block); err != nil {
		return nil, err
	}
	return storage.OpenLocal(block.Basepath)
}

func openRemote(ctx context.Context, data orion.JSON) (storage.Store, error) {
	var block struct {
		Basepath string     `json:"basepath"`
		Settings orion.JSON `json:"settings"`
	}
	if err := orion.Decode(data, &block); err != nil {
		return nil, err
	}
	return openURL(ctx, block.Basepath, orion.ObjectOr(block.Settings))
}

// openURL is what fsspec makes of a URL and its settings.
func openURL(ctx context.Context, basepath string, settings orion.JSON) (storage.Store, error) {
	base := splitURL(basepath)
	switch base.scheme {
	case "file", "local":
		_, folder, _ := strings.Cut(basepath, "://")
		return storage.OpenLocal(folder)
	case "az", "abfs", "abfss", "adl":
		return openAdlfs(basepath, base, settings)
	case "s3", "s3a":
		return openS3fs(basepath, base, settings)
	case "gs", "gcs":
		return openGcsfs(ctx, basepath, base, settings)
	}
	return nil, fmt.Errorf("Orion cannot keep code at the basepath %q: the schemes it knows are az, abfs, s3, gs and local", basepath)
}

// The suffix of an account's address in basepaths, where container@ precedes it.
const azureSuffix = ".dfs.core.windows.net"

func openAdlfs(basepath string, base address, settings orion.JSON) (storage.Store, error) {
	var s struct {
		ConnectionString string `json:"connection_string"`
		Account          string `json:"account_name"`
		AccountHost      string `json:"account_host"`
		AccountKey       string `json:"account_key"`
		SASToken         string `json:"sas_token"`
		TenantID         string `json:"tenant_id"`
		ClientID         string `json:"client_id"`
		ClientSecret     string `json:"client_secret"`
		ManagedIdentity  string `json:"managed_identity_client_id"`
		Anonymous        *bool  `json:"anon"`
	}
	if err := orion.DecodeLoose(settings, &s); err != nil {
		return nil, fmt.Errorf("settings: %w", err)
	}
	container, account, named := strings.Cut(base.host, "@")
	folder := base.path
	if !named && strings.HasSuffix(base.host, azureSuffix) {
		account = base.host
		container, folder, _ = strings.Cut(strings.TrimPrefix(base.path, "/"), "/")
	}
	account, _, _ = strings.Cut(account, ".")
	c := azure.Config{
		Container: container,
		Key:       belowURL(basepath, folder),
		// What is not in the settings adlfs takes from the environment.
		ConnectionString: cmp.Or(s.ConnectionString, os.Getenv("AZURE_STORAGE_CONNECTION_STRING")),
		Account:          cmp.Or(s.Account, os.Getenv("AZURE_STORAGE_ACCOUNT_NAME"), account),
		AccountKey:       cmp.Or(s.AccountKey, os.Getenv("AZURE_STORAGE_ACCOUNT_KEY")),
		SASToken:         cmp.Or(s.SASToken, os.Getenv("AZURE_STORAGE_SAS_TOKEN")),
		TenantID:         cmp.Or(s.TenantID, os.Getenv("AZURE_STORAGE_TENANT_ID")),
		ClientID:         cmp.Or(s.ClientID, os.Getenv("AZURE_STORAGE_CLIENT_ID")),
		ClientSecret:     cmp.Or(s.ClientSecret, os.Getenv("AZURE_STORAGE_CLIENT_SECRET")),
		ManagedIdentity:  s.ManagedIdentity,
	}
	if s.AccountHost != "" {
		c.AccountURL = "https://" + s.AccountHost
	}
	if s.Anonymous != nil {
		c.Anonymous = *s.Anonymous
	} else {
		c.Anonymous, _ = strconv.ParseBool(os.Getenv("AZURE_STORAGE_ANON")) // anything else is no
	}
	return azure.Open(c)
}

func openAzure(_ context.Context, data orion.JSON) (storage.Store, error) {
	var block struct {
		BucketPath       string `json:"bucket_path"`
		ConnectionString string `json:"azure_storage_connection_string"`
		Account          string `json:"azure_storage_account_name"`
		AccountKey       string `json:"azure_storage_account_key"`
		TenantID         string `json:"azure_storage_tenant_id"`
		ClientID         string `json:"azure_storage_client_id"`
		ClientSecret     string `json:"azure_storage_client_secret"`
		Anonymous        *bool  `json:"azure_storage_anon"`
		Container        string `json:"azure_storage_container"`
	}
	if err := orion.DecodeLoose(data, &block); err != nil {
		return nil, err
	}
	basepath := "az://" + block.BucketPath
	if block.Container != "" {
		basepath = fmt.Sprintf("az://%s@%s%s/%s", block.Container, block.Account, azureSuffix, block.BucketPath)
	}
	settings, err := orion.Encode(map[string]any{
		"connection_string": block.ConnectionString, "account_name": block.Account, "account_key": block.AccountKey,
		"tenant_id": block.TenantID, "client_id": block.ClientID, "client_secret": block.ClientSecret,
		"anon": block.Anonymous == nil || *block.Anonymous,
	})
	if err != nil {
		return nil, err
	}
	return openAdlfs(basepath, splitURL(basepath), settings)
}

func openAzureContainer(_ context.Context, data orion.JSON) (storage.Store, error) {
	var block struct {
		Container   string `json:"container_name"`
		Folder      string `json:"base_folder"`
		Credentials struct {
			ConnectionString string `json:"connection_string"`
			AccountURL       string `json:"account_url"`
		} `json:"credentials"`
	}
	if err := orion.Decode(data, &block); err != nil {
		return nil, err
	}
	return azure.Open(azure.Config{
		Container: block.Container, Key: belowFolder(block.Folder),
		ConnectionString: block.Credentials.ConnectionString, AccountURL: block.Credentials.AccountURL,
	})
}

func openS3fs(basepath string, base address, settings orion.JSON) (storage.Store, error) {
	type clientSettings struct {
		Endpoint     string     `json:"endpoint_url"`
		Region       string     `json:"region_name"`
		AccessKey    string     `json:"aws_access_key_id"`
		SecretKey    string     `json:"aws_secret_access_key"`
		SessionToken string     `json:"aws_session_token"`
		Verify       orion.JSON `json:"verify"`
	}
	var s struct {
		Key       string         `json:"key"`
		Secret    string         `json:"secret"`
		Username  string         `json:"username"`
		Password  string         `json:"password"`
		Token     string         `json:"token"`
		Anonymous bool           `json:"anon"`
		Profile   string         `json:"profile"`
		Endpoint  string         `json:"endpoint_url"`
		Client    clientSettings `json:"client_kwargs"`
		Config    botoConfig     `json:"config_kwargs"`
	}
	if err := orion.DecodeLoose(settings, &s); err != nil {
		return nil, fmt.Errorf("settings: %w", err)
	}
	c := s3.Config{
		Bucket: base.host, Key: belowURL(basepath, base.path),
		AccessKey: cmp.Or(s.Key, s.Username, s.Client.AccessKey), SecretKey: cmp.Or(s.Secret, s.Password, s.Client.SecretKey),
		SessionToken: cmp.Or(s.Token, s.Client.SessionToken), Anonymous: s.Anonymous, Profile: s.Profile,
		Endpoint: cmp.Or(s.Endpoint, s.Client.Endpoint), Region: s.Client.Region,
	}
	s.Config.apply(&c)
	certificates(&c, s.Client.Verify, "")
	return s3.Open(c)
}

// botoConfig are those of botocore's settings that say how to reach a bucket.
type botoConfig struct {
	Signature string `json:"signature_version"`
	S3        struct {
		Style string `json:"addressing_style"`
	} `json:"s3"`
}

func (b botoConfig) apply(c *s3.Config) {
	c.PathStyle = b.S3.Style == "path"
	c.VirtualStyle = b.S3.Style == "virtual"
	c.Anonymous = c.Anonymous || b.Signature == "unsigned"
}

func openS3(_ context.Context, data orion.JSON) (storage.Store, error) {
	var block struct {
		BucketPath string `json:"bucket_path"`
		AccessKey  string `json:"aws_access_key_id"`
		SecretKey  string `json:"aws_secret_access_key"`
	}
	if err := orion.Decode(data, &block); err != nil {
		return nil, err
	}
	basepath := "s3://" + block.BucketPath
	base := splitURL(basepath)
	return s3.Open(s3.Config{Bucket: base.host, Key: belowURL(basepath, base.path), AccessKey: block.AccessKey, SecretKey: block.SecretKey})
}

func openS3Bucket(_ context.Context, data orion.JSON) (storage.Store, error) {
	var block struct {
		Bucket      string `json:"bucket_name"`
		Folder      string `json:"bucket_folder"`
		Older       string `json:"basepath"` // the folder's name before prefect-aws 0.3
		Credentials struct {
			AccessKey    string `json:"aws_access_key_id"`
			SecretKey    string `json:"aws_secret_access_key"`
			SessionToken string `json:"aws_session_token"`
			Profile      string `json:"profile_name"`
			MinIOUser    string `json:"minio_root_user"`
			MinIOSecret  string `json:"minio_root_password"`
			Region       string `json:"region_name"`
			Client       struct {
				Endpoint string     `json:"endpoint_url"`
				UseSSL   *bool      `json:"use_ssl"`
				Verify   orion.JSON `json:"verify"`
				CAFile   string     `json:"verify_cert_path"`
				Config   botoConfig `json:"config"`
			} `json:"aws_client_parameters"`
		} `json:"credentials"`
	}
	if err := orion.DecodeLoose(data, &block); err != nil {
		return nil, err
	}
	cr := block.Credentials
	c := s3.Config{
		Bucket: block.Bucket, Key: fromTheTop(cmp.Or(block.Folder, block.Older)),
		AccessKey: cmp.Or(cr.AccessKey, cr.MinIOUser), SecretKey: cmp.Or(cr.SecretKey, cr.MinIOSecret), SessionToken: cr.SessionToken,
		Profile: cr.Profile, Region: cr.Region, Endpoint: cr.Client.Endpoint,
	}
	cr.Client.Config.apply(&c)
	certificates(&c, cr.Client.Verify, cr.Client.CAFile)
	return s3.Open(c)
}

// certificates reads boto's "verify", which is a yes, a no or the path of a file.
func certificates(c *s3.Config, value orion.JSON, file string) {
	var text string
	switch {
	case string(value) == "false":
		c.Insecure = true
	case orion.Decode(value, &text) == nil:
		c.CAFile = text
	}
	c.CAFile = cmp.Or(file, c.CAFile)
}

func openGcsfs(ctx context.Context, basepath string, base address, settings orion.JSON) (storage.Store, error) {
	var s struct {
		Token    orion.JSON `json:"token"`
		Endpoint string     `json:"endpoint_url"`
	}
	if err := orion.Decode(settings, &s); err != nil {
		return nil, fmt.Errorf("settings: %w", err)
	}
	c := gcs.Config{Bucket: base.host, Key: belowURL(basepath, base.path), Endpoint: s.Endpoint}
	var text string
	switch {
	case orion.IsNull(s.Token):
	case s.Token.Kind() == '{':
		c.ServiceAccount = s.Token
	case orion.Decode(s.Token, &text) != nil:
		return nil, errors.New("settings: token is neither a service account nor the name of a way to sign in")
	case text == "anon":
		c.Anonymous = true
	case text != "google_default" && text != "cloud":
		var err error
		if c.ServiceAccount, err = os.ReadFile(text); err != nil {
			return nil, err
		}
	}
	return gcs.Open(ctx, c)
}

func openGCS(ctx context.Context, data orion.JSON) (storage.Store, error) {
	var block struct {
		BucketPath     string `json:"bucket_path"`
		ServiceAccount string `json:"service_account_info"`
	}
	if err := orion.Decode(data, &block); err != nil {
		return nil, err
	}
	basepath := "gcs://" + block.BucketPath
	base := splitURL(basepath)
	return gcs.Open(ctx, gcs.Config{Bucket: base.host, Key: belowURL(basepath, base.path), ServiceAccount: []byte(block.ServiceAccount)})
}

func openGCSBucket(ctx context.Context, data orion.JSON) (storage.Store, error) {
	var block struct {
		Bucket      string `json:"bucket"`
		Folder      string `json:"bucket_folder"`
		Credentials struct {
			File string     `json:"service_account_file"`
			Info orion.JSON `json:"service_account_info"`
		} `json:"gcp_credentials"`
	}
	if err := orion.Decode(data, &block); err != nil {
		return nil, err
	}
	c := gcs.Config{Bucket: block.Bucket, Key: belowFolder(block.Folder)}
	var text string
	switch info := block.Credentials.Info; {
	case !orion.IsNull(info) && orion.Decode(info, &text) == nil:
		c.ServiceAccount = []byte(text)
	case !orion.IsNull(info):
		c.ServiceAccount = info
	case block.Credentials.File != "":
		file := block.Credentials.File
		if home, err := os.UserHomeDir(); err == nil && strings.HasPrefix(file, "~/") {
			file = filepath.Join(home, file[2:])
		}
		var err error
		if c.ServiceAccount, err = os.ReadFile(file); err != nil {
			return nil, err
		}
	}
	return gcs.Open(ctx, c)
}

func openGitHub(_ context.Context, data orion.JSON) (storage.Store, error) {
	var block struct {
		Repository string `json:"repository"`
		Reference  string `json:"reference"`
		Token      string `json:"access_token"`
	}
	if err := orion.Decode(data, &block); err != nil {
		return nil, err
	}
	// The token stands where a URL has its user, or user and password.
	user, password, _ := strings.Cut(block.Token, ":")
	return git.Open(git.Config{URL: block.Repository, Reference: block.Reference, User: user, Password: password})
}

func openGitHubRepository(_ context.Context, data orion.JSON) (storage.Store, error) {
	var block struct {
		Repository  string `json:"repository_url"`
		Reference   string `json:"reference"`
		Credentials struct {
			Token string `json:"token"`
		} `json:"credentials"`
	}
	if err := orion.Decode(data, &block); err != nil {
		return nil, err
	}
	user, password, _ := strings.Cut(block.Credentials.Token, ":")
	return git.Open(git.Config{URL: block.Repository, Reference: block.Reference, User: user, Password: password})
}

func openGitLab(_ context.Context, data orion.JSON) (storage.Store, error) {
	var block struct {
		Repository  string `json:"repository"`
		Reference   string `json:"reference"`
		Credentials struct {
			Token string `json:"token"`
		} `json:"credentials"`
	}
	if err := orion.Decode(data, &block); err != nil {
		return nil, err
	}
	c := git.Config{URL: block.Repository, Reference: block.Reference}
	if block.Credentials.Token != "" {
		c.User, c.Password = "oauth2", block.Credentials.Token
	}
	return git.Open(c)
}

func openBitbucket(_ context.Context, data orion.JSON) (storage.Store, error) {
	var block struct {
		Repository  string `json:"repository"`
		Reference   string `json:"reference"`
		Credentials struct {
			Token    string `json:"token"`
			Username string `json:"username"`
		} `json:"bitbucket_credentials"`
	}
	if err := orion.Decode(data, &block); err != nil {
		return nil, err
	}
	c := git.Config{URL: block.Repository, Reference: block.Reference}
	if block.Credentials.Token != "" {
		c.User, c.Password = cmp.Or(block.Credentials.Username, "x-token-auth"), block.Credentials.Token
	}
	return git.Open(c)
}

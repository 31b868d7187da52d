package azure

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync/atomic"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// identity is as whom a store is asked. Where that is a token, it remembers who
// the token says it is for.
type identity struct {
	azcore.TokenCredential
	name string
	who  atomic.Pointer[string]
}

// GetToken gets a token, from a cache for the most part.
func (i *identity) GetToken(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	t, err := i.TokenCredential.GetToken(ctx, o)
	if err == nil {
		who := subject(t.Token)
		i.who.Store(&who)
	}
	return t, err
}

func (i *identity) String() string {
	if who := i.who.Load(); who != nil && *who != "" {
		return fmt.Sprintf("%s (%s)", i.name, *who)
	}
	return i.name
}

// role is what a denied identity is to be given.
func (i *identity) role() string {
	switch {
	case i.TokenCredential != nil:
		return `it the role "Storage Blob Data Contributor" (to fetch only: "Storage Blob Data Reader")`
	case strings.Contains(i.name, "SAS"):
		return "the token the permissions racwdl (to fetch only: rl)"
	}
	return `some identity the role "Storage Blob Data Contributor" and use that`
}

// subject reads from a token whom it is for. Nothing is decided by that.
func subject(token string) string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return ""
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return ""
	}
	var claims struct {
		ObjectID    string `json:"oid"`
		Application string `json:"appid"`
		User        string `json:"upn"`
	}
	if json.Unmarshal(text, &claims) != nil {
		return ""
	}
	var who []string
	for _, part := range []struct{ what, id string }{{"user", claims.User}, {"application", claims.Application}, {"object id", claims.ObjectID}} {
		if part.id != "" {
			who = append(who, part.what+" "+part.id)
		}
	}
	return strings.Join(who, ", ")
}

// token is the credential that gets tokens, and its name for people.
func token(c Config, core policy.ClientOptions) (azcore.TokenCredential, string, error) {
	// An authority of one's own is not among those that Microsoft vouches for.
	authority := os.Getenv("AZURE_AUTHORITY_HOST")
	private := authority != "" && !strings.Contains(authority, "login.microsoftonline.") && !strings.Contains(authority, "login.chinacloudapi.cn")
	core.Retry = policy.RetryOptions{} // a metadata service that is busy is asked again
	switch {
	case c.ClientID != "" && c.ClientSecret != "":
		credential, err := azidentity.NewClientSecretCredential(c.TenantID, c.ClientID, c.ClientSecret,
			&azidentity.ClientSecretCredentialOptions{ClientOptions: core, DisableInstanceDiscovery: private})
		return credential, "the service principal " + c.ClientID, err
	case c.ManagedIdentity != "":
		credential, err := azidentity.NewManagedIdentityCredential(&azidentity.ManagedIdentityCredentialOptions{ClientOptions: core, ID: azidentity.ClientID(c.ManagedIdentity)})
		return credential, "the managed identity " + c.ManagedIdentity, err
	}
	credential, err := azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{ClientOptions: core, DisableInstanceDiscovery: private, TenantID: c.TenantID})
	return credential, "the identity of this environment", err
}

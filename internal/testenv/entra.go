package testenv

import (
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Entra is a double of what gives out Azure's tokens, which no registry offers:
// the token endpoint of Microsoft Entra and the endpoint of a managed identity.
// Its tokens are as real ones but for the signature, which Azurite does not look
// at.
type Entra struct {
	URL    string // https://127.0.0.1:PORT
	Tenant string

	mu    sync.Mutex // guards calls
	calls []string
}

// EntraTenant is the tenant that Entra knows, EntraObject who its tokens are for.
const (
	EntraTenant = "0f8fad5b-d9cb-469f-a165-70867728950e"
	EntraObject = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
	EntraSecret = "the client's secret"
)

// NewEntra starts one, with the certificate of [LocalCertificate].
func NewEntra(t testing.TB) *Entra {
	t.Helper()
	c := LocalCertificate(t)
	pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	e := &Entra{Tenant: EntraTenant}
	s := httptest.NewUnstartedServer(e)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	s.StartTLS()
	t.Cleanup(s.Close)
	e.URL = s.URL
	return e
}

// Asked tells whether somebody asked for a token with all of these words in the
// address or the form.
func (e *Entra) Asked(words ...string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.ContainsFunc(e.calls, func(call string) bool {
		for _, w := range words {
			if !strings.Contains(call, w) {
				return false
			}
		}
		return true
	})
}

func (e *Entra) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm() // what cannot be read is not there
	e.mu.Lock()
	e.calls = append(e.calls, r.URL.Path+"?"+r.Form.Encode())
	e.mu.Unlock()
	answer := func(status int, v map[string]any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(v) // the client may have gone
	}
	life := time.Hour
	switch path := strings.TrimPrefix(r.URL.Path, "/"+e.Tenant); path {
	case "/v2.0/.well-known/openid-configuration":
		answer(http.StatusOK, map[string]any{"issuer": e.URL + "/" + e.Tenant + "/v2.0",
			"authorization_endpoint": e.URL + "/" + e.Tenant + "/oauth2/v2.0/authorize", "token_endpoint": e.URL + "/" + e.Tenant + "/oauth2/v2.0/token"})
	case "/oauth2/v2.0/token":
		if r.Form.Get("client_secret") != EntraSecret && r.Form.Get("client_assertion") == "" {
			answer(http.StatusUnauthorized, map[string]any{"error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret provided."})
			return
		}
		audience, _, _ := strings.Cut(r.Form.Get("scope"), "/.default")
		answer(http.StatusOK, map[string]any{"access_token": e.Token(audience, life), "token_type": "Bearer", "expires_in": int(life.Seconds())})
	case "/identity": // a managed identity, as App Service has it
		if r.Header.Get("X-IDENTITY-HEADER") == "" {
			answer(http.StatusBadRequest, map[string]any{"error": "invalid_request"})
			return
		}
		resource := r.Form.Get("resource")
		answer(http.StatusOK, map[string]any{"access_token": e.Token(resource, life), "token_type": "Bearer", "resource": resource,
			"expires_in": "3600", "expires_on": strconv.FormatInt(time.Now().Add(life).Unix(), 10)})
	default:
		answer(http.StatusNotFound, map[string]any{"error": "not_found"})
	}
}

// Token is one for an audience.
func (e *Entra) Token(audience string, life time.Duration) string {
	part := func(v map[string]any) string {
		b, _ := json.Marshal(v) // strings and numbers only
		return base64.RawURLEncoding.EncodeToString(b)
	}
	now := time.Now()
	return part(map[string]any{"alg": "RS256", "typ": "JWT"}) + "." + part(map[string]any{
		"aud": strings.TrimSuffix(audience, "/"), "iss": "https://sts.windows.net/" + e.Tenant + "/", "tid": e.Tenant, "oid": EntraObject, "sub": EntraObject,
		"ver": "1.0", "iat": now.Unix() - 5, "nbf": now.Unix() - 5, "exp": now.Add(life).Unix()}) + "." + base64.RawURLEncoding.EncodeToString([]byte("unsigned"))
}

package doctor

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/internal/plan"
)

// images are looked at for their form, and asked for at registries that answer
// everybody. One that wants a name and a password, or that cannot be reached, is
// not checked.
func (x *examination) images(ctx context.Context) error {
	asked := map[string]bool{}
	closed := map[string]error{} // registries that do not answer
	for i := range x.all {
		d := &x.all[i]
		name := imageOf(d)
		if name == "" || asked[name] {
			continue
		}
		asked[name] = true
		ref, ok := parseImage(name)
		if !ok {
			x.find(Error, d.File, "Write it as registry/name:tag, the name in lower case.", "%q names an image that no registry can have: %q", d.FullName, name)
			continue
		}
		there, err := false, closed[ref.registry]
		if err == nil {
			there, err = ref.exists(ctx)
			closed[ref.registry] = err
		}
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			x.notChecked("the image %s: %v", name, err)
		case !there:
			x.find(Error, d.File, "Push the image before the deploy, or correct its name or tag.", "the registry %s has no image %s, which %q runs in", ref.registry, name, d.FullName)
		}
	}
	return nil
}

// imageOf is the image that a deployment's runs start in; "" without.
func imageOf(d *plan.Declared) string {
	for _, data := range []orion.JSON{d.JobVariables, d.InfraOverrides, infrastructure(d)} {
		var v struct {
			Image string `json:"image"`
		}
		if orion.DecodeLoose(orion.ObjectOr(data), &v) == nil && v.Image != "" && !strings.Contains(v.Image, "{{") {
			return v.Image
		}
	}
	return ""
}

func infrastructure(d *plan.Declared) orion.JSON {
	if d.Infrastructure == nil {
		return nil
	}
	return d.Infrastructure.Data.JSON()
}

// image is a reference to one, taken apart as Docker does.
type image struct{ registry, name, tag string }

var (
	imageName   = regexp.MustCompile(`^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$`)
	imageTag    = regexp.MustCompile(`^\w[\w.-]{0,127}$`)
	imageDigest = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
	imageHost   = regexp.MustCompile(`^[A-Za-z0-9.-]+(?::[0-9]+)?$`)
)

func parseImage(text string) (image, bool) {
	r := image{registry: "registry-1.docker.io", tag: "latest"}
	rest, digest, pinned := strings.Cut(text, "@")
	if host, name, ok := strings.Cut(rest, "/"); ok && (strings.ContainsAny(host, ".:") || host == "localhost") {
		r.registry, rest = host, name
	}
	if i := strings.LastIndex(rest, ":"); i > strings.LastIndex(rest, "/") {
		rest, r.tag = rest[:i], rest[i+1:]
	}
	r.name = rest
	ok := imageHost.MatchString(r.registry) && imageName.MatchString(r.name) && imageTag.MatchString(r.tag)
	if pinned {
		ok = ok && imageDigest.MatchString(digest)
		r.tag = digest
	}
	if r.registry == "docker.io" {
		r.registry = "registry-1.docker.io"
	}
	if r.registry == "registry-1.docker.io" && !strings.Contains(r.name, "/") {
		r.name = "library/" + r.name
	}
	return r, ok
}

var registryClient = &http.Client{Timeout: 5 * time.Second}

// exists asks the registry, by the protocol that all of them share. The error
// is why it could not be asked.
func (r image) exists(ctx context.Context) (bool, error) {
	scheme := "https"
	if host, _, _ := strings.Cut(r.registry, ":"); host == "localhost" || host == "127.0.0.1" {
		scheme = "http" // as Docker has it for registries on the same machine
	}
	at := fmt.Sprintf("%s://%s/v2/%s/manifests/%s", scheme, r.registry, r.name, r.tag)
	token := ""
	for range 2 {
		res, err := ask(ctx, http.MethodHead, at, token)
		if err != nil {
			return false, fmt.Errorf("%s cannot be reached", r.registry)
		}
		res.Body.Close()
		switch {
		case res.StatusCode == http.StatusOK:
			return true, nil
		case res.StatusCode == http.StatusNotFound:
			return false, nil
		case res.StatusCode == http.StatusUnauthorized && token == "":
			if token = r.visitor(ctx, res.Header.Get("WWW-Authenticate")); token != "" {
				continue
			}
		}
		return false, fmt.Errorf("%s does not tell everybody", r.registry)
	}
	return false, fmt.Errorf("%s does not tell everybody", r.registry)
}

var challenge = regexp.MustCompile(`(\w+)="([^"]*)"`)

// visitor is a token for somebody without a name; "" when there is none.
func (r image) visitor(ctx context.Context, header string) string {
	if !strings.HasPrefix(header, "Bearer ") {
		return ""
	}
	q := url.Values{"scope": {"repository:" + r.name + ":pull"}}
	realm := ""
	for _, m := range challenge.FindAllStringSubmatch(header, -1) {
		switch m[1] {
		case "realm":
			realm = m[2]
		case "service":
			q.Set("service", m[2])
		}
	}
	res, err := ask(ctx, http.MethodGet, realm+"?"+q.Encode(), "")
	if err != nil {
		return ""
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	var answer struct {
		Token  string `json:"token"`
		Access string `json:"access_token"`
	}
	if err != nil || res.StatusCode != http.StatusOK || orion.DecodeLoose(b, &answer) != nil {
		return ""
	}
	if answer.Token == "" {
		return answer.Access
	}
	return answer.Token
}

func ask(ctx context.Context, method, at, token string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, at, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return registryClient.Do(req)
}

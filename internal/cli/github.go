package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/orionflows/orion"
)

// pullRequest is the one on GitHub that a job belongs to.
type pullRequest struct {
	api, repository, token string
	number                 int64
}

// currentPullRequest knows it by the environment of a job. why says why there
// is none to comment on.
func currentPullRequest() (pr pullRequest, why string) {
	pr = pullRequest{api: os.Getenv("GITHUB_API_URL"), repository: os.Getenv("GITHUB_REPOSITORY"), token: os.Getenv("GITHUB_TOKEN")}
	var event struct {
		PullRequest struct {
			Number int64 `json:"number"`
		} `json:"pull_request"`
	}
	if b, err := os.ReadFile(os.Getenv("GITHUB_EVENT_PATH")); err == nil {
		_ = orion.DecodeLoose(b, &event) // an event of another kind has no number
	}
	pr.number = event.PullRequest.Number
	switch {
	case pr.number == 0 || pr.api == "" || pr.repository == "":
		return pr, "this job belongs to no pull request"
	case pr.token == "":
		return pr, "there is no GITHUB_TOKEN to write it with"
	}
	return pr, ""
}

// comment writes the comment that begins with mark, or edits it where it is.
func (pr pullRequest) comment(ctx context.Context, mark, text string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	text = mark + "\n" + text
	const perPage = 100
	for page := 1; ; page++ {
		var comments []struct {
			ID   int64  `json:"id"`
			Body string `json:"body"`
		}
		if err := pr.call(ctx, "GET", fmt.Sprintf("/repos/%s/issues/%d/comments?per_page=%d&page=%d", pr.repository, pr.number, perPage, page), nil, &comments); err != nil {
			return err
		}
		for _, c := range comments {
			if strings.HasPrefix(c.Body, mark) {
				return pr.call(ctx, "PATCH", fmt.Sprintf("/repos/%s/issues/comments/%d", pr.repository, c.ID), map[string]string{"body": text}, nil)
			}
		}
		if len(comments) < perPage {
			return pr.call(ctx, "POST", fmt.Sprintf("/repos/%s/issues/%d/comments", pr.repository, pr.number), map[string]string{"body": text}, nil)
		}
	}
}

func (pr pullRequest) call(ctx context.Context, method, path string, in, out any) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = orion.Encode(in); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(pr.api, "/")+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+pr.token)
	req.Header.Set("Accept", "application/vnd.github+json")
	req.Header.Set("User-Agent", "orion/"+Version)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, 32<<20))
	switch {
	case err != nil:
		return err
	case res.StatusCode == http.StatusForbidden || res.StatusCode == http.StatusUnauthorized:
		return fmt.Errorf("%s says %s: give the job the permission pull-requests: write; a pull request of a fork cannot have it", pr.api, res.Status)
	case res.StatusCode >= 300:
		return fmt.Errorf("%s %s: %s", method, path, res.Status)
	case out == nil:
		return nil
	}
	return orion.DecodeLoose(b, out)
}

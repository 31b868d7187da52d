package prefect

import (
	"net/http"
	"testing"
)

func TestClientsAreToldApart(t *testing.T) {
	t.Parallel()
	for ua, want := range map[string]struct {
		generation int
		answers    string
	}{
		"prefect/2.20.26 (API 0.8.4)":  {2, ServerVersion},
		"prefect/3.8.8 (API 0.8.4)":    {3, "3.8.8"},
		"prefect/3.1.0rc1 (API 0.8.4)": {3, "3.1.0rc1"},
		"python-httpx/0.24.1":          {2, ServerVersion},
		"":                             {2, ServerVersion},
		"prefect/nonsense":             {2, ServerVersion},
	} {
		c, err := ClientOf(http.Header{"User-Agent": {ua}})
		if err != nil || c.Generation != want.generation || c.AdminVersion() != want.answers {
			t.Errorf("%q: generation %d, told %s, %v", ua, c.Generation, c.AdminVersion(), err)
		}
	}
}

func TestProtocolVersions(t *testing.T) {
	t.Parallel()
	for v, ok := range map[string]bool{"": true, "0.8.4": true, "0.8.0": true, "0.9.0": true, "1.0.0": true, "0.7.9": false, "0.8": false, "a.b.c": false} {
		h := http.Header{}
		if v != "" {
			h.Set("X-PREFECT-API-VERSION", v)
		}
		if _, err := ClientOf(h); (err == nil) != ok {
			t.Errorf("version %q: %v", v, err)
		}
	}
	old, err := ClientOf(http.Header{"X-Prefect-Api-Version": {"0.8.2"}})
	if err != nil || !old.ResetsTasksOnRetry() || old.TracksPauses() {
		t.Errorf("0.8.2 is treated as %+v, %v", old, err)
	}
}

package api

import (
	"os"
	"strings"
	"testing"
)

// Every method and path of Prefect 2.20, as testdata/routes-2.20.tsv lists them,
// is in the table, and no row before it takes its requests.
func TestEveryRouteOfPrefect2(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("testdata/routes-2.20.tsv")
	if err != nil {
		t.Fatal(err)
	}
	a := New(Options{})
	n := 0
	for line := range strings.Lines(string(b)) {
		f := strings.Split(strings.TrimSpace(line), "\t")
		method, path := f[0], strings.TrimPrefix(f[1], "/api")
		if strings.HasPrefix(path, "/static/") || path == "/{any UI path}" {
			continue // files of Prefect's own pages
		}
		if method == "WS" {
			method = get
		}
		n++
		segs := split(path)
		for i, s := range segs {
			if strings.HasPrefix(s, "{") {
				segs[i] = "11111111-1111-4111-8111-111111111111"
			}
		}
		rt, _, _ := a.routes.match(method, "/"+strings.Join(segs, "/"))
		if rt == nil {
			t.Errorf("%s %s is not served", method, path)
			continue
		}
		for i, s := range split(path) {
			if strings.HasPrefix(s, "{") != strings.HasPrefix(rt.segments[i], "{") {
				t.Errorf("%s %s is taken by %s", method, path, rt.path)
			}
		}
		want := f[2]
		switch {
		case rt.h == nil || want == "-" || want == "101":
		case path == "/block_schemas/", path == "/templates/validate": // 200 or 201, and 204 or 422, whatever Prefect's document says
		case strings.Contains(want, "/") != (rt.status == 0):
			t.Errorf("%s %s: Prefect answers %s, the table says %d", method, path, want, rt.status)
		case rt.status != 0 && !strings.HasPrefix(want, itoa(rt.status)):
			t.Errorf("%s %s: Prefect answers %s, the table says %d", method, path, want, rt.status)
		}
	}
	if n < 150 {
		t.Errorf("only %d routes were compared", n)
	}
}

func itoa(n int) string {
	return string([]byte{byte('0' + n/100), byte('0' + n/10%10), byte('0' + n%10)})
}

func TestCheckTemplate(t *testing.T) {
	t.Parallel()
	for _, good := range []string{
		"", "plain { text }", "{{ a.b['}}'] }}", "{% if x %}y{% else %}{# ' #}{% endif %}", "{% for i in xs -%} {{ i|upper }} {%- endfor %}",
		"{% raw %}{{ {% nothing {% endraw %}", "{% set x = 1 %}{{ x }}", `{{ "a\"}}" }}`,
	} {
		if e := checkTemplate(good); e != nil {
			t.Errorf("%q is refused: %+v", good, e)
		}
	}
	for bad, line := range map[string]int{
		"{{": 1, "a\n{{ b": 2, "{% if x %}": 1, "\n\n{% endif %}": 3, "{# ": 1, "{{ }}": 1, "{% nonsense %}": 1, "{% if x %}{% endfor %}": 1,
		"{{ 'a }}": 1, "{% raw %} {{": 1,
	} {
		if e := checkTemplate(bad); e == nil || e.Line != line || e.Source != bad {
			t.Errorf("%q: %+v, want an error in line %d", bad, e, line)
		}
	}
}

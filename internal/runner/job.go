// Package runner knows what a deployment asks to be run: it reads the
// infrastructure block or the pool's job template, with the deployment's and
// the run's own settings laid over, into a [Job]. Starting one is the business
// of the packages below. Start with [FromBlock] and [FromTemplate].
package runner

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"strings"

	"github.com/orionflows/orion"
)

// Job is what is to be started for a flow run.
type Job struct {
	// Type is the kind of infrastructure: "process" here.
	Type string
	// Command is the program and its arguments; empty for the flow engine.
	Command []string
	// Env is added to the agent's own environment; a nil value removes a name.
	Env map[string]*string
	// Dir is the folder to run in; empty for one made for the run.
	Dir string
	// Stream shows the output as it comes.
	Stream bool
}

// FromBlock reads an infrastructure block. Overrides are the deployment's, in
// dotted keys ("env.NAME") or nested.
func FromBlock(d *orion.BlockDocument, overrides ...orion.JSON) (*Job, error) {
	data := map[string]any{}
	typ := "process"
	if d != nil {
		if err := decode(d.Data, &data); err != nil {
			return nil, fmt.Errorf("the infrastructure block cannot be read: %w", err)
		}
		if s, ok := data["type"].(string); ok {
			typ = s
		} else if d.BlockType != nil {
			typ = d.BlockType.Slug
		}
	}
	for _, o := range overrides {
		var m map[string]any
		if err := decode(orion.ObjectOr(o), &m); err != nil {
			return nil, fmt.Errorf("the deployment's overrides cannot be read: %w", err)
		}
		for k, v := range m {
			set(data, strings.Split(k, "."), v)
		}
	}
	return jobOf(typ, data)
}

// set writes a value at a dotted path; objects are merged.
func set(m map[string]any, path []string, v any) {
	if len(path) > 1 {
		inner, ok := m[path[0]].(map[string]any)
		if !ok {
			inner = map[string]any{}
			m[path[0]] = inner
		}
		// The rest of the path is one key where it names an environment
		// variable, which may hold dots.
		if path[0] == "env" || path[0] == "labels" {
			inner[strings.Join(path[1:], ".")] = v
			return
		}
		set(inner, path[1:], v)
		return
	}
	if add, ok := v.(map[string]any); ok {
		if have, ok := m[path[0]].(map[string]any); ok {
			maps.Copy(have, add)
			return
		}
	}
	m[path[0]] = v
}

// FromTemplate reads a pool's base job template with the variables filled in,
// later ones winning over earlier ones and over the template's defaults.
func FromTemplate(poolType string, template orion.JSON, variables ...orion.JSON) (*Job, error) {
	var t struct {
		Configuration map[string]any `json:"job_configuration"`
		Variables     struct {
			Properties map[string]struct {
				Default any `json:"default"`
			} `json:"properties"`
		} `json:"variables"`
	}
	if err := decode(orion.ObjectOr(template), &t); err != nil {
		return nil, fmt.Errorf("the pool's job template cannot be read: %w", err)
	}
	values := map[string]any{}
	for k, p := range t.Variables.Properties {
		if p.Default != nil {
			values[k] = p.Default
		}
	}
	for _, v := range variables {
		var m map[string]any
		if err := decode(orion.ObjectOr(v), &m); err != nil {
			return nil, fmt.Errorf("the job variables cannot be read: %w", err)
		}
		for k, x := range m {
			if x != nil {
				set(values, strings.SplitN(k, ".", 2), x)
			}
		}
	}
	data, _ := fill(t.Configuration, values).(map[string]any)
	if data == nil {
		data = values // a pool without a template: the variables are the job
	}
	return jobOf(poolType, data)
}

var placeholder = regexp.MustCompile(`\{\{\s*([\w.\-]+)\s*\}\}`)

type absent struct{}

// fill replaces {{ name }}. A text that is nothing but one placeholder becomes
// the value itself, of whatever type; one without a value is left out.
func fill(v any, values map[string]any) any {
	switch v := v.(type) {
	case string:
		if m := placeholder.FindStringSubmatch(v); m != nil && m[0] == v {
			if x, ok := values[m[1]]; ok {
				return x
			}
			return absent{}
		}
		return placeholder.ReplaceAllStringFunc(v, func(s string) string {
			x, ok := values[placeholder.FindStringSubmatch(s)[1]]
			if !ok {
				return ""
			}
			return fmt.Sprint(x)
		})
	case map[string]any:
		out := map[string]any{}
		for k, c := range v {
			f := fill(c, values)
			if _, gone := f.(absent); !gone {
				out[k] = f
			}
		}
		return out
	case []any:
		out := []any{}
		for _, c := range v {
			f := fill(c, values)
			if _, gone := f.(absent); !gone {
				out = append(out, f)
			}
		}
		return out
	}
	return v
}

func jobOf(typ string, data map[string]any) (*Job, error) {
	j := &Job{Type: typ, Env: map[string]*string{}, Stream: true}
	switch c := data["command"].(type) {
	case nil:
	case string:
		words, err := Split(c)
		if err != nil {
			return nil, fmt.Errorf("the command %q cannot be read: %w", c, err)
		}
		j.Command = words
	case []any:
		for _, w := range c {
			j.Command = append(j.Command, fmt.Sprint(w))
		}
	default:
		return nil, fmt.Errorf("the command is neither a text nor a list")
	}
	if env, ok := data["env"].(map[string]any); ok {
		for k, v := range env {
			if v == nil {
				j.Env[k] = nil
				continue
			}
			s := fmt.Sprint(v)
			if b, ok := v.(bool); ok {
				s = strings.ToUpper(fmt.Sprint(b)[:1]) + fmt.Sprint(b)[1:]
			}
			j.Env[k] = &s
		}
	}
	if d, ok := data["working_dir"].(string); ok {
		j.Dir = d
	}
	if s, ok := data["stream_output"].(bool); ok {
		j.Stream = s
	}
	return j, nil
}

func decode(b orion.JSON, v any) error {
	if orion.IsNull(b) {
		return nil
	}
	return json.Unmarshal(b, v)
}

// Split breaks a command line into words as a shell does, with quotes and
// backslashes but without expansions.
func Split(s string) ([]string, error) {
	var words []string
	var w strings.Builder
	open := false
	quote := rune(0)
	rs := []rune(s)
	for i := 0; i < len(rs); i++ {
		r := rs[i]
		switch {
		case quote == '\'':
			if r == '\'' {
				quote = 0
			} else {
				w.WriteRune(r)
			}
		case r == '\\' && i+1 < len(rs) && (quote == 0 || strings.ContainsRune(`"\$`, rs[i+1])):
			i++
			w.WriteRune(rs[i])
			open = true
		case quote == '"':
			if r == '"' {
				quote = 0
			} else {
				w.WriteRune(r)
			}
		case r == '\'' || r == '"':
			quote, open = r, true
		case r == ' ' || r == '\t' || r == '\n':
			if open || w.Len() > 0 {
				words = append(words, w.String())
				w.Reset()
				open = false
			}
		default:
			w.WriteRune(r)
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("a quote is not closed")
	}
	if open || w.Len() > 0 {
		words = append(words, w.String())
	}
	return words, nil
}

package orchestration

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/dlclark/regexp2"
	"github.com/orionflows/orion"
	"github.com/orionflows/orion/internal/store"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// Hydrate resolves what forms and deployment files write in place of a value:
// objects with a "__prefect_kind" of json, jinja, workspace_variable or none.
func Hydrate(tx *store.Tx, parameters orion.JSON) (orion.JSON, error) {
	if !bytes.Contains(parameters, []byte("__prefect_kind")) {
		return parameters, nil
	}
	v, err := decodeAny(parameters)
	if err != nil {
		return nil, err
	}
	if v, err = hydrate(tx, v); err != nil {
		return nil, err
	}
	if _, gone := v.(removed); gone {
		return orion.JSON("null"), nil
	}
	return orion.Encode(v)
}

// removed stands for a value that is to be left out.
type removed struct{}

func hydrate(tx *store.Tx, v any) (any, error) {
	switch v := v.(type) {
	case []any:
		out := make([]any, 0, len(v))
		for _, c := range v {
			h, err := hydrate(tx, c)
			if err != nil {
				return nil, err
			}
			if _, gone := h.(removed); !gone {
				out = append(out, h)
			}
		}
		return out, nil
	case map[string]any:
		if kind, ok := v["__prefect_kind"]; ok {
			return hydrateKind(tx, kind, v)
		}
		out := map[string]any{}
		for k, c := range v {
			h, err := hydrate(tx, c)
			if err != nil {
				return nil, err
			}
			if _, gone := h.(removed); !gone {
				out[k] = h
			}
		}
		return out, nil
	}
	return v, nil
}

func hydrateKind(tx *store.Tx, kind any, v map[string]any) (any, error) {
	value, has := v["value"]
	switch kind {
	case "json":
		s, ok := value.(string)
		if !ok {
			return removed{}, nil
		}
		out, err := decodeAny(orion.JSON(s))
		if err != nil {
			return nil, fmt.Errorf("Invalid JSON: %v", err)
		}
		return out, nil
	case "workspace_variable":
		name, ok := v["variable_name"].(string)
		if !ok {
			return removed{}, nil
		}
		found, err := tx.VariableByName(name)
		if err != nil {
			return nil, err
		}
		if found == nil {
			return nil, fmt.Errorf("Variable '%s' not found in workspace.", name)
		}
		return decodeAny(found.Value)
	case "jinja":
		return nil, errors.New("templates in parameters need automations, which are not enabled")
	case nil, "none":
		if !has {
			return removed{}, nil
		}
		return hydrate(tx, value)
	}
	return nil, fmt.Errorf("Invalid '__prefect_kind': %v", kind)
}

func decodeAny(b orion.JSON) (any, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if d.More() {
		return nil, errors.New("more than one value")
	}
	return v, nil
}

// ValueError is what is wrong with one value of a form.
type ValueError struct {
	Property string   `json:"property"`
	Errors   []string `json:"errors"`
}

// CheckParameters holds parameters against a deployment's schema. partial
// leaves required ones out of account. The error is one sentence.
func CheckParameters(schema, parameters orion.JSON, partial bool) error {
	if orion.IsNull(schema) {
		return errors.New("Cannot enforce parameters because the deployment does not have a valid parameter schema.")
	}
	errs, err := valueErrors(schema, parameters, partial)
	if err != nil {
		return err
	}
	if len(errs) == 0 {
		return nil
	}
	e := errs[0]
	if e.Property == "" {
		return fmt.Errorf("Validation failed. Failure reason: %s", e.Errors[0])
	}
	return fmt.Errorf("Validation failed for field '%s'. Failure reason: %s", e.Property, e.Errors[0])
}

// ValueErrors holds values against a schema and lists what is wrong.
func ValueErrors(schema, values orion.JSON) ([]ValueError, error) {
	return valueErrors(schema, values, false)
}

func valueErrors(schema, values orion.JSON, partial bool) ([]ValueError, error) {
	s, err := compile(schema, partial)
	if err != nil {
		return nil, err
	}
	inst, err := jsonschema.UnmarshalJSON(bytes.NewReader(orion.ObjectOr(values)))
	if err != nil {
		return nil, orion.Refuse("values", "the values are not valid JSON")
	}
	err = s.Validate(inst)
	var ve *jsonschema.ValidationError
	if !errors.As(err, &ve) {
		return []ValueError{}, err
	}
	by := map[string][]string{}
	collect(inst, ve, by)
	out := make([]ValueError, 0, len(by))
	for p, m := range by {
		out = append(out, ValueError{p, m})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Property < out[j].Property })
	return out, nil
}

func collect(inst any, e *jsonschema.ValidationError, by map[string][]string) {
	if len(e.Causes) == 0 {
		p := strings.Join(e.InstanceLocation, ".")
		m := reason(at(inst, e.InstanceLocation), e)
		if !slices.Contains(by[p], m) {
			by[p] = append(by[p], m)
		}
		return
	}
	for _, c := range e.Causes {
		collect(inst, c, by)
	}
}

// at is the value at a place.
func at(v any, path []string) any {
	for _, p := range path {
		switch c := v.(type) {
		case map[string]any:
			v = c[p]
		case []any:
			i, err := strconv.Atoi(p)
			if err != nil || i >= len(c) {
				return nil
			}
			v = c[i]
		}
	}
	return v
}

// reason says what is wrong in the words of Python's jsonschema, which
// Prefect's clients show.
func reason(v any, e *jsonschema.ValidationError) string {
	switch k := e.ErrorKind.(type) {
	case *kind.Type:
		want := make([]string, len(k.Want))
		for i, w := range k.Want {
			want[i] = "'" + w + "'"
		}
		return fmt.Sprintf("%s is not of type %s", python(v), strings.Join(want, ", "))
	case *kind.Required:
		return fmt.Sprintf("'%s' is a required property", k.Missing[0])
	case *kind.Enum:
		return fmt.Sprintf("%s is not one of %s", python(v), python(k.Want))
	case *kind.Const:
		return fmt.Sprintf("%s was expected", python(k.Want))
	case *kind.AdditionalProperties:
		quoted := make([]string, len(k.Properties))
		for i, p := range k.Properties {
			quoted[i] = "'" + p + "'"
		}
		verb := "was"
		if len(quoted) > 1 {
			verb = "were"
		}
		return fmt.Sprintf("Additional properties are not allowed (%s %s unexpected)", strings.Join(quoted, ", "), verb)
	case *kind.Minimum:
		return fmt.Sprintf("%s is less than the minimum of %s", python(v), k.Want.RatString())
	case *kind.Maximum:
		return fmt.Sprintf("%s is greater than the maximum of %s", python(v), k.Want.RatString())
	case *kind.MinLength, *kind.MinItems:
		return python(v) + " is too short"
	case *kind.MaxLength, *kind.MaxItems:
		return python(v) + " is too long"
	case *kind.Pattern:
		return fmt.Sprintf("%s does not match %s", python(v), python(k.Want))
	}
	return e.ErrorKind.LocalizedString(message.NewPrinter(language.English))
}

// python prints a value as Python's repr does.
func python(v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case bool:
		if v {
			return "True"
		}
		return "False"
	case string:
		if strings.Contains(v, "'") && !strings.Contains(v, `"`) {
			return `"` + v + `"`
		}
		return "'" + strings.ReplaceAll(strings.ReplaceAll(v, `\`, `\\`), "'", `\'`) + "'"
	case []any:
		parts := make([]string, len(v))
		for i, c := range v {
			parts[i] = python(c)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case map[string]any:
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		sort.Strings(keys)
		for i, k := range keys {
			keys[i] = python(k) + ": " + python(v[k])
		}
		return "{" + strings.Join(keys, ", ") + "}"
	}
	return fmt.Sprint(v)
}

// compile reads a schema as pydantic writes them: of either generation, without
// saying which draft it is, with Python's regular expressions.
func compile(schema orion.JSON, partial bool) (*jsonschema.Schema, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		return nil, orion.Refuse("schema", "the schema is not valid JSON")
	}
	if m, ok := doc.(map[string]any); ok && partial {
		delete(m, "required")
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft7)
	if bytes.Contains(schema, []byte(`"$defs"`)) || bytes.Contains(schema, []byte(`"prefixItems"`)) {
		c.DefaultDraft(jsonschema.Draft2020)
	}
	c.UseRegexpEngine(func(s string) (jsonschema.Regexp, error) {
		re, err := regexp2.Compile(s, regexp2.None)
		if err != nil {
			return nil, err
		}
		return pythonRegexp{re}, nil
	})
	if err := c.AddResource("schema.json", doc); err != nil {
		return nil, orion.Refuse("schema", err.Error())
	}
	s, err := c.Compile("schema.json")
	if err != nil {
		return nil, &orion.Error{Kind: orion.Invalid, Message: "Invalid schema: " + err.Error()}
	}
	return s, nil
}

type pythonRegexp struct{ *regexp2.Regexp }

func (r pythonRegexp) MatchString(s string) bool {
	ok, err := r.Regexp.MatchString(s)
	return ok && err == nil
}

var placeholder = regexp.MustCompile(`\{\{\s*([\w.\-]+)\s*\}\}`)

type jobTemplate struct {
	Configuration orion.JSON `json:"job_configuration"`
	Variables     *struct {
		Properties map[string]orion.JSON `json:"properties"`
	} `json:"variables"`
}

// CheckTemplate refuses a base job template that names unknown variables.
func CheckTemplate(template orion.JSON) error {
	if orion.IsNull(template) || string(bytes.TrimSpace(template)) == "{}" {
		return nil
	}
	var t jobTemplate
	if err := orion.Decode(template, &t); err != nil || orion.IsNull(t.Configuration) || t.Variables == nil {
		return orion.Refuse("base_job_template", "The `base_job_template` must contain both a `job_configuration` key and a `variables` key.")
	}
	var missing []string
	for _, m := range placeholder.FindAllSubmatch(t.Configuration, -1) {
		name := string(m[1])
		if strings.HasPrefix(name, "prefect.") {
			continue
		}
		if _, ok := t.Variables.Properties[name]; !ok && !slices.Contains(missing, name) {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		sort.Strings(missing)
		return orion.Refuse("base_job_template", "Your job expects the following variables: {'"+strings.Join(missing, "', '")+"'}, but your template does not declare them.")
	}
	return nil
}

// CheckJobVariables holds job variables against a pool's template: those that
// it declares must fit; others are for whoever reads them.
func CheckJobVariables(template, variables orion.JSON) error {
	var t struct {
		Variables orion.JSON `json:"variables"`
	}
	if orion.Decode(orion.ObjectOr(template), &t) != nil || orion.IsNull(t.Variables) || bytes.Contains(variables, []byte(`"$ref"`)) {
		return nil
	}
	errs, err := valueErrors(t.Variables, variables, true)
	if err != nil || len(errs) == 0 {
		return nil // a template that is no schema has been accepted before and checks nothing
	}
	return &orion.Error{Kind: orion.Invalid, Message: fmt.Sprintf("Validation failed for field '%s'. Failure reason: %s", errs[0].Property, errs[0].Errors[0])}
}

package api

import (
	"reflect"
	"strconv"
	"strings"
	"unicode"

	"github.com/go-json-experiment/json"
	"github.com/orionflows/orion"
)

type object = map[string]any

// openAPI describes the table: the document comes from the declarations that
// serve the routes, so it cannot say anything else than they do.
func openAPI(table []*route, version string) []byte {
	g := &schemas{seen: map[reflect.Type]string{}, out: object{}}
	paths := object{}
	for _, r := range table {
		if r.h == nil {
			continue
		}
		in, out := r.h.types()
		op := object{
			"operationId": operationID(r),
			"tags":        []string{split(r.path)[0]},
			"responses":   g.responses(r, out),
		}
		if ps := parameters(r, in); len(ps) > 0 {
			op["parameters"] = ps
		}
		if f, ok := in.FieldByName("Body"); ok {
			op["requestBody"] = object{"required": true, "content": object{"application/json": object{"schema": g.of(f.Type)}}}
		}
		p := "/api" + r.path
		if paths[p] == nil {
			paths[p] = object{}
		}
		paths[p].(object)[strings.ToLower(r.method)] = op
	}
	doc := object{
		"openapi":    "3.1.0",
		"info":       object{"title": "Orion", "version": version},
		"paths":      paths,
		"components": object{"schemas": g.out},
	}
	b, err := json.Marshal(doc, json.Deterministic(true))
	if err != nil {
		return []byte(`{}`)
	}
	return b
}

func operationID(r *route) string {
	s := strings.ToLower(r.method)
	for _, p := range split(r.path) {
		s += "_" + strings.Trim(p, "{}")
	}
	return strings.ReplaceAll(s, "-", "_")
}

func parameters(r *route, in reflect.Type) (out []object) {
	declared := map[string]bool{}
	defer func() { // a handler may do without what its path names
		for _, s := range split(r.path) {
			if name := strings.Trim(s, "{}"); name != s && !declared[name] {
				out = append(out, object{"name": name, "in": "path", "required": true, "schema": object{"type": "string"}})
			}
		}
	}()
	for _, f := range reflect.VisibleFields(in) {
		where, name := "", ""
		for _, w := range []string{"path", "query", "header"} {
			if n := f.Tag.Get(w); n != "" {
				where, name = w, n
			}
		}
		if name == "" {
			continue
		}
		declared[name] = where == "path" || declared[name]
		schema := object{"type": "string"}
		switch f.Type {
		case reflect.TypeFor[orion.ID]():
			schema["format"] = "uuid"
		case reflect.TypeFor[orion.Time]():
			schema["format"] = "date-time"
		case reflect.TypeFor[bool]():
			schema["type"] = "boolean"
		case reflect.TypeFor[int64](), reflect.TypeFor[*int64]():
			schema["type"] = "integer"
		}
		out = append(out, object{"name": name, "in": where, "required": where == "path", "schema": schema})
	}
	return out
}

type schemas struct {
	seen map[reflect.Type]string
	out  object
}

func (g *schemas) responses(r *route, out reflect.Type) object {
	rs := object{"422": object{"description": "The request is not valid"}}
	body := func() object {
		return object{"description": "Done", "content": object{"application/json": object{"schema": g.of(out)}}}
	}
	switch {
	case out == reflect.TypeFor[none]() && r.status == 204:
		rs["204"] = object{"description": "Done"}
	case strings.HasPrefix(out.Name(), "made["):
		out = out.Field(0).Type
		rs["200"], rs["201"] = body(), body()
	case out == reflect.TypeFor[plainText]():
		rs["200"] = object{"description": "Done", "content": object{"text/plain": object{}}}
	case out == reflect.TypeFor[verdict]():
		rs["204"] = object{"description": "Done"}
	case r.status == 0:
		rs["200"], rs["201"] = body(), body()
	default:
		rs[strconv.Itoa(r.status)] = body()
	}
	return rs
}

func (g *schemas) of(t reflect.Type) object {
	switch t {
	case reflect.TypeFor[orion.ID]():
		return object{"type": []string{"string", "null"}, "format": "uuid"}
	case reflect.TypeFor[orion.Time]():
		return object{"type": []string{"string", "null"}, "format": "date-time"}
	case reflect.TypeFor[orion.Seconds]():
		return object{"type": "number"}
	case reflect.TypeFor[orion.JSON](), reflect.TypeFor[none](), reflect.TypeFor[any]():
		return object{}
	}
	switch t.Kind() {
	case reflect.Pointer:
		s := g.of(t.Elem())
		if name, ok := s["$ref"]; ok {
			return object{"anyOf": []object{{"$ref": name}, {"type": "null"}}}
		}
		if typ, ok := s["type"].(string); ok {
			s["type"] = []string{typ, "null"}
		}
		return s
	case reflect.Slice, reflect.Array:
		return object{"type": "array", "items": g.of(t.Elem())}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": g.of(t.Elem())}
	case reflect.String:
		return object{"type": "string"}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Int64, reflect.Int:
		return object{"type": "integer"}
	case reflect.Float64:
		return object{"type": "number"}
	case reflect.Struct:
		if strings.HasPrefix(t.Name(), "Opt[") {
			v, _ := t.FieldByName("V")
			return g.of(reflect.PointerTo(v.Type))
		}
		return g.structure(t)
	}
	return object{}
}

func (g *schemas) structure(t reflect.Type) object {
	if t.Name() == "" {
		return g.fields(t)
	}
	name, ok := g.seen[t]
	if !ok {
		name = cleanName(t.Name())
		g.seen[t] = name
		g.out[name] = object{} // so that a type which holds itself ends
		g.out[name] = g.fields(t)
	}
	return object{"$ref": "#/components/schemas/" + name}
}

// cleanName turns Cond[github.com/…/orion.ID] into CondID.
func cleanName(s string) string {
	var parts []string
	for _, p := range strings.FieldsFunc(s, func(r rune) bool { return r == '[' || r == ']' || r == ',' }) {
		p = p[strings.LastIndexAny(p, "./")+1:]
		r := []rune(p)
		r[0] = unicode.ToUpper(r[0])
		parts = append(parts, string(r))
	}
	return strings.Join(parts, "")
}

func (g *schemas) fields(t reflect.Type) object {
	props := object{}
	g.collect(t, props)
	return object{"type": "object", "properties": props}
}

func (g *schemas) collect(t reflect.Type, props object) {
	for i := range t.NumField() {
		f := t.Field(i)
		tag := f.Tag.Get("json")
		if f.Anonymous && tag == "" {
			if f.Type.Kind() == reflect.Pointer {
				f.Type = f.Type.Elem()
			}
			g.collect(f.Type, props)
			continue
		}
		name, _, _ := strings.Cut(tag, ",")
		if name == "" || name == "-" {
			continue
		}
		props[name] = g.of(f.Type)
	}
}

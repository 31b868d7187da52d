package api

import (
	"context"
	"errors"
	"io"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/orionflows/orion"
)

// endpoint is a handler of any request and answer type.
type endpoint interface {
	decode(r *http.Request, params []string) (in any, body []byte, err error)
	call(ctx context.Context, in any) (any, error)
	types() (in, out reflect.Type)
}

// do makes an endpoint of a function. Its request is a struct: fields tagged
// path:"…" are filled from the path in the order they stand, those tagged
// query:"…" and header:"…" from there, and the field Body from the body. A request or
// body with a Validate method is asked before the call.
func do[Req, Resp any](f func(context.Context, Req) (Resp, error)) endpoint {
	return &call[Req, Resp]{f: f, plan: planOf(reflect.TypeFor[Req]())}
}

type call[Req, Resp any] struct {
	f    func(context.Context, Req) (Resp, error)
	plan plan
}

type plan struct {
	path   []param
	query  []param
	header []param
	body   int // field index, -1 without
	bytes  int // field that takes the body as it came, -1 without
}

type param struct {
	field []int
	name  string
}

func planOf(t reflect.Type) plan {
	p := plan{body: -1, bytes: -1}
	for _, f := range reflect.VisibleFields(t) {
		switch {
		case f.Tag.Get("path") != "":
			p.path = append(p.path, param{f.Index, f.Tag.Get("path")})
		case f.Tag.Get("query") != "":
			p.query = append(p.query, param{f.Index, f.Tag.Get("query")})
		case f.Tag.Get("header") != "":
			p.header = append(p.header, param{f.Index, f.Tag.Get("header")})
		case f.Name == "Body" && len(f.Index) == 1:
			p.body = f.Index[0]
		case f.Name == "Raw" && len(f.Index) == 1:
			p.bytes = f.Index[0]
		}
	}
	return p
}

func (c *call[Req, Resp]) types() (in, out reflect.Type) {
	return reflect.TypeFor[Req](), reflect.TypeFor[Resp]()
}

func (c *call[Req, Resp]) call(ctx context.Context, in any) (any, error) {
	return c.f(ctx, in.(Req))
}

type validator interface{ Validate() error }

func (c *call[Req, Resp]) decode(r *http.Request, params []string) (any, []byte, error) {
	var req Req
	v := reflect.ValueOf(&req).Elem()
	for i, p := range c.plan.path {
		if err := setParam(v.FieldByIndex(p.field), "path", p.name, params[i]); err != nil {
			return nil, nil, err
		}
	}
	if len(c.plan.query) > 0 {
		q := r.URL.Query()
		for _, p := range c.plan.query {
			if s := q.Get(p.name); s != "" {
				if err := setParam(v.FieldByIndex(p.field), "query", p.name, s); err != nil {
					return nil, nil, err
				}
			}
		}
	}
	for _, p := range c.plan.header {
		if s := r.Header.Get(p.name); s != "" {
			if err := setParam(v.FieldByIndex(p.field), "header", p.name, s); err != nil {
				return nil, nil, err
			}
		}
	}
	if c.plan.body < 0 {
		return req, nil, nil
	}
	body, err := readBody(r)
	if err != nil {
		return nil, nil, err
	}
	dst := v.Field(c.plan.body).Addr().Interface()
	if len(body) == 0 {
		body = []byte("{}")
		switch v.Field(c.plan.body).Kind() {
		case reflect.String:
			body = []byte(`""`)
		case reflect.Slice:
			return nil, nil, &orion.Error{Kind: orion.Invalid, Fields: []orion.FieldError{{Loc: []any{"body"}, Msg: "field required", Type: "value_error.missing"}}}
		}
	}
	if err := orion.Decode(body, dst); err != nil {
		v.Field(c.plan.body).SetZero()
		if err := orion.DecodeLoose(body, dst); err != nil {
			return nil, body, bodyError(err)
		}
	}
	if c.plan.bytes >= 0 {
		v.Field(c.plan.bytes).SetBytes(body)
	}
	if val, ok := dst.(validator); ok {
		if err := val.Validate(); err != nil {
			return nil, body, err
		}
	}
	return req, body, nil
}

func readBody(r *http.Request) ([]byte, error) {
	if r.ContentLength > MaxBody {
		return nil, tooLarge()
	}
	var b []byte
	var err error
	if r.ContentLength > 0 {
		b = make([]byte, r.ContentLength)
		_, err = io.ReadFull(r.Body, b)
	} else {
		b, err = io.ReadAll(io.LimitReader(r.Body, MaxBody+1))
		if len(b) > MaxBody {
			return nil, tooLarge()
		}
	}
	if err != nil {
		return nil, &orion.Error{Kind: orion.BadRequest, Message: "the request's body ended early", Err: err}
	}
	return b, nil
}

func tooLarge() error {
	return orion.Errorf(orion.TooLarge, "the body is larger than %d MiB", MaxBody>>20)
}

func setParam(f reflect.Value, where, name, s string) error {
	bad := func(msg, typ string) error {
		return &orion.Error{Kind: orion.Invalid, Fields: []orion.FieldError{{Loc: []any{where, name}, Msg: msg, Type: typ}}}
	}
	switch d := f.Addr().Interface().(type) {
	case *orion.ID:
		id, err := orion.ParseID(s)
		if err != nil {
			return bad("value is not a valid uuid", "type_error.uuid")
		}
		*d = id
	case *string:
		*d = s
	case *bool:
		switch strings.ToLower(s) {
		case "true", "1", "on", "yes", "t", "y":
			*d = true
		case "false", "0", "off", "no", "f", "n":
		default:
			return bad("value could not be parsed to a boolean", "type_error.bool")
		}
	case *int64:
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return bad("value is not a valid integer", "type_error.integer")
		}
		*d = n
	case **int64: // absent is not zero
		*d = new(int64)
		return setParam(f.Elem(), where, name, s)
	case *orion.Time:
		t, err := orion.ParseTime(strings.ReplaceAll(s, " ", "+"))
		if err != nil {
			if t, err = orion.ParseTime(s); err != nil {
				return bad("invalid datetime format", "value_error.datetime")
			}
		}
		*d = t
	}
	return nil
}

// bodyError says where a body could not be read, in pydantic's shape.
func bodyError(err error) error {
	var syn *jsontext.SyntacticError
	if errors.As(err, &syn) {
		return &orion.Error{Kind: orion.Invalid, Fields: []orion.FieldError{{Loc: []any{"body", syn.ByteOffset}, Msg: "the body is not valid JSON: " + strings.TrimPrefix(syn.Error(), "jsontext: "), Type: "value_error.jsondecode"}}}
	}
	f := orion.FieldError{Msg: "invalid value", Type: "type_error"}
	var sem *json.SemanticError
	var fe *orion.FieldError
	if errors.As(err, &sem) {
		for tok := range sem.JSONPointer.Tokens() {
			if n, e := strconv.Atoi(tok); e == nil {
				f.Loc = append(f.Loc, n)
			} else {
				f.Loc = append(f.Loc, tok)
			}
		}
		f.Msg, f.Type = typeMessage(sem.GoType)
	}
	if errors.As(err, &fe) {
		f.Msg, f.Type = fe.Msg, fe.Type
	}
	f.Loc = append([]any{"body"}, f.Loc...)
	return &orion.Error{Kind: orion.Invalid, Fields: []orion.FieldError{f}}
}

func typeMessage(t reflect.Type) (msg, typ string) {
	if t == nil {
		return "invalid value", "type_error"
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.String:
		return "str type expected", "type_error.str"
	case reflect.Int64, reflect.Int:
		return "value is not a valid integer", "type_error.integer"
	case reflect.Float64:
		return "value is not a valid float", "type_error.float"
	case reflect.Bool:
		return "value could not be parsed to a boolean", "type_error.bool"
	case reflect.Slice:
		return "value is not a valid list", "type_error.list"
	}
	return "value is not a valid dict", "type_error.dict"
}

// The answers that are more than a value.

// none is an empty answer: nothing with 204, null otherwise.
type none struct{}

func (none) body() any { return nil }

// made is an answer whose status says whether the row is new: 201 or 200.
type made[T any] struct {
	v   T
	new bool
}

func (m made[T]) status() int {
	if m.new {
		return http.StatusCreated
	}
	return http.StatusOK
}
func (m made[T]) body() any { return m.v }

// plainText is answered as it is.
type plainText string

package scaffold

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/nikolalohinski/gonja/v2/exec"
)

// object is a JSON object that remembers the order of its members: questions are asked
// in the order of cookiecutter.json, and a default may use only earlier answers.
//
// Members are string, bool, json.Number, nil, []any or *object.
type object struct {
	names  []string
	values map[string]any
}

func newObject() *object { return &object{values: map[string]any{}} }

func (o *object) set(name string, value any) {
	if _, known := o.values[name]; !known {
		o.names = append(o.names, name)
	}
	o.values[name] = value
}

func (o *object) has(name string) bool {
	_, ok := o.values[name]
	return ok
}

// public lists the names that are questions rather than settings of the template.
func (o *object) public() []string {
	var names []string
	for _, name := range o.names {
		if !strings.HasPrefix(name, "_") {
			names = append(names, name)
		}
	}
	return names
}

// parseObject reads one JSON object, in order.
func parseObject(text string) (*object, error) {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	value, err := parseValue(decoder)
	if err != nil {
		line := 1 + strings.Count(text[:min(int(decoder.InputOffset()), len(text))], "\n")
		return nil, fmt.Errorf("line %d: %w", line, err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is something after the closing brace")
	}
	parsed, ok := value.(*object)
	if !ok {
		return nil, errors.New("this must be an object in braces")
	}
	return parsed, nil
}

func parseValue(decoder *json.Decoder) (any, error) {
	token, err := decoder.Token()
	if errors.Is(err, io.EOF) {
		return nil, io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, err
	}
	switch token {
	case json.Delim('{'):
		members := newObject()
		for decoder.More() {
			name, err := decoder.Token()
			if err != nil {
				return nil, err
			}
			value, err := parseValue(decoder)
			if err != nil {
				return nil, err
			}
			members.set(name.(string), value) // the decoder accepts no other name
		}
		_, err := decoder.Token()
		return members, err
	case json.Delim('['):
		items := []any{}
		for decoder.More() {
			item, err := parseValue(decoder)
			if err != nil {
				return nil, err
			}
			items = append(items, item)
		}
		_, err := decoder.Token()
		return items, err
	}
	return token, nil
}

// toJinja turns a value of cookiecutter.json into one that a template can use.
func toJinja(value any) any {
	switch v := value.(type) {
	case *object:
		dict := exec.NewDict()
		for _, name := range v.names {
			dict.Pairs = append(dict.Pairs, &exec.Pair{Key: exec.AsValue(name), Value: exec.AsValue(toJinja(v.values[name]))})
		}
		return dict
	case []any:
		items := make(pyList, len(v))
		for i, item := range v {
			items[i] = toJinja(item)
		}
		return items
	case json.Number:
		if whole, err := strconv.Atoi(v.String()); err == nil {
			return whole
		}
		fraction, _ := v.Float64() // the decoder has checked that it is a number
		return fraction
	case nil:
		return pyNone{}
	}
	return value
}

// fromJinja is the way back, for filters that write a whole value.
func fromJinja(value *exec.Value) any {
	if _, none := value.Interface().(pyNone); none || value.IsNil() {
		return nil
	}
	switch {
	case value.IsBool():
		return value.Bool()
	case value.IsInteger():
		return value.Integer()
	case value.IsFloat():
		return value.Float()
	case value.IsString():
		return value.String()
	case value.IsDict():
		members := newObject()
		for _, pair := range dictPairs(value) {
			members.set(pair.Key.String(), fromJinja(pair.Value))
		}
		return members
	case value.IsList():
		items := []any{}
		for i := range value.Len() {
			items = append(items, fromJinja(listItem(value, i)))
		}
		return items
	}
	return value.String()
}

// dictPairs lists the members of a dict in their order.
func dictPairs(value *exec.Value) []*exec.Pair {
	switch dict := value.Interface().(type) {
	case *exec.Dict:
		return dict.Pairs
	case exec.Dict:
		return dict.Pairs
	}
	return value.Items()
}

// listItem returns item i, unwrapped where the template itself made the list.
func listItem(value *exec.Value, i int) *exec.Value {
	item := value.Index(i)
	if inner, ok := item.Interface().(*exec.Value); ok {
		return inner
	}
	return exec.ToValue(item.Val)
}

package scaffold

import (
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"unicode"

	"github.com/google/uuid"
	"github.com/nikolalohinski/gonja/v2/builtins"
	"github.com/nikolalohinski/gonja/v2/exec"
)

// pythonEnvironment is the library's environment, with what cookiecutter adds and with
// what real templates use and the library does otherwise than Python: str.replace
// without a count, str.split without a separator, the order of dict.items and so on.
// The txtar files in testdata compare each with the real thing.
func pythonEnvironment() *exec.Environment {
	context := exec.EmptyContext().Update(builtins.GlobalFunctions).Update(builtins.GlobalVariables)
	context.Set("none", pyNone{})
	context.Set("uuid4", uuid.NewString)
	context.Set("random_ascii_string", randomString)

	filters := exec.NewFilterSet(map[string]exec.FilterFunction{}).Update(builtins.Filters)
	filters.Update(exec.NewFilterSet(map[string]exec.FilterFunction{
		"dictsort": dictSort,
		"format":   percentFormat,
		"jsonify":  jsonify,
		"slugify":  slugifyFilter,
		"tojson":   toJSONFilter,
		"upper":    onText(upper),
	}))

	tags := exec.NewControlStructureSet(map[string]parserFunc{"now": parseNow}).Update(builtins.ControlStructures)

	return &exec.Environment{
		Context:           context,
		Filters:           filters,
		Tests:             exec.NewTestSet(map[string]exec.TestFunction{}).Update(builtins.Tests).Update(exec.NewTestSet(map[string]exec.TestFunction{"none": isNone})),
		ControlStructures: tags,
		Methods: exec.Methods{
			Bool: builtins.Methods.Bool, Int: builtins.Methods.Int, Float: builtins.Methods.Float,
			List: builtins.Methods.List,
			Str:  extend(builtins.Methods.Str, stringMethods, "capitalize capwords casefold encode endswith expandtabs find format isalnum isalpha isascii isdecimal isdigit islower isnumeric isprintable isspace istitle isupper join lower lstrip partition removeprefix removesuffix rfind rpartition rstrip startswith strip swapcase title zfill"),
			Dict: extend(builtins.Methods.Dict, dictMethods, "pop setdefault update copy clear"),
		},
	}
}

// extend takes the named methods of the library and puts ours beside them; a method set
// of the library cannot be listed.
func extend[T any](library *exec.MethodSet[T], ours map[string]exec.Method[T], names string) *exec.MethodSet[T] {
	methods := map[string]exec.Method[T]{}
	for name := range strings.FieldsSeq(names) {
		if method, ok := library.Get(name); ok {
			methods[name] = method
		}
	}
	for name, method := range ours {
		methods[name] = method
	}
	return exec.NewMethodSet(methods)
}

// pyList is a list whose first item is also found as [-len], which the library's own
// lists lack: "a".split("/")[-1] is common in templates.
type pyList []any

// GetItem is what the library calls for list[key].
func (l pyList) GetItem(key any) (*exec.Value, bool) {
	i, ok := key.(int)
	if i < 0 {
		i += len(l)
	}
	if !ok || i < 0 || i >= len(l) {
		return exec.AsValue(nil), false
	}
	return exec.AsValue(l[i]), true
}

// pyNone is Python's None: the library prints its own as nothing. An empty list is false
// wherever a template asks.
type pyNone []any

func (pyNone) String() string { return "None" }

func isNone(_ *exec.Context, in *exec.Value, _ *exec.VarArgs) (bool, error) {
	_, none := in.Interface().(pyNone)
	return none || in.IsNil(), nil
}

func listOf(texts []string) pyList {
	items := make(pyList, len(texts))
	for i, text := range texts {
		items[i] = text
	}
	return items
}

var stringMethods = map[string]exec.Method[string]{
	"replace": func(self string, _ *exec.Value, given *exec.VarArgs) (any, error) {
		if len(given.Args) < 2 {
			return nil, errors.New("replace() takes the old and the new text")
		}
		return strings.Replace(self, given.Args[0].String(), given.Args[1].String(), intArgument(given, 2, "count", -1)), nil
	},
	"split": func(self string, _ *exec.Value, given *exec.VarArgs) (any, error) {
		return listOf(split(self, given, false)), nil
	},
	"rsplit": func(self string, _ *exec.Value, given *exec.VarArgs) (any, error) {
		return listOf(split(self, given, true)), nil
	},
	"splitlines": func(self string, _ *exec.Value, _ *exec.VarArgs) (any, error) {
		if self == "" {
			return pyList{}, nil
		}
		return listOf(strings.Split(strings.TrimSuffix(normaliseNewlines(self), "\n"), "\n")), nil
	},
	"upper": func(self string, _ *exec.Value, _ *exec.VarArgs) (any, error) { return upper(self), nil },
	"center": func(self string, _ *exec.Value, given *exec.VarArgs) (any, error) {
		width, fill := intArgument(given, 0, "width", 0), textArgument(given, 1, "fillchar", " ")
		missing := max(0, width-len([]rune(self)))
		// Python puts the odd one to the left only where the width is odd, too.
		left := missing/2 + (missing & width & 1)
		return strings.Repeat(fill, left) + self + strings.Repeat(fill, missing-left), nil
	},
	"ljust": func(self string, _ *exec.Value, given *exec.VarArgs) (any, error) {
		return self + padding(self, given), nil
	},
	"rjust": func(self string, _ *exec.Value, given *exec.VarArgs) (any, error) {
		return padding(self, given) + self, nil
	},
	"count": func(self string, _ *exec.Value, given *exec.VarArgs) (any, error) {
		return strings.Count(self, textArgument(given, 0, "sub", "")), nil
	},
	"isidentifier": func(self string, _ *exec.Value, _ *exec.VarArgs) (any, error) {
		for i, r := range self {
			if r != '_' && !unicode.IsLetter(r) && (i == 0 || !unicode.IsDigit(r)) {
				return false, nil
			}
		}
		return self != "", nil
	},
}

// padding is what str.ljust and str.rjust put beside a text.
func padding(text string, given *exec.VarArgs) string {
	missing := intArgument(given, 0, "width", 0) - len([]rune(text))
	return strings.Repeat(textArgument(given, 1, "fillchar", " "), max(0, missing))
}

// split is str.split and str.rsplit: without a separator runs of blanks separate.
func split(text string, given *exec.VarArgs, fromRight bool) []string {
	separator, most := textArgument(given, 0, "sep", ""), intArgument(given, 1, "maxsplit", -1)
	parts, glue := strings.Split(text, separator), separator
	if separator == "" {
		parts, glue = strings.Fields(text), " "
	}
	switch {
	case most < 0 || len(parts) <= most+1:
		return parts
	case fromRight:
		cut := len(parts) - most
		return append([]string{strings.Join(parts[:cut], glue)}, parts[cut:]...)
	default:
		return append(parts[:most:most], strings.Join(parts[most:], glue))
	}
}

var dictMethods = map[string]exec.Method[map[string]any]{
	"get": func(_ map[string]any, self *exec.Value, given *exec.VarArgs) (any, error) {
		if len(given.Args) == 0 {
			return nil, errors.New("get() takes a key")
		}
		for _, pair := range dictPairs(self) {
			if pair.Key.EqualValueTo(given.Args[0]) {
				return pair.Value.Interface(), nil
			}
		}
		if len(given.Args) > 1 {
			return given.Args[1].Interface(), nil
		}
		return pyNone{}, nil
	},
	"keys": func(_ map[string]any, self *exec.Value, _ *exec.VarArgs) (any, error) {
		keys := pyList{}
		for _, pair := range dictPairs(self) {
			keys = append(keys, pair.Key.Interface())
		}
		return keys, nil
	},
	"values": func(_ map[string]any, self *exec.Value, _ *exec.VarArgs) (any, error) {
		values := pyList{}
		for _, pair := range dictPairs(self) {
			values = append(values, pair.Value.Interface())
		}
		return values, nil
	},
	"items": func(_ map[string]any, self *exec.Value, _ *exec.VarArgs) (any, error) {
		items := pyList{}
		for _, pair := range dictPairs(self) {
			items = append(items, pyList{pair.Key.Interface(), pair.Value.Interface()})
		}
		return items, nil
	},
}

func textArgument(given *exec.VarArgs, position int, name, fallback string) string {
	if value, ok := given.KwArgs[name]; ok {
		return value.String()
	}
	if position < len(given.Args) && !given.Args[position].IsNil() {
		return given.Args[position].String()
	}
	return fallback
}

func intArgument(given *exec.VarArgs, position int, name string, fallback int) int {
	if value, ok := given.KwArgs[name]; ok {
		return value.Integer()
	}
	if position < len(given.Args) && !given.Args[position].IsNil() {
		return given.Args[position].Integer()
	}
	return fallback
}

// upper is Python's: the German sharp s becomes two letters.
func upper(text string) string {
	return strings.ToUpper(strings.ReplaceAll(text, "ß", "ss"))
}

const (
	letters     = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	punctuation = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
)

// randomString is for passwords in generated settings, hence the good randomness.
func randomString(_ *exec.Evaluator, given *exec.VarArgs) (string, error) {
	corpus := letters
	if value, ok := given.KwArgs["punctuation"]; ok && value.IsTrue() || len(given.Args) > 1 && given.Args[1].IsTrue() {
		corpus += punctuation
	}
	var text strings.Builder
	for range intArgument(given, 0, "length", 0) {
		i, err := rand.Int(rand.Reader, big.NewInt(int64(len(corpus))))
		if err != nil {
			return "", fmt.Errorf("drawing a random letter: %w", err)
		}
		text.WriteByte(corpus[i.Int64()])
	}
	return text.String(), nil
}

package scaffold

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"sort"
	"strings"
	"time"
	"unicode"

	"github.com/ncruces/go-strftime"
	"github.com/nikolalohinski/gonja/v2/exec"
	"github.com/nikolalohinski/gonja/v2/nodes"
	"github.com/nikolalohinski/gonja/v2/parser"
	"github.com/nikolalohinski/gonja/v2/tokens"
	"golang.org/x/text/unicode/norm"
)

// onText makes a filter of a function on texts.
func onText(change func(string) string) exec.FilterFunction {
	return func(_ *exec.Evaluator, in *exec.Value, _ *exec.VarArgs) *exec.Value {
		if in.IsError() {
			return in
		}
		return exec.AsValue(change(in.String()))
	}
}

// Letters that do not decompose into a plain letter and a mark.
var transliterations = strings.NewReplacer(
	"ß", "ss", "æ", "ae", "Æ", "AE", "ø", "o", "Ø", "O", "œ", "oe", "Œ", "OE",
	"đ", "d", "Đ", "D", "ð", "d", "Ð", "D", "þ", "th", "Þ", "Th", "ł", "l", "Ł", "L", "ı", "i",
	"'", "-", "’", "'",
)

// The comma in 1,000 separates no words.
var thousands = regexp.MustCompile(`(\d),(\d)`)

// slugify makes small ASCII words of a text, joined by the separator.
func slugify(text, separator string) string {
	var slug strings.Builder
	gap := false
	text = thousands.ReplaceAllString(text, "$1$2")
	for _, r := range norm.NFKD.String(transliterations.Replace(text)) {
		switch {
		case r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r)):
			if gap && slug.Len() > 0 {
				slug.WriteString(separator)
			}
			gap = false
			slug.WriteRune(unicode.ToLower(r))
		case unicode.Is(unicode.Mn, r), r == '\'':
			// An accent, or an apostrophe within a word, separates nothing.
		default:
			gap = true
		}
	}
	return slug.String()
}

func slugifyFilter(_ *exec.Evaluator, in *exec.Value, given *exec.VarArgs) *exec.Value {
	if in.IsError() {
		return in
	}
	for name := range given.KwArgs {
		if name != "separator" {
			return exec.AsValue(fmt.Errorf("slugify has no %s here", name))
		}
	}
	return exec.AsValue(slugify(in.String(), textArgument(given, 6, "separator", "-")))
}

// toJSON writes JSON with Python's blanks; indent is -1 for one line.
func toJSON(value any, indent int, sorted bool) string {
	var out strings.Builder
	writeJSON(&out, value, indent, 0, sorted)
	return out.String()
}

func writeJSON(out *strings.Builder, value any, indent, depth int, sorted bool) {
	list := func(opening, closing string, count int, item func(int)) {
		out.WriteString(opening)
		for i := range count {
			if i > 0 && indent < 0 {
				out.WriteString(", ")
			} else if i > 0 {
				out.WriteString(",")
			}
			if indent >= 0 {
				out.WriteString("\n" + strings.Repeat(" ", indent*(depth+1)))
			}
			item(i)
		}
		if indent >= 0 && count > 0 {
			out.WriteString("\n" + strings.Repeat(" ", indent*depth))
		}
		out.WriteString(closing)
	}
	switch v := value.(type) {
	case *object:
		names := slices.Clone(v.names)
		if sorted {
			sort.Strings(names)
		}
		list("{", "}", len(names), func(i int) {
			out.WriteString(jsonText(names[i]) + ": ")
			writeJSON(out, v.values[names[i]], indent, depth+1, sorted)
		})
	case []any:
		list("[", "]", len(v), func(i int) { writeJSON(out, v[i], indent, depth+1, sorted) })
	case string:
		out.WriteString(jsonText(v))
	default:
		text, err := json.Marshal(v)
		if err != nil {
			text = []byte("null") // a number that JSON cannot say, such as infinity
		}
		out.Write(text)
	}
}

// jsonText quotes as Python's json.dumps does: ASCII only.
func jsonText(text string) string {
	var quoted strings.Builder
	encoder := json.NewEncoder(&quoted)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(text) // a string builder and a string cannot fail
	var ascii strings.Builder
	for _, r := range strings.TrimSuffix(quoted.String(), "\n") {
		switch {
		case r < unicode.MaxASCII:
			ascii.WriteRune(r)
		case r > 0xffff:
			r -= 0x10000
			fmt.Fprintf(&ascii, `\u%04x\u%04x`, 0xd800+(r>>10), 0xdc00+(r&0x3ff))
		default:
			fmt.Fprintf(&ascii, `\u%04x`, r)
		}
	}
	return ascii.String()
}

// jsonify is cookiecutter's filter.
func jsonify(_ *exec.Evaluator, in *exec.Value, given *exec.VarArgs) *exec.Value {
	if in.IsError() {
		return in
	}
	return exec.AsValue(toJSON(fromJinja(in), intArgument(given, 0, "indent", 4), true))
}

// toJSONFilter is Jinja's filter, which is safe within HTML.
func toJSONFilter(_ *exec.Evaluator, in *exec.Value, given *exec.VarArgs) *exec.Value {
	if in.IsError() {
		return in
	}
	text := toJSON(fromJinja(in), intArgument(given, 0, "indent", -1), true)
	return exec.AsSafeValue(strings.NewReplacer("<", `\u003c`, ">", `\u003e`, "&", `\u0026`, "'", `\u0027`).Replace(text))
}

func dictSort(_ *exec.Evaluator, in *exec.Value, given *exec.VarArgs) *exec.Value {
	if in.IsError() {
		return in
	}
	byValue := textArgument(given, 1, "by", "key") == "value"
	caseSensitive := given.KwArgs["case_sensitive"] != nil && given.KwArgs["case_sensitive"].IsTrue()
	pairs := slices.Clone(dictPairs(in))
	key := func(pair *exec.Pair) string {
		text := pair.Key.String()
		if byValue {
			text = pair.Value.String()
		}
		if caseSensitive {
			return text
		}
		return strings.ToLower(text)
	}
	slices.SortStableFunc(pairs, func(a, b *exec.Pair) int { return strings.Compare(key(a), key(b)) })
	if reverse := given.KwArgs["reverse"]; reverse != nil && reverse.IsTrue() {
		slices.Reverse(pairs)
	}
	items := pyList{}
	for _, pair := range pairs {
		items = append(items, pyList{pair.Key.Interface(), pair.Value.Interface()})
	}
	return exec.AsValue(items)
}

var percentVerb = regexp.MustCompile(`%([-+ #0]*\d*(?:\.\d+)?)([sdifgexXr%])`)

// percentFormat is the filter format, which formats as Python's % does.
func percentFormat(_ *exec.Evaluator, in *exec.Value, given *exec.VarArgs) *exec.Value {
	if in.IsError() {
		return in
	}
	next, short := 0, false
	text := percentVerb.ReplaceAllStringFunc(in.String(), func(verb string) string {
		parts := percentVerb.FindStringSubmatch(verb)
		if parts[2] == "%" {
			return "%"
		}
		if next >= len(given.Args) {
			short = true
			return verb
		}
		value := given.Args[next]
		next++
		switch parts[2] {
		case "d", "i":
			return fmt.Sprintf("%"+parts[1]+"d", value.Integer())
		case "x", "X":
			return fmt.Sprintf("%"+parts[1]+parts[2], value.Integer())
		case "f", "g", "e":
			return fmt.Sprintf("%"+parts[1]+parts[2], value.Float())
		}
		return fmt.Sprintf("%"+parts[1]+"s", value.String())
	})
	if short {
		return exec.AsValue(errors.New("format has fewer values than its text has places"))
	}
	return exec.AsValue(text)
}

type parserFunc = parser.ControlStructureParser

// nowTag is {% now 'utc', '%Y' %}, the date that many licence files begin with.
type nowTag struct {
	*nodes.Wrapper
	zone, format nodes.Expression
}

func parseNow(_, arguments *parser.Parser) (nodes.ControlStructure, error) {
	tag := &nowTag{Wrapper: &nodes.Wrapper{Location: arguments.Current()}}
	var err error
	if tag.zone, err = arguments.ParseExpression(); err != nil {
		return nil, err
	}
	if arguments.Match(tokens.Comma) != nil {
		if tag.format, err = arguments.ParseExpression(); err != nil {
			return nil, err
		}
	}
	if !arguments.End() {
		return nil, arguments.Error("now takes a time zone and a format", arguments.Current())
	}
	return tag, nil
}

func (t *nowTag) Execute(r *exec.Renderer, _ *nodes.ControlStructureBlock) error {
	name := r.Eval(t.zone)
	if name.IsError() {
		return name
	}
	zoneName := name.String()
	switch strings.ToLower(zoneName) {
	case "utc":
		zoneName = "UTC"
	case "local":
		zoneName = "Local"
	}
	zone, err := time.LoadLocation(zoneName)
	if err != nil {
		return fmt.Errorf("%q is no time zone", name.String())
	}
	format := "%Y-%m-%d"
	if t.format != nil {
		given := r.Eval(t.format)
		if given.IsError() {
			return given
		}
		format = given.String()
	}
	_, err = io.WriteString(r.Output, strftime.Format(format, time.Now().In(zone)))
	return err
}

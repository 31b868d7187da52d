package api

import (
	"context"
	"net/http"
	"strings"
)

// verdict is the answer about a template: nothing when it is well formed.
type verdict struct {
	Error *templateError `json:"error"`
}

type templateError struct {
	Line    int    `json:"line"`
	Message string `json:"message"`
	Source  string `json:"source"`
}

func (v verdict) status() int {
	if v.Error == nil {
		return http.StatusNoContent
	}
	return http.StatusUnprocessableEntity
}

func (a *API) validateTemplate(_ context.Context, in struct{ Body string }) (verdict, error) {
	return verdict{checkTemplate(in.Body)}, nil
}

// checkTemplate finds what a Jinja template leaves open: {{, {% and {#, and
// blocks such as {% if %}.
func checkTemplate(s string) *templateError {
	line := 1
	fail := func(msg string) *templateError { return &templateError{line, msg, s} }
	var open []string
	rest := s
	for {
		i := strings.IndexByte(rest, '{')
		if i < 0 || i+1 == len(rest) {
			break
		}
		line += strings.Count(rest[:i], "\n")
		mark, end, what := rest[i:i+2], "", ""
		switch mark {
		case "{{":
			end, what = "}}", "end of print statement"
		case "{%":
			end, what = "%}", "end of statement block"
		case "{#":
			end, what = "#}", "end of comment tag"
		default:
			rest = rest[i+1:]
			continue
		}
		inside, after, closed := cutOutsideQuotes(rest[i+2:], end, mark == "{#")
		if !closed {
			return fail("unexpected end of template, expected '" + what + "'.")
		}
		words := strings.Fields(strings.Trim(inside, "-+ \n\t"))
		switch {
		case mark == "{#":
		case len(words) == 0:
			return fail("Expected an expression, got '" + what + "'")
		case mark == "{%" && strings.HasPrefix(words[0], "end"):
			if len(open) == 0 || open[len(open)-1] != words[0][3:] {
				return fail("Encountered unknown tag '" + words[0] + "'.")
			}
			open = open[:len(open)-1]
		case mark == "{%":
			switch w := words[0]; w {
			case "raw":
				if _, after, closed = strings.Cut(after, "endraw"); closed {
					_, after, closed = strings.Cut(after, "%}")
				}
				if !closed {
					return fail("Missing end of raw directive")
				}
			case "if", "for", "block", "macro", "filter", "call", "with", "autoescape":
				open = append(open, w)
			case "set":
				if !strings.Contains(inside, "=") {
					open = append(open, w)
				}
			case "elif", "else", "include", "import", "from", "extends", "do", "break", "continue":
			default:
				return fail("Encountered unknown tag '" + w + "'.")
			}
		}
		line += strings.Count(rest[i:len(rest)-len(after)], "\n")
		rest = after
	}
	if len(open) > 0 {
		return fail("Unexpected end of template. The innermost block that needs to be closed is '" + open[len(open)-1] + "'.")
	}
	return nil
}

// cutOutsideQuotes is strings.Cut that does not look into quoted text, unless
// the text is plain, where a quote means nothing.
func cutOutsideQuotes(s, sep string, plain bool) (before, after string, found bool) {
	quote := byte(0)
	for i := 0; i < len(s); i++ {
		switch {
		case plain:
		case quote != 0:
			if s[i] == '\\' {
				i++
			} else if s[i] == quote {
				quote = 0
			}
			continue
		case s[i] == '"' || s[i] == '\'':
			quote = s[i]
			continue
		}
		if strings.HasPrefix(s[i:], sep) {
			return s[:i], s[i+len(sep):], true
		}
	}
	return s, "", false
}

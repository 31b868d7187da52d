package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/mattn/go-runewidth"
	"github.com/orionflows/orion"
	"golang.org/x/term"
)

// printer writes for people: aligned, in colour where that is wanted.
type printer struct {
	w     io.Writer
	color bool
	width int // 0 when it is no terminal
}

func (a *app) printer(f *os.File) *printer {
	p := &printer{w: f}
	if term.IsTerminal(int(f.Fd())) {
		p.width, _, _ = term.GetSize(int(f.Fd())) // an unknown width is none
		p.color = !a.noColor && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && os.Getenv("CI") == ""
	}
	return p
}

func (p *printer) paint(code, s string) string {
	if !p.color || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (p *printer) red(s string) string    { return p.paint("31", s) }
func (p *printer) green(s string) string  { return p.paint("32", s) }
func (p *printer) yellow(s string) string { return p.paint("33", s) }
func (p *printer) blue(s string) string   { return p.paint("34", s) }
func (p *printer) dim(s string) string    { return p.paint("2", s) }
func (p *printer) bold(s string) string   { return p.paint("1", s) }

// link makes text lead to a URL on terminals that know how.
func (p *printer) link(url, text string) string {
	if !p.color {
		return text
	}
	return "\x1b]8;;" + url + "\x1b\\" + text + "\x1b]8;;\x1b\\"
}

func (p *printer) line(format string, args ...any) { fmt.Fprintf(p.w, format+"\n", args...) }

// state is a state's name behind a mark of its own, so that colour is not
// needed to tell them apart.
func (p *printer) state(typ, name string) string {
	switch orion.StateType(typ) {
	case orion.Completed:
		return p.green("✓ " + name)
	case orion.Failed, orion.Crashed:
		return p.red("✕ " + name)
	case orion.Running:
		return p.blue("● " + name)
	case orion.Cancelled, orion.Cancelling:
		return p.dim("- " + name)
	case orion.Paused:
		return p.yellow("= " + name)
	}
	if name == "Late" {
		return p.yellow("! " + name)
	}
	return "○ " + name
}

// fits reports whether a table's rows fit the terminal as they are.
func (p *printer) fits(head []string, rows [][]string) bool {
	return total(columnWidths(head, rows)) <= p.width
}

func columnWidths(head []string, rows [][]string) []int {
	widths := make([]int, len(head))
	for i, h := range head {
		widths[i] = runewidth.StringWidth(h)
	}
	for _, r := range rows {
		for i, c := range r {
			widths[i] = max(widths[i], visible(c))
		}
	}
	return widths
}

// table prints rows below their headings. Cells may hold colours.
func (p *printer) table(head []string, rows [][]string) {
	widths := columnWidths(head, rows)
	if p.width > 0 { // the widest columns give way until the rows fit
		for total(widths) > p.width {
			w := 0
			for i := range widths {
				if widths[i] > widths[w] {
					w = i
				}
			}
			if widths[w] <= 12 {
				break
			}
			widths[w]--
		}
	}
	print := func(cells []string, paint func(string) string) {
		var b strings.Builder
		for i, c := range cells {
			c = shorten(c, widths[i])
			if i < len(cells)-1 {
				b.WriteString(paint(c) + strings.Repeat(" ", widths[i]-visible(c)+2))
			} else {
				b.WriteString(paint(c))
			}
		}
		fmt.Fprintln(p.w, strings.TrimRight(b.String(), " "))
	}
	print(head, p.dim)
	for _, r := range rows {
		print(r, func(s string) string { return s })
	}
}

func total(widths []int) int {
	n := 2 * (len(widths) - 1)
	for _, w := range widths {
		n += w
	}
	return n
}

func visible(s string) int { return runewidth.StringWidth(plain(s)) }

func plain(s string) string {
	if !strings.Contains(s, "\x1b") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == 0x1b {
			// A colour ends with m, a link's address with a backslash.
			end := byte('m')
			if i+1 < len(s) && s[i+1] == ']' {
				end = '\\'
			}
			for i < len(s) && s[i] != end {
				i++
			}
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func shorten(s string, width int) string {
	if visible(s) <= width {
		return s
	}
	return runewidth.Truncate(plain(s), width, "…")
}

// json prints the API's own objects.
func (a *app) json(v any) error {
	b, err := json.Marshal(v, orion.JSONOptions, jsontext.WithIndent("  "), json.Deterministic(true))
	if err != nil {
		return err
	}
	_, err = a.out.Write(append(b, '\n'))
	return err
}

// show prints v as JSON when that was asked for, else calls f.
func (a *app) show(v any, f func(*printer)) error {
	if a.output == "json" {
		return a.json(v)
	}
	f(a.printer(a.out))
	return nil
}

// fields prints a record, one field a line; empty ones are left out.
func (p *printer) fields(pairs ...string) {
	w := 0
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			w = max(w, len(pairs[i]))
		}
	}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			continue
		}
		v := strings.ReplaceAll(pairs[i+1], "\n", "\n"+strings.Repeat(" ", w+2))
		p.line("%s  %s", p.dim(pairs[i]+strings.Repeat(" ", w-len(pairs[i]))), v)
	}
}

// relative is a time as people say it: "in 4 h", "3 min ago".
func relative(t orion.Time) string {
	if t.IsZero() {
		return "–"
	}
	d := time.Until(t.Std())
	past := d < 0
	s := span(d.Abs())
	switch {
	case d.Abs() < time.Second:
		return "now"
	case past:
		return s + " ago"
	}
	return "in " + s
}

// span is a duration in its largest unit.
func span(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

func value(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func number(n *int64) string {
	if n == nil {
		return "–"
	}
	return fmt.Sprint(*n)
}

func dash(s string) string {
	if s == "" {
		return "–"
	}
	return s
}

// confirm asks before something is destroyed; without a terminal --yes is
// needed.
func (a *app) confirm(yes bool, what string) error {
	if yes {
		return nil
	}
	if !term.IsTerminal(int(a.in.Fd())) {
		return usage("%s: add --yes to do it without being asked", what)
	}
	fmt.Fprintf(a.err, "%s. Sure? [y/N] ", what)
	var answer string
	fmt.Fscanln(a.in, &answer) // an empty line is a no
	if strings.ToLower(answer) != "y" && strings.ToLower(answer) != "yes" {
		return quietly{errInterrupted}
	}
	return nil
}

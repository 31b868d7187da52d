package cli

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

//go:generate go run ../../cmd/orion docs --to ../../docs/cli.md

// docsCmd writes docs/cli.md; it is for who works on Orion.
func (a *app) docsCmd() *cobra.Command {
	var to string
	cmd := &cobra.Command{
		Use: "docs", Short: "Write the reference of the commands", Args: cobra.NoArgs, Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			text := reference(cmd.Root())
			if to == "" {
				_, err := a.out.Write(text)
				return err
			}
			return os.WriteFile(to, text, 0o644)
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "write to this file")
	return cmd
}

// reference is the page of all commands, in the order of the alphabet.
func reference(root *cobra.Command) []byte {
	var b bytes.Buffer
	root.InitDefaultCompletionCmd()
	fmt.Fprint(&b, "# The command line\n\nWritten from the commands themselves by `go generate ./internal/cli`: change the text there.\n\n")
	fmt.Fprintf(&b, "%s\n\nEvery command takes these options:\n\n%s\n", root.Long, options(root.PersistentFlags()))
	fmt.Fprint(&b, "It exits with 0 when done, 1 when something failed, 2 for wrong usage, 3 for changes (`orion plan --exit-code`), "+
		"4 when the server does not allow it, 5 when the server cannot be reached, 130 when interrupted.\n")
	for _, c := range root.Commands() {
		describeCommand(&b, c, 2)
	}
	return b.Bytes()
}

func describeCommand(w io.Writer, c *cobra.Command, depth int) {
	if c.Hidden || c.Name() == "help" {
		return
	}
	fmt.Fprintf(w, "\n%s %s\n\n", strings.Repeat("#", min(depth, 4)), c.CommandPath())
	text := c.Short + "."
	if c.Long != "" && c.Name() != "completion" && c.Parent().Name() != "completion" {
		text = c.Long
	}
	fmt.Fprintf(w, "%s\n", strings.TrimSpace(text))
	if c.HasAvailableSubCommands() {
		for _, s := range c.Commands() {
			describeCommand(w, s, depth+1)
		}
		return
	}
	fmt.Fprintf(w, "\n```\n%s\n```\n", c.UseLine())
	if c.Example != "" {
		fmt.Fprintf(w, "\n```\n%s\n```\n", unindent(c.Example))
	}
	if o := options(c.NonInheritedFlags()); o != "" {
		fmt.Fprintf(w, "\n%s", o)
	}
}

func unindent(text string) string {
	var lines []string
	for line := range strings.SplitSeq(strings.Trim(text, "\n"), "\n") {
		lines = append(lines, strings.TrimPrefix(line, "  "))
	}
	return strings.Join(lines, "\n")
}

// options is a table of flags; "" without any.
func options(flags *pflag.FlagSet) string {
	var b strings.Builder
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" || f.Name == "version" {
			return
		}
		if b.Len() == 0 {
			b.WriteString("| option | |\n|---|---|\n")
		}
		kind, about := pflag.UnquoteUsage(f)
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		if kind != "" {
			name += " " + kind
		}
		switch f.DefValue {
		case "", "false", "0", "[]", "0s":
		default:
			about += fmt.Sprintf(" (default %s)", f.DefValue)
		}
		fmt.Fprintf(&b, "| `%s` | %s |\n", name, strings.ReplaceAll(about, "|", `\|`))
	})
	return b.String()
}

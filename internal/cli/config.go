package cli

import (
	"github.com/orionflows/orion/internal/config"
	"github.com/spf13/cobra"
)

func (a *app) configCmd() *cobra.Command {
	view := &cobra.Command{
		Use: "view", Short: "Show the settings and where each came from", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			all := a.config.All()
			type row struct {
				Name   string `json:"name"`
				Value  string `json:"value"`
				Source string `json:"source"`
			}
			var js []row
			var rows [][]string
			for _, s := range all {
				js = append(js, row{s.Name, s.Value, s.Source})
				rows = append(rows, []string{s.Name, s.Value, s.Source})
			}
			return a.show(js, func(p *printer) { p.table([]string{"SETTING", "VALUE", "FROM"}, rows) })
		},
	}
	names := func() (out []string) {
		for _, n := range config.Names {
			out = append(out, n.Name)
		}
		return out
	}
	set := &cobra.Command{
		Use: "set NAME VALUE", Short: "Write a setting to the active profile", Args: cobra.ExactArgs(2), ValidArgs: names(),
		Example: "  orion config set api_url http://10.0.0.4:4200/api",
		RunE:    func(_ *cobra.Command, args []string) error { return a.config.Set(args[0], args[1]) },
	}
	unset := &cobra.Command{
		Use: "unset NAME", Short: "Remove a setting from the active profile", Args: cobra.ExactArgs(1), ValidArgs: names(),
		RunE: func(_ *cobra.Command, args []string) error { return a.config.Set(args[0], "") },
	}
	return group("config", "Settings of the command line", view, set, unset)
}

func (a *app) profileCmd() *cobra.Command {
	ls := &cobra.Command{
		Use: "ls", Short: "List the profiles", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return a.show(a.config.Profiles(), func(p *printer) {
				for _, n := range a.config.Profiles() {
					mark := " "
					if n == a.config.Profile {
						mark = p.green("*")
					}
					p.line("%s %s", mark, n)
				}
			})
		},
	}
	create := &cobra.Command{Use: "create NAME", Short: "Make a profile", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return a.config.Create(args[0]) }}
	use := &cobra.Command{Use: "use NAME", Short: "Make a profile the active one", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return a.config.Use(args[0]) }}
	return group("profile", "Sets of settings, for several servers", ls, create, use)
}

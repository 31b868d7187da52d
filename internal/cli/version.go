package cli

import (
	"runtime"

	"github.com/orionflows/orion/internal/prefect"
	"github.com/spf13/cobra"
)

func (a *app) versionCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			v := map[string]string{"orion": Version, "prefect": prefect.ServerVersion, "api": prefect.APIVersion, "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH}
			return a.show(v, func(p *printer) {
				p.fields("Orion", v["orion"], "Speaks", "Prefect "+v["prefect"]+" (API "+v["api"]+")", "Built with", v["go"]+" for "+v["platform"])
			})
		},
	}
}

package cli

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/orionflows/orion/internal/server"
	"github.com/spf13/cobra"
)

// home is the data folder: ORION_HOME, else a folder of the user's.
func home() string {
	if h := os.Getenv("ORION_HOME"); h != "" {
		return h
	}
	h, err := os.UserHomeDir()
	if err != nil {
		h = "."
	}
	return filepath.Join(h, ".orion")
}

func newServer() *cobra.Command {
	cmd := &cobra.Command{Use: "server", Short: "The server: API, scheduler and page"}
	cmd.AddCommand(newServerStart())
	return cmd
}

func newServerStart() *cobra.Command {
	o := server.Options{Version: Version}
	cmd := &cobra.Command{
		Use:   "start",
		Short: "Start the server",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Log = slog.New(slog.NewTextHandler(os.Stderr, nil))
			o.Database.URL = os.Getenv("ORION_DATABASE_URL")
			o.Database.Dir = home()
			s, err := server.New(cmd.Context(), o)
			if err != nil {
				return err
			}
			fmt.Printf("Orion %s at %s (%s)\n", Version, s.URL(), s.Database())
			return s.Run(cmd.Context())
		},
	}
	cmd.Flags().StringVar(&o.Host, "host", "127.0.0.1", "address to listen on")
	cmd.Flags().IntVar(&o.Port, "port", 4200, "port to listen on")
	cmd.Flags().StringVar(&o.Database.Durability, "durability", "full", "what an operating system crash may lose: full (nothing answered) or normal (the last moments)")
	cmd.Flags().BoolVar(&o.NoServices, "no-services", false, "run no background service")
	return cmd
}

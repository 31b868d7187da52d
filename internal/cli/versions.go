package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/client"
	"github.com/orionflows/orion/internal/codestore"
	"github.com/orionflows/orion/internal/plan"
	"github.com/spf13/cobra"
)

// versions reads a deployment's versions; those of a server that keeps none
// are an error that says so.
func (a *app) versions(ctx context.Context, c *client.Client, name string) (*orion.Deployment, string, []orion.DeploymentVersion, error) {
	d, full, err := a.deployment(ctx, c, name)
	if err != nil {
		return nil, "", nil, err
	}
	if !c.IsOrion() {
		return nil, "", nil, orion.Errorf(orion.BadRequest, "%s is no Orion server, and keeps no versions", c.URL())
	}
	var out []orion.DeploymentVersion
	for {
		vs, err := c.Versions(ctx, d.ID, orion.MaxLimit, len(out))
		if err != nil {
			return nil, "", nil, err
		}
		out = append(out, vs...)
		if len(vs) < orion.MaxLimit {
			return d, full, out, nil
		}
	}
}

func (a *app) deploymentHistoryCmd() *cobra.Command {
	return &cobra.Command{
		Use: "history FLOW/DEPLOYMENT", Short: "List what a deployment has been", Args: cobra.ExactArgs(1), ValidArgsFunction: a.completeDeployments,
		RunE: a.withAPI(func(cmd *cobra.Command, c *client.Client, args []string) error {
			_, name, vs, err := a.versions(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			if vs == nil {
				vs = []orion.DeploymentVersion{}
			}
			return a.show(vs, func(p *printer) {
				if len(vs) == 0 {
					p.line("%s was not deployed by orion deploy, so nothing is known of what it was.", name)
					return
				}
				var rows [][]string
				for i := range vs {
					v := &vs[i]
					mark := " "
					if v.Current {
						mark = p.green("●")
					}
					note := strings.SplitN(value(v.Message), "\n", 2)[0]
					switch {
					case v.RolledBackTo != nil:
						note = fmt.Sprintf("rolled back to v%d", *v.RolledBackTo)
					case !v.Collected.IsZero():
						note += p.dim(" (code removed)")
					}
					rows = append(rows, []string{mark + fmt.Sprintf(" v%d", v.Number), relative(v.Created), commitOf(v), bundleOf(v), dash(value(v.Author)), note})
				}
				p.table([]string{"  VERSION", "DEPLOYED", "COMMIT", "CODE", "AUTHOR", "MESSAGE"}, rows)
			})
		}),
	}
}

func commitOf(v *orion.DeploymentVersion) string {
	c := value(v.Commit)
	if len(c) > 8 {
		c = c[:8]
	}
	if v.Dirty {
		c += "+"
	}
	return dash(c)
}

func bundleOf(v *orion.DeploymentVersion) string {
	b := value(v.Bundle)
	if len(b) > 7 {
		b = b[:7]
	}
	return dash(b)
}

// number reads "3" and "v3".
func versionNumber(s string) (int64, error) {
	n, err := strconv.ParseInt(strings.TrimPrefix(s, "v"), 10, 64)
	if err != nil || n < 1 {
		return 0, usage("%q is not the number of a version, such as 3 or v3", s)
	}
	return n, nil
}

func (a *app) deploymentDiffCmd() *cobra.Command {
	return &cobra.Command{
		Use: "diff FLOW/DEPLOYMENT [FROM [TO]]", Short: "Show how two versions of a deployment differ", Args: cobra.RangeArgs(1, 3), ValidArgsFunction: a.completeDeployments,
		Long: "Show how two versions of a deployment differ: settings, code and installed packages. Without versions it is the last two; with one it is that one and the current.",
		Example: `  orion deployment diff "Load orders/daily"
  orion deployment diff "Load orders/daily" v3 v5`,
		RunE: a.withAPI(func(cmd *cobra.Command, c *client.Client, args []string) error {
			ctx := cmd.Context()
			d, name, vs, err := a.versions(ctx, c, args[0])
			if err != nil {
				return err
			}
			if len(vs) < 2 && len(args) < 3 {
				return orion.Errorf(orion.NotFound, "%s has %s: there is nothing to compare", name, count(len(vs), "version"))
			}
			numbers := [2]int64{}
			if len(vs) >= 2 {
				numbers = [2]int64{vs[1].Number, vs[0].Number}
			}
			for i, s := range args[1:] {
				if numbers[i], err = versionNumber(s); err != nil {
					return err
				}
			}
			var both [2]*client.VersionDetail
			for i, n := range numbers {
				if both[i], err = c.Version(ctx, d.ID, n); err != nil {
					return fmt.Errorf("version %d of %s: %w", n, name, err)
				}
			}
			diff := plan.CompareVersions(&both[0].DeploymentVersion, &both[1].DeploymentVersion, &both[0].Settings, &both[1].Settings)
			if from, err := codeOf(ctx, c, both[0]); err == nil {
				if to, err := codeOf(ctx, c, both[1]); err == nil {
					diff.Files = plan.Differences(from, to)
				}
			}
			return a.show(diff, func(p *printer) {
				p.line("  %s  v%d → v%d", p.bold(name), numbers[0], numbers[1])
				p.changes(diff.Settings)
				for _, f := range diff.Files {
					p.line("      code      %s", f)
				}
				for _, r := range diff.Requirements {
					p.line("      packages  %s", r)
				}
				if len(diff.Settings)+len(diff.Files)+len(diff.Requirements) == 0 {
					p.line("      no difference")
				}
			})
		}),
	}
}

// codeOf reads what is in the bundle of a version.
func codeOf(ctx context.Context, c *client.Client, v *client.VersionDetail) (codestore.Manifest, error) {
	if v.Bundle == nil {
		return codestore.Manifest{}, nil
	}
	if *v.Store == orion.InServer {
		archive, err := c.GetBundle(ctx, *v.Bundle)
		if err != nil {
			return codestore.Manifest{}, err
		}
		defer archive.Close()
		return codestore.ReadArchive(ctx, archive, 0)
	}
	store, err := plan.OpenStorage(ctx, c, v.Settings.StorageDocumentID.V)
	if err != nil {
		return codestore.Manifest{}, err
	}
	defer store.Close()
	return codestore.ReadManifest(ctx, store, *v.Bundle, codestore.Options{})
}

func (a *app) deploymentRollbackCmd() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "rollback FLOW/DEPLOYMENT [VERSION]", Short: "Make a deployment again what it was", Args: cobra.RangeArgs(1, 2), ValidArgsFunction: a.completeDeployments,
		Long: "Make a deployment again what it was: its code and its settings, as a new version. What is switched off stays off. Without a version it is the one before the present.",
		RunE: a.withAPI(func(cmd *cobra.Command, c *client.Client, args []string) error {
			ctx := cmd.Context()
			d, name, vs, err := a.versions(ctx, c, args[0])
			if err != nil {
				return err
			}
			var n int64
			if len(args) > 1 {
				if n, err = versionNumber(args[1]); err != nil {
					return err
				}
			} else {
				if len(vs) < 2 {
					return orion.Errorf(orion.NotFound, "%s has %s: there is none before the present", name, count(len(vs), "version"))
				}
				n = vs[1].Number
			}
			if err := a.confirm(yes, fmt.Sprintf("This makes %s again what it was at v%d", name, n)); err != nil {
				return err
			}
			v, err := c.RollBack(ctx, d.ID, n)
			if err != nil {
				return err
			}
			return a.show(v, func(p *printer) { p.line("%s is now v%d, which is v%d again", name, v.Number, n) })
		}),
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

func (a *app) flowRunCodeCmd() *cobra.Command {
	var dir, show string
	cmd := &cobra.Command{
		Use: "code RUN", Short: "Show or download the code that a run ran", Args: cobra.ExactArgs(1),
		Example: `  orion flow-run code calm-otter
  orion flow-run code calm-otter --show flow.py
  orion flow-run code calm-otter --download ./calm-otter`,
		RunE: a.withAPI(func(cmd *cobra.Command, c *client.Client, args []string) error {
			ctx := cmd.Context()
			r, err := a.flowRun(ctx, c, args[0])
			if err != nil {
				return err
			}
			rc, err := c.RunCode(ctx, r.ID)
			if err != nil {
				return err
			}
			v := rc.Version
			if v.Bundle == nil {
				if dir != "" || show != "" {
					return orion.Errorf(orion.NotFound, "Orion does not keep the code of %s: it is in an image or in a git repository", r.Name)
				}
				return a.show(rc, func(p *printer) { p.runCode(r, rc, nil) })
			}
			into, err := os.MkdirTemp("", "orion-code-")
			if err != nil {
				return err
			}
			defer os.RemoveAll(into)
			m, err := fetchCode(ctx, c, rc, filepath.Join(into, "code"))
			if err != nil {
				return err
			}
			switch {
			case show != "":
				f, err := os.Open(filepath.Join(into, "code", filepath.FromSlash(show)))
				if err != nil {
					return orion.Errorf(orion.NotFound, "there is no file %s in the code of %s", show, r.Name)
				}
				defer f.Close()
				_, err = io.Copy(a.out, f)
				return err
			case dir != "":
				if _, err := os.Stat(dir); err == nil {
					return orion.Errorf(orion.Conflict, "%s is there already: name a folder that is not", dir)
				}
				if err := os.CopyFS(dir, os.DirFS(filepath.Join(into, "code"))); err != nil {
					return err
				}
				return a.show(map[string]any{"folder": dir, "files": m.Files}, func(p *printer) {
					p.line("%s of %s (v%d) in %s", count(len(m.Files), "file"), r.Name, v.Number, dir)
				})
			}
			return a.show(map[string]any{"code": rc, "files": m.Files}, func(p *printer) { p.runCode(r, rc, m.Files) })
		}),
	}
	cmd.Flags().StringVar(&dir, "download", "", "put the files into this folder")
	cmd.Flags().StringVar(&show, "show", "", "print this file")
	return cmd
}

func (p *printer) runCode(r *orion.FlowRun, rc *orion.RunCode, files []codestore.File) {
	v := rc.Version
	how := ""
	switch {
	case rc.Pinned:
		how = "made for this version"
	case !rc.Exact && r.Type() != orion.Scheduled:
		how = "the deployment changed while the run began: it may have read the version before"
	case r.Type() == orion.Scheduled:
		how = "what it would run now"
	}
	entry := ""
	if rc.Deployment != nil {
		entry = value(rc.Deployment.Entrypoint)
	}
	p.fields("Run", p.bold(r.Name), "Version", fmt.Sprintf("v%d  %s", v.Number, p.dim(how)), "Commit", commitOf(v), "Author", value(v.Author), "Message", value(v.Message),
		"Repository", v.Repository, "File", v.File, "Code", value(v.Bundle), "View", value(v.View), "Entrypoint", entry)
	if len(files) > 0 {
		p.line("")
	}
	for _, f := range files {
		p.line("  %s  %s", f.Path, p.dim(fmt.Sprintf("%d bytes", f.Size)))
	}
}

// fetchCode gets a run's bundle into a folder.
func fetchCode(ctx context.Context, c *client.Client, rc *orion.RunCode, dir string) (codestore.Manifest, error) {
	hash := *rc.Version.Bundle
	if *rc.Version.Store == orion.InServer {
		archive, err := c.GetBundle(ctx, hash)
		if err != nil {
			return codestore.Manifest{}, err
		}
		defer archive.Close()
		return codestore.Unarchive(ctx, archive, hash, dir, 0)
	}
	if rc.Deployment == nil {
		return codestore.Manifest{}, orion.Errorf(orion.NotFound, "the deployment is gone, and with it which storage the code is in")
	}
	store, err := plan.OpenStorage(ctx, c, rc.Deployment.StorageDocumentID)
	if err != nil {
		return codestore.Manifest{}, err
	}
	defer store.Close()
	return codestore.Fetch(ctx, store, hash, dir, codestore.Options{})
}

func (a *app) flowRunRerunCmd() *cobra.Command {
	var same, latest, watch bool
	cmd := &cobra.Command{
		Use: "rerun RUN", Short: "Start a run again as a new one, with its parameters", Args: cobra.ExactArgs(1),
		Example: `  orion flow-run rerun calm-otter --same-code      what it ran, whatever was deployed since
  orion flow-run rerun calm-otter --latest-code -w  what its deployment runs now, and follow it`,
		RunE: a.withAPI(func(cmd *cobra.Command, c *client.Client, args []string) error {
			if same == latest {
				return usage("say which code: --same-code or --latest-code")
			}
			r, err := a.flowRun(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			again, err := c.Rerun(cmd.Context(), r.ID, same)
			if err != nil {
				return err
			}
			if err := a.show(again, func(p *printer) {
				p.line("Started %s, which is %s again: %s/runs/flow-run/%s", p.bold(again.Name), r.Name, c.Page(), again.ID)
			}); err != nil || !watch {
				return err
			}
			return a.follow(cmd.Context(), c, again.ID, true)
		}),
	}
	f := cmd.Flags()
	f.BoolVar(&same, "same-code", false, "with the code that the run ran")
	f.BoolVar(&latest, "latest-code", false, "with the code that its deployment runs now")
	f.BoolVarP(&watch, "watch", "w", false, "follow the new run; its end decides the exit code")
	return cmd
}

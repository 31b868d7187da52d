package deploy

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"time"

	"github.com/orionflows/orion/internal/overlay"
)

//go:embed collect.py
var collectProgram string

// shim is what collect.py is told.
type shim struct {
	Program    string `json:"program"`
	Root       string `json:"root"`
	API        string `json:"api"`
	Report     string `json:"report"`
	RunScripts bool   `json:"run_scripts"`
}

// CollectOptions say how files are collected.
type CollectOptions struct {
	// Root is the repository's; "" is what each file's name is relative to.
	Root string
	// Timeout is how long one file may take; 0 is 10 minutes.
	Timeout time.Duration
	// RunScripts runs the run_shell_script steps of prefect.yaml files, whose
	// outputs later steps may need; they can do anything.
	RunScripts bool
	// Parallel is how many files run at once; 0 is one per core.
	Parallel int
}

// Collect runs jobs on an overlay and returns what each file would do, in the
// same order; the writes are in the overlay's recording, under File.Rel. A
// failing file stops no other. progress is as for RunAll.
func (r *Runner) Collect(ctx context.Context, on *overlay.Overlay, jobs []Job, o CollectOptions, progress func(Event)) []Collected {
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Minute
	}
	return runEach(jobs, o.Parallel, progress, func(job Job) Collected {
		return r.collect(ctx, on, job, o)
	}, func(c *Collected) *Result { return &c.Result })
}

func (r *Runner) collect(ctx context.Context, on *overlay.Overlay, job Job, o CollectOptions) Collected {
	ctx, cancel := context.WithTimeoutCause(ctx, o.Timeout,
		fmt.Errorf("%s did not end within %s and was stopped: see what it waits for, or let it take longer (--timeout)", job.File.Rel, o.Timeout))
	defer cancel()
	root := o.Root
	if root == "" {
		root = job.File.root()
	}
	seen := on.File(job.File.Rel)
	c := Collected{Result: r.runWith(ctx, job.File, job.Environment, &shim{
		Program: collectProgram, Root: root, API: seen.URL(), Report: seen.ReportURL(), RunScripts: o.RunScripts,
	})}
	for _, text := range seen.Reports() {
		if err := c.take(text); err != nil && c.Err == nil {
			c.Err = fmt.Errorf("what the process of %s reported cannot be read: %w", job.File.Rel, err)
		}
	}
	if refused := seen.Refused(); c.Err != nil && c.Hint == "" && len(refused) > 0 {
		c.Hint = refused[len(refused)-1]
	} else if c.Err == nil {
		c.Warnings = append(c.Warnings, refused...)
	}
	return c
}

// take adds one report of collect.py.
func (c *Collected) take(text []byte) error {
	var r struct {
		Kind string `json:"kind"`
		Text string `json:"text"`
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return err
	}
	switch r.Kind {
	case "inputs":
		return json.Unmarshal(text, &c.Inputs)
	case "upload":
		var u Upload
		err := json.Unmarshal(text, &u)
		c.Uploads = append(c.Uploads, u)
		return err
	case "warning":
		c.Warnings = append(c.Warnings, r.Text)
	}
	return nil
}

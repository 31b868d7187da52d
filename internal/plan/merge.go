package plan

import (
	"strings"

	"github.com/orionflows/orion"
)

// keepDrift makes what is to be written what the server has, for the settings
// that were changed by hand and that the repository says nothing new of.
func keepDrift(it *Item, drift []Field) {
	d, s := it.want, it.server
	kept := map[string]bool{}
	for _, f := range drift {
		kept[f.Name] = true
		group, member, _ := strings.Cut(f.Name, ".")
		switch {
		case f.Name == "description":
			d.Description = s.Description
		case f.Name == "version":
			d.Version = s.Version
		case f.Name == "tags":
			d.Tags = s.Tags
		case f.Name == "work pool" || f.Name == "work queue":
			d.WorkPoolName, d.WorkQueueName = s.WorkPoolName, s.WorkQueueName
		case f.Name == "entrypoint":
			d.Entrypoint = s.Entrypoint
		case f.Name == "manifest path":
			d.ManifestPath = s.ManifestPath
		case f.Name == "pull steps":
			d.PullSteps = s.PullSteps
		case f.Name == "enforce parameter schema":
			d.EnforceParameterSchema = s.EnforceParameterSchema
		case f.Name == "parameter schema":
			d.ParameterOpenapiSchema = s.ParameterOpenapiSchema
		case f.Name == fieldPath:
			d.Path = s.Path
		case f.Name == fieldPaused:
			d.Paused = s.Paused
		case group == "storage":
			d.StorageDocumentID = s.StorageDocumentID
		case group == "infrastructure":
			d.InfrastructureDocumentID = s.InfrastructureDocumentID
		case group == "parameters":
			d.Parameters = keepMember(d.Parameters, s.Parameters, member)
		case group == "job variables":
			d.JobVariables = keepMember(d.JobVariables, s.JobVariables, member)
		}
	}
	d.Schedules = keepSchedules(d.Schedules, it.serverSchedules(), kept)
}

func (it *Item) serverSchedules() []orion.DeploymentSchedule {
	if it.server == nil {
		return nil
	}
	return it.server.Schedules
}

// keepMember takes one member, or one of an object within, over from another
// object.
func keepMember(want, server orion.JSON, path string) orion.JSON {
	w, _ := membersOf(want)
	s, _ := membersOf(server)
	if w == nil {
		w = map[string]orion.JSON{}
	}
	name, rest := path, ""
	for k := range s { // names may hold dots
		if inner, ok := strings.CutPrefix(path, k+"."); ok && len(k) < len(path) {
			name, rest = k, inner
		}
	}
	if rest == "" {
		for k := range w {
			if inner, ok := strings.CutPrefix(path, k+"."); ok && s[path] == nil {
				name, rest = k, inner
			}
		}
	}
	switch v, ok := s[name]; {
	case rest != "":
		w[name] = keepMember(w[name], v, rest)
	case ok:
		w[name] = v
	default:
		delete(w, name)
	}
	b, err := orion.Encode(w)
	if err != nil {
		return want
	}
	return b
}

// keepSchedules merges the schedules of the file with those of the server: of a
// schedule that was changed, switched or deleted by hand the server's stays.
func keepSchedules(want, server []orion.DeploymentSchedule, kept map[string]bool) []orion.DeploymentSchedule {
	named := func(list []orion.DeploymentSchedule) (names []string, by map[string]*orion.DeploymentSchedule) {
		names, by = scheduleFields(list), map[string]*orion.DeploymentSchedule{}
		for i := range list {
			by[names[i]] = &list[i]
		}
		return names, by
	}
	wanted, w := named(want)
	there, s := named(server)
	out := []orion.DeploymentSchedule{}
	for _, name := range wanted {
		x := *w[name]
		have := s[name]
		switch {
		case kept[name] && have == nil:
			continue
		case kept[name]:
			active := x.Active
			x = *have
			if !kept[name+" active"] {
				x.Active = active
			}
		}
		if kept[name+" active"] && have != nil {
			x.Active = have.Active
		}
		out = append(out, x)
	}
	for _, name := range there {
		if w[name] == nil && kept[name] {
			out = append(out, *s[name])
		}
	}
	return out
}

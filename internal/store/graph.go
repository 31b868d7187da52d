package store

import (
	"sort"

	"github.com/orionflows/orion"
)

// Dependency is one task run of the older graph.
type Dependency struct {
	ID                orion.ID      `json:"id"`
	Name              string        `json:"name"`
	Upstream          orion.JSON    `json:"upstream_dependencies"`
	State             *orion.State  `json:"state"`
	ExpectedStartTime orion.Time    `json:"expected_start_time"`
	StartTime         orion.Time    `json:"start_time"`
	EndTime           orion.Time    `json:"end_time"`
	TotalRunTime      orion.Seconds `json:"total_run_time"`
	EstimatedRunTime  orion.Seconds `json:"estimated_run_time"`
	Untrackable       bool          `json:"untrackable_result"`
}

type taskInput struct {
	Type string   `json:"input_type"`
	ID   orion.ID `json:"id"`
}

func inputsOf(t *orion.TaskRun) []taskInput {
	var m map[string][]taskInput
	if orion.Decode(orion.ObjectOr(t.TaskInputs), &m) != nil {
		return nil
	}
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	var out []taskInput
	for _, k := range keys {
		for _, in := range m[k] {
			if in.Type == "task_run" && !in.ID.IsZero() {
				out = append(out, in)
			}
		}
	}
	return out
}

// Dependencies is the older graph of a flow run: its task runs and what each
// waited for.
func (tx *Tx) Dependencies(flowRun orion.ID) ([]Dependency, error) {
	ts, err := tx.TaskRunsOf(flowRun)
	if err != nil {
		return nil, err
	}
	out := make([]Dependency, 0, len(ts))
	for _, t := range ts {
		up := []orion.JSON{}
		for _, in := range inputsOf(t) {
			b, _ := orion.Encode(struct {
				Type string   `json:"input_type"`
				ID   orion.ID `json:"id"`
			}{"task_run", in.ID})
			up = append(up, b)
		}
		b, _ := orion.Encode(up)
		out = append(out, Dependency{ID: t.ID, Name: t.Name, Upstream: b, State: t.State, ExpectedStartTime: t.ExpectedStartTime, StartTime: t.StartTime,
			EndTime: t.EndTime, TotalRunTime: t.TotalRunTime, EstimatedRunTime: t.EstimatedRunTime, Untrackable: t.State != nil && t.State.Details.UntrackableResult})
	}
	return out, nil
}

// Graph is a flow run as its page draws it.
type Graph struct {
	StartTime   orion.Time      `json:"start_time"`
	EndTime     orion.Time      `json:"end_time"`
	RootNodeIDs []orion.ID      `json:"root_node_ids"`
	Nodes       [][2]any        `json:"nodes"`
	Artifacts   []GraphArtifact `json:"artifacts"`
	States      []GraphState    `json:"states"`
}

// GraphArtifact is an artifact on the graph.
type GraphArtifact struct {
	ID       orion.ID   `json:"id"`
	Created  orion.Time `json:"created"`
	Key      *string    `json:"key"`
	Type     *string    `json:"type"`
	IsLatest bool       `json:"is_latest"`
}

// GraphState is a state of the flow run on the graph.
type GraphState struct {
	ID        orion.ID        `json:"id"`
	Timestamp orion.Time      `json:"timestamp"`
	Type      orion.StateType `json:"type"`
	Name      string          `json:"name"`
}

// GraphNode is a task run, or the subflow that one stands for.
type GraphNode struct {
	Kind      string          `json:"kind"`
	ID        orion.ID        `json:"id"`
	Label     string          `json:"label"`
	StateType string          `json:"state_type"`
	StartTime orion.Time      `json:"start_time"`
	EndTime   orion.Time      `json:"end_time"`
	Parents   []GraphEdge     `json:"parents"`
	Children  []GraphEdge     `json:"children"`
	Artifacts []GraphArtifact `json:"artifacts"`
}

// GraphEdge points to another node.
type GraphEdge struct {
	ID orion.ID `json:"id"`
}

const (
	maxGraphNodes     = 10000
	maxGraphArtifacts = 10000
)

// FlowRunGraph is the graph of a flow run: what has started, in the order of
// starting. Only nodes that ended after since, or have not ended, are in it.
func (tx *Tx) FlowRunGraph(run *orion.FlowRun, since orion.Time) (*Graph, error) {
	g := &Graph{StartTime: run.StartTime, EndTime: run.EndTime, RootNodeIDs: []orion.ID{}, Nodes: [][2]any{}}
	if g.StartTime.IsZero() {
		g.StartTime = run.ExpectedStartTime
	}
	tasks, err := tx.TaskRunsOf(run.ID)
	if err != nil {
		return nil, err
	}
	subflows, err := tx.subflowsOf(run.ID)
	if err != nil {
		return nil, err
	}
	own, byTask, err := tx.graphArtifacts(run.ID)
	if err != nil {
		return nil, err
	}
	g.Artifacts = own
	nodes := map[orion.ID]*GraphNode{} // by task run
	var list []*GraphNode
	for _, t := range tasks {
		n := &GraphNode{Kind: "task-run", ID: t.ID, Label: t.Name, StateType: string(t.Type()), StartTime: t.StartTime, EndTime: t.EndTime,
			Parents: []GraphEdge{}, Children: []GraphEdge{}, Artifacts: byTask[t.ID]}
		typ, expected := t.Type(), t.ExpectedStartTime
		if s := subflows[t.ID]; s != nil {
			n.Kind, n.ID, n.Label, n.StateType, n.StartTime, n.EndTime = "flow-run", s.id, s.label, s.state, s.start, s.end
			typ, expected = orion.StateType(s.state), s.expected
		}
		if n.Artifacts == nil {
			n.Artifacts = []GraphArtifact{}
		}
		if n.StartTime.IsZero() {
			n.StartTime = expected
		}
		if n.EndTime.IsZero() && typ == orion.Completed {
			n.EndTime = expected
		}
		if typ == orion.Pending || n.StartTime.IsZero() || (!since.IsZero() && !n.EndTime.IsZero() && n.EndTime.Before(since)) {
			continue
		}
		nodes[t.ID] = n
		list = append(list, n)
	}
	if len(list) > maxGraphNodes {
		return nil, orion.Errorf(orion.BadRequest, "The graph of flow run %s has more than %d nodes.", run.ID, maxGraphNodes)
	}
	for _, t := range tasks {
		n := nodes[t.ID]
		if n == nil {
			continue
		}
		seen := map[orion.ID]bool{}
		for _, in := range inputsOf(t) {
			if p := nodes[in.ID]; p != nil && !seen[in.ID] {
				seen[in.ID] = true
				n.Parents = append(n.Parents, GraphEdge{p.ID})
				p.Children = append(p.Children, GraphEdge{n.ID})
			}
		}
	}
	sort.SliceStable(list, func(i, j int) bool {
		a, b := list[i], list[j]
		if !a.StartTime.Equal(b.StartTime) {
			return a.StartTime.Before(b.StartTime)
		}
		return !a.EndTime.IsZero() && (b.EndTime.IsZero() || a.EndTime.Before(b.EndTime))
	})
	for _, n := range list {
		g.Nodes = append(g.Nodes, [2]any{n.ID, n})
		if len(n.Parents) == 0 {
			g.RootNodeIDs = append(g.RootNodeIDs, n.ID)
		}
	}
	states, err := tx.FlowRunStates(run.ID)
	g.States = []GraphState{}
	for _, s := range states {
		g.States = append(g.States, GraphState{s.ID, s.Timestamp, s.Type, s.Name})
	}
	return g, err
}

type subflow struct {
	id                   orion.ID
	label, state         string
	start, end, expected orion.Time
}

// subflowsOf finds the flow runs that task runs of a flow run stand for.
func (tx *Tx) subflowsOf(flowRun orion.ID) (map[orion.ID]*subflow, error) {
	out := map[orion.ID]*subflow{}
	// IS NOT NULL is what the index of subflows is about; without it SQLite
	// reads every flow run.
	err := tx.query(`SELECT f.parent_task_run_id, f.id, flow.name, f.name, COALESCE(f.state_type, ''), f.start_time, f.end_time, f.expected_start_time
		FROM flow_run f JOIN flow ON flow.workspace_id = f.workspace_id AND flow.id = f.flow_id
		WHERE f.workspace_id = ? AND f.parent_task_run_id IS NOT NULL
			AND f.parent_task_run_id IN (SELECT id FROM task_run WHERE workspace_id = ? AND flow_run_id = ?)`, []any{tx.ws, tx.ws, flowRun}, func(r *Row) error {
		var parent orion.ID
		var flow, name string
		s := &subflow{}
		if err := r.Scan(&parent, &s.id, &flow, &name, &s.state, &s.start, &s.end, &s.expected); err != nil {
			return err
		}
		s.label = flow + " / " + name
		out[parent] = s
		return nil
	})
	return out, err
}

// graphArtifacts are a flow run's own artifacts and those of its task runs;
// results are left out.
func (tx *Tx) graphArtifacts(flowRun orion.ID) (own []GraphArtifact, byTask map[orion.ID][]GraphArtifact, err error) {
	own, byTask = []GraphArtifact{}, map[orion.ID][]GraphArtifact{}
	err = tx.query(`SELECT a.id, a.created, a.key, a.type, a.task_run_id,
		EXISTS (SELECT 1 FROM artifact_collection c WHERE c.workspace_id = a.workspace_id AND c.key = a.key AND c.latest_id = a.id)
		FROM artifact a WHERE a.workspace_id = ? AND a.flow_run_id = ? AND (a.type IS NULL OR a.type <> 'result') ORDER BY a.created LIMIT ?`,
		[]any{tx.ws, flowRun, int64(maxGraphArtifacts)}, func(r *Row) error {
			var a GraphArtifact
			var task orion.ID
			if err := r.Scan(&a.ID, &a.Created, &a.Key, &a.Type, &task, &a.IsLatest); err != nil {
				return err
			}
			if a.Key == nil {
				a.IsLatest = true
			}
			if task.IsZero() {
				own = append(own, a)
			} else {
				byTask[task] = append(byTask[task], a)
			}
			return nil
		})
	return own, byTask, err
}

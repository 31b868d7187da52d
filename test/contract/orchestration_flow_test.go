package contract

import (
	"fmt"
	"slices"
	"time"
)

// The data of a state, as clients send it.
var (
	unpersisted = map[string]any{"type": "unpersisted"}
	reference   = map[string]any{"type": "reference", "serializer_type": "pickle", "storage_block_id": "11111111-1111-1111-1111-111111111111", "storage_key": "key"}
)

// States that a flow run may be in when it is asked to change.
var currentFlowStates = []state{
	{label: "pending", Type: "PENDING"},
	{label: "scheduled for the past", Type: "SCHEDULED", Details: map[string]any{"scheduled_time": -time.Minute}},
	{label: "scheduled for the future", Type: "SCHEDULED", Details: map[string]any{"scheduled_time": time.Hour}},
	{label: "late", Type: "SCHEDULED", Name: "Late", Details: map[string]any{"scheduled_time": -time.Minute}},
	{label: "resuming", Type: "SCHEDULED", Name: "Resuming"},
	{label: "awaiting retry", Type: "SCHEDULED", Name: "AwaitingRetry", Details: map[string]any{"scheduled_time": time.Hour}},
	{label: "running", Type: "RUNNING"},
	{label: "paused", Type: "PAUSED", Details: map[string]any{"pause_key": "k", "pause_timeout": time.Hour}},
	{label: "paused without a timeout", Type: "PAUSED"},
	{label: "paused for too long", Type: "PAUSED", Details: map[string]any{"pause_timeout": -time.Minute}},
	{label: "suspended", Type: "PAUSED", Name: "Suspended", Details: map[string]any{"pause_key": "k", "pause_timeout": time.Hour, "pause_reschedule": true}},
	{label: "cancelling", Type: "CANCELLING"},
	{label: "cancelled", Type: "CANCELLED"},
	{label: "completed", Type: "COMPLETED"},
	{label: "completed unpersisted", Type: "COMPLETED", Data: unpersisted},
	{label: "completed with a result", Type: "COMPLETED", Data: reference},
	{label: "failed", Type: "FAILED", Message: "no luck"},
	{label: "failed with a result", Type: "FAILED", Data: reference},
	{label: "crashed", Type: "CRASHED"},
}

// States that may be proposed for a flow run.
var proposedFlowStates = []state{
	{label: "pending", Type: "PENDING"},
	{label: "pending at a time", Type: "PENDING", Details: map[string]any{"scheduled_time": -time.Hour}},
	{label: "scheduled", Type: "SCHEDULED"},
	{label: "scheduled for the future", Type: "SCHEDULED", Details: map[string]any{"scheduled_time": time.Hour}},
	{label: "late", Type: "SCHEDULED", Name: "Late"},
	{label: "running", Type: "RUNNING", Message: "here we go"},
	{label: "paused", Type: "PAUSED", Details: map[string]any{"pause_timeout": time.Hour}},
	{label: "paused with a key", Type: "PAUSED", Details: map[string]any{"pause_key": "k", "pause_timeout": time.Hour}},
	{label: "suspended", Type: "PAUSED", Name: "Suspended", Details: map[string]any{"pause_reschedule": true, "pause_timeout": time.Hour}},
	{label: "cancelling", Type: "CANCELLING"},
	{label: "cancelled", Type: "CANCELLED"},
	{label: "completed", Type: "COMPLETED", Data: unpersisted},
	{label: "completed with a result", Type: "COMPLETED", Data: reference},
	{label: "failed", Type: "FAILED", Message: "no luck", Data: unpersisted},
	{label: "crashed", Type: "CRASHED", Message: "infrastructure"},
}

// flowVariant is what else may matter about a flow run.
type flowVariant struct {
	label      string
	deployment bool
	subflow    bool
	pid        bool
	force      bool
	sameID     bool // current and proposed state carry one transition id
	policy     map[string]any
	before     []state           // states that the run was in before the current one
	headers    map[string]string // of the proposal
	current    []string          // labels of the current states to ask about; all when empty
	proposed   []string          // labels of the proposed states; all when empty
}

var flowVariants = []flowVariant{
	{label: "of a deployment", deployment: true},
	{label: "without a deployment",
		current:  []string{"pending", "scheduled for the past", "running", "paused", "paused without a timeout", "suspended", "cancelled", "completed", "completed with a result", "failed", "crashed"},
		proposed: []string{"pending", "scheduled", "scheduled for the future", "running", "paused", "suspended", "cancelling", "completed", "failed"}},
	{label: "forced", deployment: true, force: true,
		current:  []string{"pending", "scheduled for the future", "running", "paused", "suspended", "cancelling", "completed with a result", "failed with a result", "crashed"},
		proposed: []string{"pending", "scheduled", "late", "running", "paused", "cancelling", "cancelled", "completed", "completed with a result", "failed"}},
	{label: "with infrastructure", deployment: true, pid: true,
		current:  []string{"pending", "scheduled for the past", "late", "resuming", "running", "paused", "suspended", "awaiting retry"},
		proposed: []string{"cancelling", "cancelled", "running", "crashed"}},
	{label: "a forced cancel of a run with infrastructure", deployment: true, pid: true, force: true,
		current:  []string{"scheduled for the past", "resuming", "paused", "suspended"},
		proposed: []string{"cancelling"}},
	{label: "a subflow", subflow: true,
		current:  []string{"pending", "scheduled for the past", "running", "paused", "cancelling", "completed with a result", "failed", "crashed"},
		proposed: []string{"pending", "running", "paused", "suspended", "cancelling", "cancelled", "completed with a result", "failed", "crashed"}},
	{label: "a subflow of a deployment", subflow: true, deployment: true,
		current:  []string{"scheduled for the past", "running", "suspended"},
		proposed: []string{"pending", "running", "suspended", "cancelling", "completed", "failed"}},
	{label: "with retries left", deployment: true, policy: map[string]any{"retries": 2, "retry_delay": 300},
		current:  []string{"pending", "running", "failed", "crashed", "paused"},
		proposed: []string{"failed", "crashed", "completed", "scheduled", "running"}},
	{label: "with retries and no delay", policy: map[string]any{"retries": 1},
		current: []string{"running"}, proposed: []string{"failed", "crashed"}},
	{label: "with old-fashioned retries", policy: map[string]any{"max_retries": 1, "retry_delay_seconds": 60},
		current: []string{"running"}, proposed: []string{"failed"}},
	{label: "with its retries used up", deployment: true, policy: map[string]any{"retries": 1, "retry_delay": 300},
		before:   []state{{Type: "RUNNING"}, {Type: "FAILED"}},
		current:  []string{"running", "failed", "awaiting retry"},
		proposed: []string{"failed", "crashed", "completed", "running", "scheduled"}},
	{label: "that ran before", deployment: true, before: []state{{Type: "RUNNING"}},
		current:  []string{"paused", "suspended", "failed", "crashed", "cancelling", "cancelled", "completed", "completed with a result", "resuming", "awaiting retry"},
		proposed: []string{"pending", "running", "scheduled", "cancelling", "cancelled", "completed", "failed"}},
	{label: "that is resuming", deployment: true, policy: map[string]any{"resuming": true, "pause_keys": []string{"k"}, "retry_type": "reschedule"},
		before:   []state{{Type: "RUNNING"}, {Type: "PAUSED"}},
		current:  []string{"resuming", "pending", "running", "paused", "failed"},
		proposed: []string{"pending", "running", "paused", "paused with a key", "failed", "completed", "scheduled"}},
	{label: "that paused by this key before", deployment: true, policy: map[string]any{"pause_keys": []string{"k", "l"}},
		current:  []string{"running"},
		proposed: []string{"paused", "paused with a key", "suspended"}},
	{label: "that makes the same transition again", deployment: true, sameID: true,
		current:  []string{"pending", "running", "completed", "failed"},
		proposed: []string{"pending", "running", "completed", "failed", "scheduled"}},
	{label: "that is forced to make the same transition again", deployment: true, sameID: true, force: true,
		current: []string{"pending", "running"}, proposed: []string{"pending", "running"}},
	{label: "asked by a client of an older API", deployment: true, headers: map[string]string{"X-PREFECT-API-VERSION": "0.8.3"},
		policy: map[string]any{"retries": 2, "retry_delay": 300}, before: []state{{Type: "RUNNING"}},
		current:  []string{"failed", "running", "paused", "awaiting retry"},
		proposed: []string{"scheduled", "failed", "running", "paused"}},
}

// flowTransitions are the questions about flow runs.
func flowTransitions() []transition {
	var all []transition
	for _, v := range flowVariants {
		for _, from := range chosen(currentFlowStates, v.current) {
			for _, to := range chosen(proposedFlowStates, v.proposed) {
				all = append(all, transition{
					name: fmt.Sprintf("flow run %s, %s → %s", v.label, from.label, to.label),
					ask:  func(q *question) error { return askFlowRun(q, v, from, to) },
				})
			}
		}
	}
	return append(all, flowHistories()...)
}

// chosen are the states with these labels, or all.
func chosen(states []state, labels []string) []state {
	if len(labels) == 0 {
		return states
	}
	var some []state
	for _, label := range labels {
		i := slices.IndexFunc(states, func(s state) bool { return s.label == label })
		if i < 0 {
			panic("no state is called " + label)
		}
		some = append(some, states[i])
	}
	return some
}

func askFlowRun(q *question, v flowVariant, from, to state) error {
	if v.sameID {
		same := map[string]any{"transition_id": q.transitionID()}
		from, to = from.with(same), to.with(same)
	}
	history := startable(slices.Concat(v.before, []state{from}))
	create := map[string]any{"name": "run", "state": history[0].body(q)}
	if v.policy != nil {
		create["empirical_policy"] = v.policy
	}
	dummy := ""
	if v.subflow {
		var err error
		dummy, err = q.create("/task_runs/", map[string]any{"flow_run_id": q.running, "task_key": "subflow", "dynamic_key": q.key})
		if err != nil {
			return err
		}
		create["parent_task_run_id"] = dummy
		q.names[dummy] = "<parent task run>"
	}
	path := "/deployments/" + q.deploymentID + "/create_flow_run"
	if !v.deployment {
		path = "/flow_runs/"
		create["flow_id"] = q.flowID
	}
	id, err := q.create(path, create)
	if err != nil {
		return err
	}
	q.names[id] = "<flow run>"
	if v.pid {
		if _, err := call[any](q.client, "PATCH", "/flow_runs/"+id, map[string]any{"infrastructure_pid": "host:1"}); err != nil {
			return err
		}
	}
	for _, s := range history[1:] {
		if err := q.reach("flow_runs", id, s); err != nil {
			return err
		}
	}
	if err := q.propose("flow_runs", id, to, v.force, v.headers); err != nil {
		return err
	}
	if err := q.read("run", "/flow_runs/"+id); err != nil {
		return err
	}
	if v.subflow {
		return q.read("parent", "/task_runs/"+dummy)
	}
	return nil
}

// startable is a history that a run can be created with: Prefect on SQLite
// locks itself out when a run is created with a result.
func startable(history []state) []state {
	if history[0].Data != nil {
		return slices.Concat([]state{{Type: "PENDING"}}, history)
	}
	return history
}

// flowHistories are longer stories, each step by the rules.
func flowHistories() []transition {
	retries := map[string]any{"retries": 1, "retry_delay": 0}
	stories := []struct {
		label      string
		deployment bool
		policy     map[string]any
		steps      []state
	}{
		{"runs, fails and is retried until it fails for good", true, retries,
			[]state{{Type: "PENDING"}, {Type: "RUNNING"}, {Type: "FAILED"}, {Type: "RUNNING"}, {Type: "FAILED"}}},
		{"completes and is run again", true, nil,
			[]state{{Type: "PENDING"}, {Type: "RUNNING"}, {Type: "COMPLETED", Data: unpersisted}, {Type: "SCHEDULED"}, {Type: "PENDING"}, {Type: "RUNNING"}, {Type: "COMPLETED", Data: unpersisted}}},
		{"pauses, resumes and completes", false, nil,
			[]state{{Type: "RUNNING"}, {Type: "PAUSED", Details: map[string]any{"pause_key": "a", "pause_timeout": time.Hour}}, {Type: "RUNNING"},
				{Type: "PAUSED", Details: map[string]any{"pause_key": "a", "pause_timeout": time.Hour}}, {Type: "PAUSED", Details: map[string]any{"pause_key": "b", "pause_timeout": time.Hour}}, {Type: "RUNNING"}, {Type: "COMPLETED"}}},
		{"is suspended, resumes and completes", true, nil,
			[]state{{Type: "PENDING"}, {Type: "RUNNING"}, {Type: "PAUSED", Name: "Suspended", Details: map[string]any{"pause_key": "a", "pause_timeout": time.Hour, "pause_reschedule": true}},
				{Type: "SCHEDULED", Name: "Resuming"}, {Type: "PENDING"}, {Type: "RUNNING"}, {Type: "COMPLETED"}}},
		{"is cancelled while it runs", true, nil,
			[]state{{Type: "PENDING"}, {Type: "RUNNING"}, {Type: "CANCELLING"}, {Type: "COMPLETED"}, {Type: "RUNNING"}, {Type: "CANCELLED"}, {Type: "RUNNING"}, {Type: "SCHEDULED"}}},
		{"crashes, is rescheduled and fails", true, retries,
			[]state{{Type: "RUNNING"}, {Type: "CRASHED"}, {Type: "SCHEDULED"}, {Type: "RUNNING"}, {Type: "FAILED"}, {Type: "RUNNING"}}},
		{"is claimed by two agents", true, nil,
			[]state{{Type: "PENDING", Details: map[string]any{"transition_id": "22222222-2222-2222-2222-222222222222"}}, {Type: "PENDING", Details: map[string]any{"transition_id": "33333333-3333-3333-3333-333333333333"}}, {Type: "RUNNING"}, {Type: "PENDING"}}},
	}
	var all []transition
	for _, s := range stories {
		all = append(all, transition{name: "flow run that " + s.label, ask: func(q *question) error {
			path, create := "/flow_runs/", map[string]any{"flow_id": q.flowID, "state": map[string]any{"type": "SCHEDULED"}}
			if s.deployment {
				path, create = "/deployments/"+q.deploymentID+"/create_flow_run", map[string]any{}
			}
			if s.policy != nil {
				create["empirical_policy"] = s.policy
			}
			id, err := q.create(path, create)
			if err != nil {
				return err
			}
			q.names[id] = "<flow run>"
			for i, step := range s.steps {
				q.answer = append(q.answer, fmt.Sprintf("— step %d: %s", i+1, step.Type))
				if err := q.propose("flow_runs", id, step, false, nil); err != nil {
					return err
				}
				if err := q.read(fmt.Sprintf("run after step %d", i+1), "/flow_runs/"+id); err != nil {
					return err
				}
			}
			states, err := call[[]any](q.client, "GET", "/flow_run_states/?flow_run_id="+id, nil)
			if err != nil {
				return err
			}
			q.note("states", states)
			return nil
		}})
	}
	return all
}

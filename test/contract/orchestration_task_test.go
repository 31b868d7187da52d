package contract

import (
	"fmt"
	"slices"
	"time"
)

// States that a task run may be in when it is asked to change.
var currentTaskStates = []state{
	{label: "pending", Type: "PENDING"},
	{label: "scheduled for the past", Type: "SCHEDULED", Details: map[string]any{"scheduled_time": -time.Minute}},
	{label: "scheduled for the future", Type: "SCHEDULED", Details: map[string]any{"scheduled_time": time.Hour}},
	{label: "awaiting retry", Type: "SCHEDULED", Name: "AwaitingRetry", Details: map[string]any{"scheduled_time": -time.Minute}},
	{label: "awaiting a later retry", Type: "SCHEDULED", Name: "AwaitingRetry", Details: map[string]any{"scheduled_time": time.Hour}},
	{label: "running", Type: "RUNNING"},
	{label: "not ready", Type: "PAUSED", Name: "NotReady"},
	{label: "cancelling", Type: "CANCELLING"},
	{label: "cancelled", Type: "CANCELLED"},
	{label: "completed", Type: "COMPLETED"},
	{label: "completed unpersisted", Type: "COMPLETED", Data: unpersisted},
	{label: "completed with a result", Type: "COMPLETED", Data: reference},
	{label: "failed", Type: "FAILED", Message: "no luck"},
	{label: "failed with a result", Type: "FAILED", Data: reference},
	{label: "crashed", Type: "CRASHED"},
}

// States that may be proposed for a task run.
var proposedTaskStates = []state{
	{label: "pending", Type: "PENDING"},
	{label: "scheduled", Type: "SCHEDULED"},
	{label: "awaiting retry", Type: "SCHEDULED", Name: "AwaitingRetry", Details: map[string]any{"scheduled_time": time.Hour}},
	{label: "running", Type: "RUNNING"},
	{label: "running with a cache key", Type: "RUNNING", Details: map[string]any{"cache_key": "key"}},
	{label: "running with a refreshed cache key", Type: "RUNNING", Details: map[string]any{"cache_key": "key", "refresh_cache": true}},
	{label: "paused", Type: "PAUSED", Details: map[string]any{"pause_timeout": time.Hour}},
	{label: "cancelling", Type: "CANCELLING"},
	{label: "cancelled", Type: "CANCELLED"},
	{label: "completed", Type: "COMPLETED", Data: unpersisted},
	{label: "completed with a result", Type: "COMPLETED", Data: reference},
	{label: "completed with a cache key", Type: "COMPLETED", Data: reference, Details: map[string]any{"cache_key": "key", "cache_expiration": time.Hour}},
	{label: "failed", Type: "FAILED", Message: "no luck", Data: unpersisted},
	{label: "failed for good", Type: "FAILED", Message: "no luck", Details: map[string]any{"retriable": false}},
	{label: "crashed", Type: "CRASHED"},
}

// taskVariant is what else may matter about a task run.
type taskVariant struct {
	label    string
	parent   []state // states of a flow run of its own; a running one otherwise
	alone    bool    // of no flow run
	force    bool
	policy   map[string]any
	before   []state // states that the run was in before the current one
	limits   []limit // on its tags
	cached   []state // completed states of another run with the same cache key
	current  []string
	proposed []string
}

// limit is a concurrency limit on a tag of the task run.
type limit struct {
	size, taken int
}

var taskVariants = []taskVariant{
	{label: "of a running flow run"},
	{label: "forced", force: true,
		current:  []string{"pending", "running", "completed", "completed with a result", "failed", "failed with a result", "crashed", "cancelled"},
		proposed: []string{"pending", "running", "running with a cache key", "completed", "completed with a result", "failed", "cancelled", "paused"}},
	{label: "with retries left", policy: map[string]any{"retries": 2, "retry_delay": 300},
		current:  []string{"pending", "running", "failed", "awaiting retry"},
		proposed: []string{"failed", "failed for good", "crashed", "completed", "running"}},
	{label: "with a list of delays", policy: map[string]any{"retries": 5, "retry_delay": []int{60, 600}},
		current: []string{"running"}, proposed: []string{"failed"}},
	{label: "with a list of delays, at its third attempt", policy: map[string]any{"retries": 5, "retry_delay": []int{60, 600}},
		before: []state{{Type: "RUNNING"}, {Type: "FAILED"}, {Type: "RUNNING"}, {Type: "SCHEDULED", Name: "AwaitingRetry"}}, current: []string{"running"}, proposed: []string{"failed"}},
	{label: "with a jittered delay", policy: map[string]any{"retries": 2, "retry_delay": 8, "retry_jitter_factor": 0.5},
		current: []string{"running"}, proposed: []string{"failed"}},
	{label: "with old-fashioned retries", policy: map[string]any{"max_retries": 2, "retry_delay_seconds": 300},
		current: []string{"running"}, proposed: []string{"failed"}},
	{label: "with its retries used up", policy: map[string]any{"retries": 1, "retry_delay": 300},
		before:  []state{{Type: "RUNNING"}, {Type: "SCHEDULED", Name: "AwaitingRetry"}},
		current: []string{"running"}, proposed: []string{"failed", "crashed"}},
	{label: "that ran before", before: []state{{Type: "RUNNING"}},
		current:  []string{"awaiting retry", "failed", "completed", "completed with a result", "crashed", "cancelled", "running", "pending"},
		proposed: []string{"running", "pending", "scheduled", "completed"}},
	{label: "of a flow run that was run again", parent: []state{{Type: "RUNNING"}, {Type: "FAILED"}, {Type: "RUNNING"}}, before: []state{{Type: "RUNNING"}},
		current:  []string{"failed", "completed", "completed with a result", "completed unpersisted", "crashed", "awaiting retry", "pending"},
		proposed: []string{"running", "pending", "running with a cache key"}},
	{label: "of a pending flow run", parent: []state{{Type: "PENDING"}}, current: []string{"pending", "awaiting retry"}, proposed: []string{"running", "completed", "pending"}},
	{label: "of a scheduled flow run", parent: []state{{Type: "SCHEDULED"}}, current: []string{"pending"}, proposed: []string{"running", "scheduled"}},
	{label: "of a paused flow run", parent: []state{{Type: "RUNNING"}, {Type: "PAUSED", Details: map[string]any{"pause_timeout": time.Hour, "pause_key": "k"}}},
		current: []string{"pending", "not ready", "failed", "awaiting a later retry"}, proposed: []string{"running", "completed", "running with a cache key"}},
	{label: "of a flow run paused without a timeout", parent: []state{{Type: "RUNNING"}, {Type: "PAUSED"}}, current: []string{"pending"}, proposed: []string{"running"}},
	{label: "of a suspended flow run", parent: []state{{Type: "RUNNING"}, {Type: "PAUSED", Name: "Suspended", Details: map[string]any{"pause_timeout": time.Hour, "pause_reschedule": true}}},
		current: []string{"pending", "not ready"}, proposed: []string{"running"}},
	{label: "of a cancelling flow run", parent: []state{{Type: "RUNNING"}, {Type: "CANCELLING"}}, current: []string{"pending", "running"}, proposed: []string{"running", "completed", "cancelled"}},
	{label: "of a completed flow run", parent: []state{{Type: "RUNNING"}, {Type: "COMPLETED"}}, current: []string{"pending"}, proposed: []string{"running", "completed"}},
	{label: "of a failed flow run, forced", force: true, parent: []state{{Type: "RUNNING"}, {Type: "FAILED"}}, current: []string{"pending"}, proposed: []string{"running"}},
	{label: "with a free slot", limits: []limit{{size: 2, taken: 1}}, current: []string{"pending", "running", "awaiting retry"}, proposed: []string{"running", "completed", "failed"}},
	{label: "without a free slot", limits: []limit{{size: 1, taken: 1}}, current: []string{"pending", "awaiting retry", "running"}, proposed: []string{"running", "completed"}},
	{label: "with a limit of no slots", limits: []limit{{size: 0}}, current: []string{"pending"}, proposed: []string{"running", "completed"}},
	{label: "with a slot on one tag and none on the next", limits: []limit{{size: 2}, {size: 1, taken: 1}}, current: []string{"pending"}, proposed: []string{"running"}},
	{label: "with a slot on one tag and a limit of no slots on the next", limits: []limit{{size: 2}, {size: 0}}, current: []string{"pending"}, proposed: []string{"running"}},
	{label: "with slots on two tags", limits: []limit{{size: 2}, {size: 3, taken: 2}}, current: []string{"pending"}, proposed: []string{"running"}},
	{label: "that holds a slot", limits: []limit{{size: 1}}, before: []state{{label: "by the rules", Type: "RUNNING"}},
		current: []string{"running"}, proposed: []string{"running", "completed", "failed", "crashed", "cancelling", "cancelled", "pending", "paused", "awaiting retry"}},
	{label: "that holds a slot, forced", limits: []limit{{size: 1}}, force: true, before: []state{{label: "by the rules", Type: "RUNNING"}},
		current: []string{"running"}, proposed: []string{"completed", "failed", "running", "cancelling"}},
	{label: "without a free slot and not due yet", limits: []limit{{size: 1}}, current: []string{"awaiting a later retry", "scheduled for the future"}, proposed: []string{"running"}},
	{label: "with a free slot in a paused flow run", limits: []limit{{size: 1}}, parent: []state{{Type: "RUNNING"}, {Type: "PAUSED"}}, current: []string{"pending"}, proposed: []string{"running"}},
	{label: "with its result in the cache", cached: []state{{Type: "COMPLETED", Data: reference, Message: "well done", Details: map[string]any{"cache_key": "key", "cache_expiration": time.Hour}}},
		current: []string{"pending", "awaiting retry", "failed", "completed", "completed with a result", "scheduled for the future", "running"}, proposed: []string{"running", "running with a cache key", "running with a refreshed cache key"}},
	{label: "with its result in the cache for ever", cached: []state{{Type: "COMPLETED", Data: reference, Details: map[string]any{"cache_key": "key"}}},
		current: []string{"pending"}, proposed: []string{"running with a cache key"}},
	{label: "with an outdated result in the cache", cached: []state{{Type: "COMPLETED", Data: reference, Details: map[string]any{"cache_key": "key", "cache_expiration": -time.Minute}}},
		current: []string{"pending"}, proposed: []string{"running with a cache key"}},
	{label: "with two results in the cache", cached: []state{
		{Type: "COMPLETED", Data: reference, Message: "older", Details: map[string]any{"cache_key": "key", "cache_expiration": 2 * time.Hour}},
		{Type: "COMPLETED", Data: reference, Message: "newer", Details: map[string]any{"cache_key": "key", "cache_expiration": time.Hour}}},
		current: []string{"pending"}, proposed: []string{"running with a cache key"}},
	{label: "with its result in the cache, in a paused flow run", parent: []state{{Type: "RUNNING"}, {Type: "PAUSED"}},
		cached:  []state{{Type: "COMPLETED", Data: reference, Details: map[string]any{"cache_key": "key"}}},
		current: []string{"pending"}, proposed: []string{"running with a cache key"}},
	{label: "with its result in the cache and no free slot", limits: []limit{{size: 1, taken: 1}},
		cached:  []state{{Type: "COMPLETED", Data: reference, Details: map[string]any{"cache_key": "key"}}},
		current: []string{"pending"}, proposed: []string{"running with a cache key"}},
	{label: "of no flow run", alone: true, policy: map[string]any{"retries": 1, "retry_delay": 300},
		current:  []string{"scheduled for the past", "scheduled for the future", "pending", "running", "failed", "completed", "completed with a result", "awaiting retry"},
		proposed: []string{"pending", "running", "scheduled", "completed", "failed", "cancelled"}},
}

// taskTransitions are the questions about task runs.
func taskTransitions() []transition {
	var all []transition
	for _, v := range taskVariants {
		for _, from := range chosen(currentTaskStates, v.current) {
			for _, to := range chosen(proposedTaskStates, v.proposed) {
				all = append(all, transition{
					name: fmt.Sprintf("task run %s, %s → %s", v.label, from.label, to.label),
					ask:  func(q *question) error { return askTaskRun(q, v, from, to) },
				})
			}
		}
	}
	return all
}

func askTaskRun(q *question, v taskVariant, from, to state) error {
	flowRun := q.running
	if v.parent != nil {
		var err error
		flowRun, err = q.create("/flow_runs/", map[string]any{"flow_id": q.flowID, "state": state{Type: "RUNNING"}.body(q)})
		if err != nil {
			return err
		}
		q.names[flowRun] = "<flow run>"
	}
	newRun := func(dynamicKey string, tags []string, policy map[string]any, s state) (string, error) {
		create := map[string]any{"task_key": "task", "dynamic_key": q.key + dynamicKey, "tags": tags, "state": s.body(q)}
		if !v.alone {
			create["flow_run_id"] = flowRun
		}
		if policy != nil {
			create["empirical_policy"] = policy
		}
		return q.create("/task_runs/", create)
	}

	tags := []string{}
	for i, l := range v.limits {
		tag := fmt.Sprintf("%s-tag-%d", q.key, i)
		tags = append(tags, tag)
		if _, err := q.create("/concurrency_limits/", map[string]any{"tag": tag, "concurrency_limit": l.size}); err != nil {
			return err
		}
		for n := range l.taken {
			other, err := newRun(fmt.Sprintf("-%d-%d", i, n), []string{tag}, nil, state{Type: "PENDING"})
			if err != nil {
				return err
			}
			q.names[other] = fmt.Sprintf("<holder %d of tag %d>", n, i)
			if _, err := call[any](q.client, "POST", "/task_runs/"+other+"/set_state", map[string]any{"state": state{Type: "RUNNING"}.body(q)}); err != nil {
				return err
			}
		}
	}
	for i, s := range v.cached {
		other, err := newRun(fmt.Sprintf("-cached-%d", i), []string{}, nil, state{Type: "RUNNING"})
		if err != nil {
			return err
		}
		// By the rules: it is a rule that fills the cache.
		if _, err := call[any](q.client, "POST", "/task_runs/"+other+"/set_state", map[string]any{"state": s.body(q)}); err != nil {
			return err
		}
	}

	states := startable(slices.Concat(v.before, []state{from}))
	first := states[0]
	if first.label == "by the rules" {
		first = state{Type: "PENDING"}
	} else {
		states = states[1:]
	}
	id, err := newRun("", tags, v.policy, first)
	if err != nil {
		return err
	}
	q.names[id] = "<task run>"
	for i, s := range states {
		if s.label == "by the rules" {
			_, err = call[any](q.client, "POST", "/task_runs/"+id+"/set_state", map[string]any{"state": s.body(q)})
		} else {
			err = q.reach("task_runs", id, s)
		}
		if err != nil {
			return fmt.Errorf("state %d: %w", i, err)
		}
	}
	for _, s := range v.parent {
		if err := q.reach("flow_runs", flowRun, s); err != nil {
			return err
		}
	}

	if err := q.propose("task_runs", id, to, v.force, nil); err != nil {
		return err
	}
	if err := q.read("run", "/task_runs/"+id); err != nil {
		return err
	}
	for i, tag := range tags {
		if err := q.read(fmt.Sprintf("tag %d", i), "/concurrency_limits/tag/"+tag); err != nil {
			return err
		}
	}
	return nil
}

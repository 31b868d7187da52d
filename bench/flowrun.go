package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"time"
)

// What a 2.20 client sends, as recorded from one: every key, nulls and all.
const (
	stateDetails = `{"flow_run_id":%s,"task_run_id":%s,"child_flow_run_id":null,"scheduled_time":null,"cache_key":null,"cache_expiration":null,"untrackable_result":%s,"pause_timeout":null,"pause_reschedule":false,"pause_key":null,"run_input_keyset":null,"refresh_cache":%s,"retriable":null,"transition_id":%s,"task_parameters_id":null}`
	pendingState = `{"type":"PENDING","name":"Pending","message":null,"state_details":{"flow_run_id":null,"task_run_id":null,"child_flow_run_id":null,"scheduled_time":null,"cache_key":null,"cache_expiration":null,"untrackable_result":false,"pause_timeout":null,"pause_reschedule":false,"pause_key":null,"run_input_keyset":null,"refresh_cache":null,"retriable":null,"transition_id":null,"task_parameters_id":null},"data":null}`
	newFlowRun   = `{"state":` + pendingState + `,"name":null,"flow_id":"%s","deployment_id":null,"flow_version":"d1b92f6c5c26192efff217273872d096","parameters":{},"context":{},"parent_task_run_id":null,"infrastructure_document_id":null,"empirical_policy":{"max_retries":0,"retry_delay_seconds":0,"retries":0,"retry_delay":0,"pause_keys":[],"resuming":false,"retry_type":null},"tags":[],"idempotency_key":null}`
	newTaskRun   = `{"state":` + pendingState + `,"name":"work-%d","flow_run_id":"%s","task_key":"work-fad9f036","dynamic_key":"%d","cache_key":null,"cache_expiration":null,"task_version":null,"empirical_policy":{"max_retries":0,"retry_delay_seconds":0,"retries":0,"retry_delay":0,"retry_jitter_factor":null},"tags":[],"task_inputs":{"i":[]}}`
	setRunning   = `{"state":{"type":"RUNNING","name":"Running","message":null,"state_details":` + stateDetails + `,"data":null},"force":false}`
	setCompleted = `{"state":{"type":"COMPLETED","name":"Completed","message":%s,"state_details":` + stateDetails + `,"data":{"type":"unpersisted","artifact_type":"result","artifact_description":"Unpersisted result of type ` + "`int`" + `"}},"force":false}`
	oneLog       = `{"name":"prefect.flow_runs","level":20,"message":"%s","timestamp":"%s","flow_run_id":"%s","task_run_id":null}`
)

type withID struct {
	ID string `json:"id"`
}

// flowRun is one flow run as a client makes it: for three tasks 21 requests,
// 12 of them changes of state.
func (l *load) flowRun(ctx context.Context, tasks int) (string, error) {
	var flow, run withID
	err := firstError(
		func() error { return l.call(ctx, "GET", "/health", nil, nil) },
		func() error { return l.call(ctx, "GET", "/csrf-token?client="+newUUID(), nil, nil) },
		func() error { return l.call(ctx, "POST", "/flows/", []byte(`{"name":"bench","tags":[]}`), &flow) },
		func() error { return l.call(ctx, "POST", "/flow_runs/", fmt.Appendf(nil, newFlowRun, flow.ID), &run) },
		func() error {
			return l.call(ctx, "POST", "/flow_runs/"+run.ID+"/set_state", fmt.Appendf(nil, setRunning, quoted(run.ID), "null", "false", "null", quoted(newUUID())), nil)
		},
		func() error { return l.call(ctx, "GET", "/flow_runs/"+run.ID, nil, nil) },
	)
	for i := 0; i < tasks && err == nil; i++ {
		var task withID
		err = firstError(
			func() error {
				return l.call(ctx, "POST", "/task_runs/", fmt.Appendf(nil, newTaskRun, i, run.ID, i), &task)
			},
			func() error {
				return l.call(ctx, "POST", "/task_runs/"+task.ID+"/set_state", fmt.Appendf(nil, setRunning, "null", quoted(task.ID), "false", "false", "null"), nil)
			},
			func() error { return l.call(ctx, "GET", "/task_runs/"+task.ID, nil, nil) },
			func() error {
				return l.call(ctx, "POST", "/task_runs/"+task.ID+"/set_state", fmt.Appendf(nil, setCompleted, "null", "null", quoted(task.ID), "true", "null", "null"), nil)
			},
		)
		if i == 0 && err == nil {
			err = l.call(ctx, "POST", "/logs/", logLines(4, run.ID, "Submitted task run 'work' for execution."), nil)
		}
	}
	if err != nil {
		return run.ID, err
	}
	return run.ID, firstError(
		func() error {
			return l.call(ctx, "POST", "/flow_runs/"+run.ID+"/set_state", fmt.Appendf(nil, setCompleted, `"All states completed."`, quoted(run.ID), "null", "true", "null", quoted(newUUID())), nil)
		},
		func() error {
			return l.call(ctx, "POST", "/logs/", logLines(3, run.ID, "Finished in state Completed('All states completed.')"), nil)
		},
	)
}

func logLines(n int, run, message string) []byte {
	var b strings.Builder
	b.WriteByte('[')
	at := time.Now().UTC()
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, oneLog, message, at.Add(time.Duration(i)*time.Microsecond).Format("2006-01-02T15:04:05.000000+00:00"), run)
	}
	b.WriteByte(']')
	return []byte(b.String())
}

func firstError(steps ...func() error) error {
	for _, f := range steps {
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}

func quoted(s string) string { return `"` + s + `"` }

func newUUID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

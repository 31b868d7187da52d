package orchestration

import (
	"fmt"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/internal/prefect"
	"github.com/orionflows/orion/internal/store"
)

// Resume lets a paused run go on: at once when its process waits, scheduled
// again when it was suspended. A pause that asked for input takes it, in the
// form of the schema that the run has left.
func Resume(tx *store.Tx, id orion.ID, input orion.JSON, c prefect.Client) (*orion.OrchestrationResult, error) {
	run, err := tx.LockFlowRun(id)
	if err != nil {
		return nil, err
	}
	if run == nil {
		return nil, orion.Missing("Flow run with id %s not found", id)
	}
	if run.Type() != orion.Paused {
		return &orion.OrchestrationResult{Status: orion.Abort, Details: orion.DecisionDetails{Type: "abort_details", Reason: "Cannot resume a flow run that is not paused."}}, nil
	}
	paused := run.State
	var keys struct {
		Response string `json:"response"`
		Schema   string `json:"schema"`
	}
	asked := !orion.IsNull(paused.Details.RunInputKeyset)
	if asked {
		// Refused with the details of an abort, as Prefect 2.20 does.
		refuse := func(format string, args ...any) (*orion.OrchestrationResult, error) {
			return &orion.OrchestrationResult{State: paused, Status: orion.Reject, Details: orion.DecisionDetails{Type: "abort_details", Reason: fmt.Sprintf(format, args...)}}, nil
		}
		if err := orion.Decode(paused.Details.RunInputKeyset, &keys); err != nil {
			return refuse("The pause does not say where its input goes.")
		}
		if input, err = Hydrate(tx, orion.ObjectOr(input)); err != nil {
			return refuse("Error hydrating run input: %v", err)
		}
		schema, err := tx.FlowRunInput(id, keys.Schema)
		if err != nil {
			return nil, err
		}
		if schema == nil {
			return refuse("Run input schema not found.")
		}
		if !orion.JSON(schema.Value).IsValid() {
			return refuse("Run input schema is not valid JSON.")
		}
		if err := CheckParameters(orion.JSON(schema.Value), input, false); err != nil {
			return refuse("Reason: %v", err)
		}
	}
	next := orion.StateCreate{Type: orion.Running}
	if paused.Details.PauseReschedule {
		next = orion.StateCreate{Type: orion.Scheduled, Name: ptr("Resuming")}
	}
	r, err := setFlowRunState(tx, run, Proposal{State: next.State(tx.Now()), Client: c})
	if err != nil || !asked || r.Status != orion.Accept || string(input) == "{}" {
		return r, err
	}
	return r, tx.CreateFlowRunInput(id, &orion.FlowRunInputCreate{Key: keys.Response, Value: string(input)})
}

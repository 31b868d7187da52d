package orchestration

import "github.com/orionflows/orion"

// The policies: which rules look at a proposed state, top to bottom. The names
// are Prefect's, so that they can be looked up.

// FlowRules decide a flow run's proposed state.
var FlowRules = []Rule{
	{"PreventDuplicateTransitions", anyState, anyState, preventDuplicate},
	{"GrantClaims", anyState, typePending, grantClaim},    // Orion's own: looks at claims only
	{"KeepPinnedCode", anyState, typePending, keepPinned}, // Orion's own: looks at runs made for a certain version only
	{"HandleFlowTerminalStateTransitions", terminals, anyState, leaveFlowTerminal},
	{"EnforceCancellingToCancelledTransition", typeCancelled | typeCancelling, anyState &^ typeCancelled, enforceCancelled},
	{"BypassCancellingFlowRunsWithNoInfra", typeScheduled | typePaused, typeCancelling, bypassCancelling},
	{"PreventPendingTransitions", typePending | typeCancelling | typeRunning | typeCancelled, typePending, preventPending},
	{"EnsureOnlyScheduledFlowsMarkedLate", anyState, typeScheduled, onlyScheduledLate},
	{"HandlePausingFlows", anyState, typePaused, pauseFlow},
	{"HandleResumingPausedFlows", typePaused, anyState, resumeFlow},
	{"CopyScheduledTime", typeScheduled, typePending, copyScheduledTime},
	{"WaitForScheduledTime", typeScheduled | typePending, typeRunning, waitForScheduledTime},
	{"RetryFailedFlows", typeRunning, typeFailed, retryFailedFlow},
}

// ForcedFlowRules decide when the proposal is forced.
var ForcedFlowRules = []Rule{
	{"AddUnknownResult", typeFailed | typeCrashed, typeCompleted, addUnknownResult},
	{"BypassCancellingFlowRunsWithNoInfra", typeScheduled | typePaused, typeCancelling, bypassCancelling},
}

// LateFlowRules decide when a run is marked late.
var LateFlowRules = []Rule{
	{"EnsureOnlyScheduledFlowsMarkedLate", anyState, typeScheduled, onlyScheduledLate},
}

// TaskRules decide the proposed state of a task run within a flow run.
// CacheInsertion and ReleaseTaskConcurrencySlots, which only follow from the
// state that was written, are in setTaskRunState.
var TaskRules = []Rule{
	{"CacheRetrieval", anyState, typeRunning, retrieveCached},
	{"HandleTaskTerminalStateTransitions", terminals, anyState, leaveTaskTerminal},
	{"PreventRunningTasksFromStoppedFlows", anyState, typeRunning, requireRunningFlow},
	{"SecureTaskConcurrencySlots", anyState, typeRunning, secureTagSlots},
	{"CopyScheduledTime", typeScheduled, typePending, copyScheduledTime},
	{"WaitForScheduledTime", typeScheduled | typePending, typeRunning, waitForScheduledTime},
	{"RetryFailedTasks", typeRunning, typeFailed, retryFailedTask},
	{"RenameReruns", anyState, typeRunning, renameRerun},
	{"UpdateFlowRunTrackerOnTasks", anyState, typeRunning, trackFlowRunCount},
}

// AutonomousTaskRules decide for task runs without a flow run, forced or not.
var AutonomousTaskRules = []Rule{
	{"PreventPendingTransitions", typePending | typeCancelling | typeRunning | typeCancelled, typePending, preventPending},
	{"CacheRetrieval", anyState, typeRunning, retrieveCached},
	{"HandleTaskTerminalStateTransitions", terminals, anyState, leaveTaskTerminal},
	{"SecureTaskConcurrencySlots", anyState, typeRunning, secureTagSlots},
	{"CopyScheduledTime", typeScheduled, typePending, copyScheduledTime},
	{"WaitForScheduledTime", typeScheduled | typePending, typeRunning, waitForScheduledTime},
	{"RetryFailedTasks", typeRunning, typeFailed, retryFailedTask},
	{"RenameReruns", anyState, typeRunning, renameRerun},
}

// ForcedTaskRules decide when the proposal is forced.
var ForcedTaskRules = []Rule{
	{"AddUnknownResult", typeFailed | typeCrashed, typeCompleted, addUnknownResult},
}

func flowPolicy(p Proposal) []Rule {
	switch {
	case p.late:
		return LateFlowRules
	case p.Force:
		return ForcedFlowRules
	}
	return FlowRules
}

func taskPolicy(run *orion.TaskRun, p Proposal) []Rule {
	switch {
	case run.FlowRunID.IsZero():
		return AutonomousTaskRules
	case p.Force:
		return ForcedTaskRules
	}
	return TaskRules
}

// cachesResults: forced completions are not cached.
func cachesResults(run *orion.TaskRun, p Proposal) bool {
	return run.FlowRunID.IsZero() || !p.Force
}

package orion

// Waiting is why a run does not run, in one sentence.
type Waiting struct {
	// Code names the cause, for programs: one of the constants below.
	Code string `json:"code"`
	// Text is the sentence. Where "{at}" stands in it ("since {at}"), At is to be
	// put in, in the reader's own time.
	Text string `json:"text"`
	At   Time   `json:"at"`
	// Command does something about it; "" when nothing is to be done.
	Command string `json:"command"`
	// HeldBy are runs that hold what this one waits for, the oldest first and
	// not more than ten.
	HeldBy []RunningRun `json:"held_by"`
}

// RunningRun is a run by which another one is kept waiting.
type RunningRun struct {
	ID    ID     `json:"id"`
	Name  string `json:"name"`
	State string `json:"state"`
	Since Time   `json:"since"`
}

// Why a run does not run.
const (
	WaitsNot        = "not_waiting"    // it runs, or is over
	WaitsForTime    = "scheduled"      // its time has not come
	WaitsForRetry   = "retry"          // it is tried again later
	WaitsForProcess = "starting"       // an agent has it
	WaitsForPerson  = "paused"         // somebody is to resume it
	WaitsForCreator = "no_deployment"  // whoever made it starts it
	WaitsForServer  = "no_queue"       // only the process that serves its deployment takes it
	WaitsForPool    = "pool_paused"    // until somebody resumes the pool
	WaitsForQueue   = "queue_paused"   // until somebody resumes the queue
	WaitsForever    = "queue_deleted"  // until a queue of that name is made
	WaitsForAgent   = "no_agent"       // nobody polls its queue
	WaitsForSlot    = "limit"          // a queue's or pool's limit is reached
	WaitsForOrion   = "pinned_code"    // only Orion's agents can run it
	WaitsForPoll    = "about_to_start" // an agent polls the queue
)

package api_test

import (
	"strings"
	"testing"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/client"
)

func TestWhyARunWaits(t *testing.T) {
	onBoth(t, func(t *testing.T, a *app) {
		ctx := t.Context()
		c := a.client()
		flow := a.flow("load")
		deployment := func(name, more string) orion.ID {
			t.Helper()
			return mustID(field(t, a.want(201, "POST", "/deployments/", `{"name":"`+name+`","flow_id":"`+flow+`"`+more+`}`), "id"))
		}
		queued := deployment("daily", `,"work_queue_name":"my queue"`)
		run := func(d orion.ID, s *orion.StateCreate) *orion.FlowRun {
			t.Helper()
			r, err := c.RunDeployment(ctx, d, orion.DeploymentFlowRunCreate{State: s})
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		why := func(what string, id orion.ID, code, text, command string) *orion.Waiting {
			t.Helper()
			w, err := c.Why(ctx, id)
			if err != nil {
				t.Fatal(err)
			}
			if w.Code != code || !strings.Contains(w.Text, text) || w.Command != command {
				t.Errorf("%s: %s, %q, %q", what, w.Code, w.Text, w.Command)
			}
			if strings.Contains(w.Text, "{at}") && w.At.IsZero() {
				t.Errorf("%s: %q has no time to put in", what, w.Text)
			}
			return w
		}
		later := orion.Now().Add(3600e9)
		why("scheduled", run(queued, &orion.StateCreate{Type: orion.Scheduled, Details: orion.StateDetails{ScheduledTime: later}}).ID, orion.WaitsForTime, "to start at {at}", "")
		r := run(queued, nil)
		why("nobody polls", r.ID, orion.WaitsForAgent, "none ever has", "orion agent start -q 'my queue'")
		q, err := c.WorkQueueByName(ctx, "my queue")
		if err != nil {
			t.Fatal(err)
		}
		a.want(200, "POST", "/work_queues/"+q.ID.String()+"/get_runs", `{}`)
		why("polled", r.ID, orion.WaitsForPoll, "my queue", "")
		a.want(204, "PATCH", "/work_queues/"+q.ID.String(), `{"concurrency_limit":1}`)
		holder := run(queued, nil)
		if _, err := c.SetFlowRunState(ctx, holder.ID, orion.StateCreate{Type: orion.Pending}, false, &client.Claim{Owner: "agent-7", For: 60e9}); err != nil {
			t.Fatal(err)
		}
		w := why("the limit is reached", r.ID, orion.WaitsForSlot, "at most 1 at once, and "+holder.Name+" is under way", "")
		if len(w.HeldBy) != 1 || w.HeldBy[0].ID != holder.ID {
			t.Errorf("held by %+v", w.HeldBy)
		}
		why("taken", holder.ID, orion.WaitsForProcess, "The agent agent-7 took it at {at}", "")
		a.want(204, "PATCH", "/work_queues/"+q.ID.String(), `{"is_paused":true}`)
		why("the queue is paused", r.ID, orion.WaitsForQueue, "The queue my queue is paused", "orion work-queue resume 'my queue'")
		if _, err := c.SetFlowRunState(ctx, holder.ID, orion.StateCreate{Type: orion.Completed}, true, nil); err != nil {
			t.Fatal(err)
		}
		why("over", holder.ID, orion.WaitsNot, "Completed", "")
		why("served", run(deployment("served", ""), nil).ID, orion.WaitsForServer, "no work queue", "")
		a.want(404, "GET", "/orion/flow_runs/"+nobody+"/why", "")
	})
}

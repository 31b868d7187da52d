"""`flow.serve()`, `run_deployment`, and a run that suspends itself until somebody resumes it."""

from pathlib import Path

from harness import Child, api, finished, flow_run, logged, task_runs, unique, wait_for
import sys

FLOW = unique("served")
Path("served.py").write_text(
    f'''
from prefect import flow, get_run_logger, suspend_flow_run, task

@task(persist_result=True)
def before():
    get_run_logger().info("before the break")
    return 1

@flow(name="{FLOW}", persist_result=True)
def served(n: int = 1, sleep: bool = False):
    before()
    if sleep:
        suspend_flow_run(timeout=600, key="once")
        get_run_logger().info("after the break")
    return n

if __name__ == "__main__":
    served.serve(name="here", cron="0 4 * * *", tags=["served"], parameters={{"n": 2}})
'''
)

with Child(sys.executable, "served.py") as server:
    path = f"/deployments/name/{FLOW}/here"

    def served():
        found = api("POST", "/deployments/filter", {"flows": {"name": {"any_": [FLOW]}}})
        return found[0] if found else None

    deployment = wait_for("the deployment", served)
    assert deployment["schedule"]["cron"] == "0 4 * * *" and deployment["tags"] == ["served"] and not deployment["paused"], deployment
    assert deployment["work_queue_name"] is None, deployment

    from prefect import flow
    from prefect.deployments import run_deployment

    @flow(name=unique("caller"))
    def caller():
        return run_deployment(f"{FLOW}/here", parameters={"n": 9}, timeout=150, poll_interval=0.5)

    state = caller(return_state=True)
    called = state.result()
    assert called.state.is_completed() and called.parameters == {"n": 9}, called
    # It is a subflow of the caller, of which the caller's graph tells.
    parent = flow_run(state.state_details.flow_run_id)
    tasks = task_runs(parent["id"])
    assert [t["id"] for t in tasks] == [str(called.parent_task_run_id)] and tasks[0]["state_type"] == "COMPLETED", tasks
    assert tasks[0]["state"]["state_details"]["child_flow_run_id"] == str(called.id), tasks

    run_id = api("POST", f"/deployments/{deployment['id']}/create_flow_run", {"parameters": {"sleep": True}})["id"]
    run = wait_for("the run to suspend", lambda: flow_run(run_id) if flow_run(run_id)["state_name"] == "Suspended" else None)
    assert run["state_type"] == "PAUSED" and run["state"]["state_details"]["pause_reschedule"], run["state"]
    answer = api("POST", f"/flow_runs/{run_id}/resume", {"run_input": None})
    assert answer["status"] == "ACCEPT" and answer["state"]["name"] == "Resuming", answer
    run = finished(run_id, by=server)
    assert run["state_type"] == "COMPLETED", run["state"]
    logged(run_id, "after the break")
    names = [s["name"] for s in api("GET", f"/flow_run_states/?flow_run_id={run_id}")]
    names = [n for n in names if n != "Late"]
    assert names == ["Scheduled", "Pending", "Running", "Suspended", "Resuming", "Pending", "Running", "Completed"], names
    before = [t for t in task_runs(run_id) if t["name"].startswith("before")]
    assert len(before) == 1 and before[0]["run_count"] == 1, "what ran before the break is not run again"

    server.stop()

after = api("GET", path)
assert after["paused"] and not after["is_schedule_active"], "a server that stops pauses its schedules"
print("ok")

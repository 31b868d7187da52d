"""`prefect agent start`: runs that complete, fail, crash, and are cancelled; cron of a queue's life."""

import json
from pathlib import Path

from harness import IS_28, Child, api, cli, finished, flow_run, logged, logs, prefect_command, says, task_runs, unique, wait_for

QUEUE = unique("agents")
says(cli("work-queue", "create", QUEUE), "Created work queue")
says(cli("work-queue", "ls"), QUEUE)
says(cli("work-queue", "inspect", QUEUE), QUEUE)

Path("flows.py").write_text(
    f'''
import os, time
from prefect import flow, task, get_run_logger

@task(retries=1)
def once_more(path):
    if not os.path.exists(path):
        open(path, "w").close()
        raise ValueError("first time")
    return 1

@flow(name="{unique('works')}", log_prints=True)
def works(n: int = 1):
    print("printed", n, os.environ.get("GREETING"))
    return once_more(f"{{os.environ['MARK']}}") + n

@flow(name="{unique('fails')}")
def fails():
    raise RuntimeError("on purpose")

@flow(name="{unique('dies')}")
def dies():
    os._exit(7)

@flow(name="{unique('sleeps')}")
def sleeps():
    get_run_logger().info("asleep")
    time.sleep(300)
'''
)

import flows  # noqa: E402
from prefect.deployments import Deployment  # noqa: E402
from prefect.infrastructure import Process  # noqa: E402

here = str(Path.cwd())
ids = {}
for f in (flows.works, flows.fails, flows.dies, flows.sleeps):
    d = Deployment.build_from_flow(
        flow=f, name="d", work_queue_name=QUEUE, skip_upload=True, path=here, infrastructure=Process(env={"GREETING": "hi", "MARK": here + "/mark"}, working_dir=here)
    )
    ids[f.fn.__name__] = str(d.apply())


def start(name, **parameters):
    return api("POST", f"/deployments/{ids[name]}/create_flow_run", {"parameters": parameters, "state": {"type": "SCHEDULED"}})["id"]


works, fails, dies, sleeps = start("works", n=41), start("fails"), start("dies"), start("sleeps")

# A paused queue hands out nothing.
cli("work-queue", "pause", QUEUE)
assert api("GET", f"/work_queues/name/{QUEUE}")["is_paused"]
queue = api("GET", f"/work_queues/name/{QUEUE}")["id"]
assert api("POST", f"/work_queues/{queue}/get_runs", {"limit": 10}) == []
cli("work-queue", "resume", QUEUE)
cli("work-queue", "set-concurrency-limit", QUEUE, "2")
assert len(api("POST", f"/work_queues/{queue}/get_runs", {"limit": 10})) == 2, "two slots"
cli("work-queue", "clear-concurrency-limit", QUEUE)
assert api("GET", f"/work_queues/name/{QUEUE}")["concurrency_limit"] is None

with Child(prefect_command(), "agent", "start", "-q", QUEUE) as agent:
    run = finished(works, by=agent)
    assert run["state_type"] == "COMPLETED" and run["run_count"] == 1, run
    assert run["infrastructure_pid"] and run["work_queue_name"] == QUEUE and run["parameters"] == {"n": 41}, run
    names = [s["name"] for s in api("GET", f"/flow_run_states/?flow_run_id={works}")]
    assert [n for n in names if n != "Late"] == ["Scheduled", "Pending", "Running", "Completed"], names
    task = task_runs(works)[0]
    assert task["state_type"] == "COMPLETED" and task["run_count"] == 2, task
    logged(works, "printed 41 hi")
    logged(works, "Finished in state Completed")
    says(cli("flow-run", "logs", works), "printed 41 hi")

    run = finished(fails, by=agent)
    assert run["state_type"] == "FAILED" and "on purpose" in run["state"]["message"], run
    logged(fails, "RuntimeError: on purpose")

    run = finished(dies, by=agent)
    assert run["state_type"] == "CRASHED" and "7" in run["state"]["message"], run["state"]

    # A run that is cancelled is killed by the agent.
    wait_for("the sleeper to run", lambda: flow_run(sleeps)["state_name"] == "Running", 120)
    logged(sleeps, "asleep")
    says(cli("flow-run", "cancel", sleeps), "scheduled for cancellation")
    run = finished(sleeps, by=agent)
    assert run["state_type"] == "CANCELLED" and run["end_time"], run
    says(cli("flow-run", "cancel", sleeps, code=1), "terminal state CANCELLED")

    polled = api("GET", f"/work_queues/name/{QUEUE}")
    assert polled["last_polled"] and polled["status"] == "READY", polled
    assert api("GET", f"/work_queues/{queue}/status")["healthy"]
    agent.stop()

# A scheduled run that nobody has claimed is cancelled at once.
waiting = start("works")
cli("flow-run", "cancel", waiting)
run = flow_run(waiting)
assert run["state_type"] == "CANCELLED" and run["end_time"] is None, run
says(cli("flow-run", "delete", waiting), "Successfully deleted")
api("GET", f"/flow_runs/{waiting}", expect=404)
says(cli("work-queue", "delete", QUEUE), "Successfully deleted")
print("ok")

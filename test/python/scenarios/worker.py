"""Work pools: `prefect deploy` of a prefect.yaml, `flow.deploy()`, and a worker that runs it all."""

import json
from pathlib import Path

from harness import Child, api, cli, finished, flow_run, logged, prefect_command, says, unique, wait_for

POOL, FLOW = unique("pool"), unique("pooled")

says(cli("work-pool", "create", POOL, "--type", "process"), POOL)
pool = api("GET", f"/work_pools/{POOL}")
assert pool["type"] == "process" and pool["status"] == "NOT_READY" and not pool["is_paused"], pool
assert pool["base_job_template"]["variables"]["properties"]["working_dir"], pool
says(cli("work-pool", "ls"), POOL)
says(cli("work-pool", "inspect", POOL), POOL)
says(cli("work-pool", "create", POOL, "--type", "process", code=1), "already exists")
says(cli("work-queue", "create", "high", "--pool", POOL, "--priority", "1"), "high")
queues = {q["name"]: q["priority"] for q in api("POST", f"/work_pools/{POOL}/queues/filter", {})}
assert queues == {"high": 1, "default": 2}, queues

Path("flows.py").write_text(
    f'''
import os
from prefect import flow

@flow(name="{FLOW}", log_prints=True)
def pooled(n: int = 1):
    print("level", os.environ.get("LEVEL"), "n", n)
    return n
'''
)
Path("prefect.yaml").write_text(
    json.dumps(  # JSON is YAML
        {
            "name": "project",
            "pull": [{"prefect.deployments.steps.set_working_directory": {"directory": str(Path.cwd())}}],
            "deployments": [
                {
                    "name": "from-yaml",
                    "entrypoint": "flows.py:pooled",
                    "parameters": {"n": 5},
                    "tags": ["yaml"],
                    "schedules": [{"cron": "0 1 * * *"}, {"interval": 7200}],
                    "work_pool": {"name": POOL, "work_queue_name": "high", "job_variables": {"env": {"LEVEL": "yaml"}}},
                },
                {"name": "other", "entrypoint": "flows.py:pooled", "schedule": {"cron": "0 2 * * *"}, "work_pool": {"name": POOL}},
            ],
        }
    )
)
says(cli("deploy", "--all"), "from-yaml", "other")
deployment = api("GET", f"/deployments/name/{FLOW}/from-yaml")
assert deployment["work_pool_name"] == POOL and deployment["work_queue_name"] == "high", deployment
assert deployment["parameters"] == {"n": 5} and deployment["tags"] == ["yaml"], deployment
assert len(deployment["schedules"]) == 2 and deployment["pull_steps"], deployment
assert deployment["infra_overrides"] == {"env": {"LEVEL": "yaml"}}, deployment
other = api("GET", f"/deployments/name/{FLOW}/other")
assert other["work_queue_name"] == "default" and other["schedule"]["cron"] == "0 2 * * *", other
says(cli("deploy", "-n", "no-such", code=1), "Could not find any deployment configurations")
cli("deploy", "flows.py:pooled", "-n", "adhoc", "--pool", unique("no-such-pool"), code=1)

import flows  # noqa: E402
from prefect import flow  # noqa: E402

flow.from_source(source=str(Path.cwd()), entrypoint="flows.py:pooled").deploy(name="from-python", work_pool_name=POOL, cron="0 3 * * *", parameters={"n": 6}, job_variables={"env": {"LEVEL": "python"}}, print_next_steps=False)
by_python = api("GET", f"/deployments/name/{FLOW}/from-python")
assert by_python["schedule"]["cron"] == "0 3 * * *" and by_python["work_pool_name"] == POOL, by_python


def start(d, **body):
    return api("POST", f"/deployments/{d['id']}/create_flow_run", body)["id"]


low, high = start(other), start(deployment)
polled = api("POST", f"/work_pools/{POOL}/get_scheduled_flow_runs", {"limit": 2})
assert [r["flow_run"]["id"] for r in polled] == [high, low], "the queue of higher priority comes first"
cli("work-pool", "pause", POOL)
assert api("POST", f"/work_pools/{POOL}/get_scheduled_flow_runs", {}) == []
cli("work-pool", "resume", POOL)
cli("work-pool", "set-concurrency-limit", POOL, "1")
assert len(api("POST", f"/work_pools/{POOL}/get_scheduled_flow_runs", {})) == 1
cli("work-pool", "clear-concurrency-limit", POOL)
says(cli("work-pool", "preview", POOL), high)

python = start(by_python, parameters={"n": 60}, job_variables={"env": {"LEVEL": "run"}})
with Child(prefect_command(), "worker", "start", "-p", POOL, "-n", unique("worker")) as worker:
    for run_id, line in ((high, "level yaml n 5"), (low, "level None n 1"), (python, "level run n 60")):
        run = finished(run_id, by=worker)
        assert run["state_type"] == "COMPLETED", run["state"]
        assert run["infrastructure_pid"], run
        logged(run_id, line)
    workers = api("POST", f"/work_pools/{POOL}/workers/filter", {})
    assert [(w["name"], w["status"]) for w in workers] == [(unique("worker"), "ONLINE")], workers
    assert api("GET", f"/work_pools/{POOL}")["status"] == "READY"
    assert api("GET", f"/deployments/{other['id']}")["status"] == "READY"
    worker.stop()

says(cli("work-pool", "delete", POOL), "Deleted")
api("GET", f"/work_pools/{POOL}", expect=404)
print("ok")

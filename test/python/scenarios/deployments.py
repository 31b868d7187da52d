"""Deployment files run by hand, and the commands around deployments."""

from pathlib import Path

from harness import IS_28, api, cli, python, says, unique, wait_for

FLOW, QUEUE = unique("etl"), unique("kubernetes")

Path("etl.py").write_text(
    f'''
from prefect import flow, task

@task
def extract(n):
    return list(range(n))

@flow(name="{FLOW}")
def etl(n: int = 3, who: str = "world"):
    """Moves things about."""
    return len(extract(n))
'''
)
Path("etl-daily.deployment.py").write_text(
    f'''
from prefect.deployments import Deployment
from prefect.filesystems import LocalFileSystem
from prefect.infrastructure import Process
{"from prefect.orion.schemas.schedules import CronSchedule" if IS_28 else "from prefect.client.schemas.schedules import CronSchedule"}
from etl import etl

storage = LocalFileSystem(basepath="{Path.cwd() / 'store'}")
storage.save("{unique('store')}", overwrite=True)
infrastructure = Process(env={{"GREETING": "hello"}})
infrastructure.save("{unique('proc')}", overwrite=True)

if __name__ == "__main__":
    Deployment.build_from_flow(
        flow=etl,
        name="daily",
        version="1",
        schedule=CronSchedule(cron="0 6 * * *", timezone="Europe/Oslo"),
        work_queue_name="{QUEUE}",
        storage=storage,
        path="etl",
        infrastructure=infrastructure,
        infra_overrides={{"env.LEVEL": "2"}},
        parameters={{"who": "orion"}},
        tags=["team-a"],
        description="Every morning.",
        apply=True,
    )
'''
)

Path(".prefectignore").write_text("*.log\nstore/\n")  # the older client insists on one

name = f"{FLOW}/daily"
path = f"/deployments/name/{FLOW}/daily"
python("etl-daily.deployment.py")
first = api("GET", path)
assert first["version"] == "1" and first["tags"] == ["team-a"] and first["description"] == "Every morning.", first
assert first["parameters"] == {"who": "orion"} and first["work_queue_name"] == QUEUE, first
assert first["work_pool_name"] == "default-agent-pool" and first["entrypoint"].endswith("etl.py:etl"), first
assert first["infra_overrides"] == {"env.LEVEL": "2"} and first["is_schedule_active"] and not first["paused"], first
assert first["schedule"]["cron"] == "0 6 * * *" and first["schedule"]["timezone"] == "Europe/Oslo", first["schedule"]
assert set(first["parameter_openapi_schema"]["properties"]) == {"n", "who"}, first["parameter_openapi_schema"]
assert Path("store/etl/etl.py").exists(), "the flow's code is in its storage"
assert api("GET", f"/work_queues/name/{QUEUE}")["work_pool_name"] == "default-agent-pool"
process = api("GET", f"/block_documents/{first['infrastructure_document_id']}")
assert process["data"]["env"]["GREETING"] == "hello", process["data"]


def scheduled():
    """The next runs that the schedule made."""
    return api(
        "POST",
        "/flow_runs/filter",
        {"deployments": {"id": {"any_": [first["id"]]}}, "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}, "sort": "EXPECTED_START_TIME_ASC"},
    )


runs = wait_for("scheduled runs", lambda: scheduled() if len(scheduled()) >= 3 else None)
assert all(r["auto_scheduled"] and "auto-scheduled" in r["tags"] and r["parameters"] == {"who": "orion"} for r in runs), runs
times = [r["expected_start_time"] for r in runs]
assert times == sorted(set(times)) and all(t[11:16] in ("04:00", "05:00") for t in times), times

# A redeploy changes what changed and keeps what the deployment is.
text = Path("etl-daily.deployment.py").read_text()
Path("etl-daily.deployment.py").write_text(text.replace('version="1"', 'version="2"').replace('"who": "orion"', '"who": "you"'))
python("etl-daily.deployment.py")
second = api("GET", path)
assert second["id"] == first["id"] and second["version"] == "2" and second["parameters"] == {"who": "you"}, second
assert second["created"] == first["created"], (second["created"], first["created"])
wait_for("runs with the new parameters", lambda: len(scheduled()) >= 3 and all(r["parameters"] == {"who": "you"} for r in scheduled()))

says(cli("deployment", "ls"), name)
says(cli("deployment", "inspect", name), "'name': 'daily'", "0 6 * * *", "Europe/Oslo")
out = says(cli("deployment", "run", name, "-p", "n=7", "--params", '{"who": "me"}'), "Created flow run")
run = api("POST", "/flow_runs/filter", {"deployments": {"id": {"any_": [first["id"]]}}, "flow_runs": {"tags": {"is_null_": False}}, "sort": "EXPECTED_START_TIME_ASC", "limit": 1})[0]
assert run["parameters"] == {"n": 7, "who": "me"} and run["state_type"] == "SCHEDULED" and not run["auto_scheduled"], run
assert run["name"] in out and run["infrastructure_document_id"] == first["infrastructure_document_id"], out
assert run["work_queue_name"] == QUEUE, run
says(cli("flow-run", "ls", "--flow-name", FLOW), run["name"])
says(cli("flow-run", "inspect", run["id"]), run["name"])
says(cli("work-queue", "preview", QUEUE), run["name"])

# Pausing takes the scheduled runs away, resuming brings them back.
if IS_28:
    cli("deployment", "pause-schedule", name)
else:
    schedule = api("GET", path)["schedules"][0]["id"]
    cli("deployment", "schedule", "pause", name, schedule)
    says(cli("deployment", "schedule", "ls", name), "0 6 * * *", "False")
wait_for("the schedule to rest", lambda: not any(s["active"] for s in api("GET", path)["schedules"]))
wait_for("the scheduled runs to go", lambda: not any(r["auto_scheduled"] for r in scheduled()))
if IS_28:
    cli("deployment", "resume-schedule", name)
else:
    cli("deployment", "schedule", "resume", name, schedule)
wait_for("the scheduled runs to come back", lambda: sum(r["auto_scheduled"] for r in scheduled()) >= 3)
if IS_28:
    cli("deployment", "set-schedule", name, "--interval", "3600")
    assert api("GET", path)["schedule"]["interval"] == 3600
else:
    cli("deployment", "schedule", "create", name, "--interval", "3600")
    assert len(api("GET", path)["schedules"]) == 2
    cli("deployment", "schedule", "clear", name, "-y")
    assert api("GET", path)["schedules"] == [] and api("GET", path)["schedule"] is None

# Build and apply, the two-step way.
cli("deployment", "build", "etl.py:etl", "-n", "built", "-q", QUEUE, "--interval", "600", "-t", "team-b", "-o", "built.yaml", "--skip-upload", "--params", '{"n": 4}')
says(Path("built.yaml").read_text(), "name: built", "work_queue_name: " + QUEUE)
says(cli("deployment", "apply", "built.yaml"), "built")
built = api("GET", f"/deployments/name/{FLOW}/built")
assert built["parameters"] == {"n": 4} and built["tags"] == ["team-b"] and built["schedule"]["interval"] == 600, built
says(cli("deployment", "ls", "--flow-name", FLOW), f"{FLOW}/built", name)

says(cli("deployment", "delete", f"{FLOW}/built"), "Deleted")
api("GET", f"/deployments/name/{FLOW}/built", expect=404)
says(cli("deployment", "inspect", f"{FLOW}/built", code=1), "not found")
says(cli("deployment", "run", f"{FLOW}/built", code=1), "not found" if not IS_28 else "")

# A file that fails says why, and deploys nothing.
Path("bad.deployment.py").write_text(
    "from prefect.deployments import Deployment\n"
    "from etl import etl\n"
    f"Deployment.build_from_flow(flow=etl, name='bad', work_queue_name='{QUEUE}', infra_overrides={{}}, parameters={{}}, skip_upload=True,\n"
    "    storage=None, infrastructure=None, schedule={'cron': 'every tuesday'}, apply=True)\n"
)
assert "Error" in python("bad.deployment.py", code=1)
api("GET", f"/deployments/name/{FLOW}/bad", expect=404)
print("ok")

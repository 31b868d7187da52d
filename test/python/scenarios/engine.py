"""Flows run by hand: subflows, maps, caches, retries, time-outs, failures, 100 tasks."""

import time
from datetime import timedelta

from harness import IS_28, api, flow_run, logged, task_runs, unique, wait_for
from prefect import flow, get_run_logger, task
from prefect.tasks import task_input_hash

attempts = {}


def attempt(name):
    attempts[name] = attempts.get(name, 0) + 1
    return attempts[name]


@task(tags=["adding"])
def add(x, y=1):
    return x + y


@task(retries=2, retry_delay_seconds=0)
def flaky():
    if attempt("flaky") < 3:
        raise ValueError("not yet")
    return "third time lucky"


@task(cache_key_fn=task_input_hash, cache_expiration=timedelta(minutes=5), persist_result=True)
def cached(x):
    attempt("cached")
    return x * 10


@task
def boom():
    raise RuntimeError("boom")


@flow(name=unique("child"))
def child(n: int):
    return add(n, 100)


@flow(name=unique("everything"), persist_result=True)
def everything(start: int = 1):
    get_run_logger().info("hello from %s", start)
    mapped = add.map([1, 2, 3])
    total = sum(future.result() for future in mapped)
    assert flaky() == "third time lucky"
    key = time.time_ns()
    assert cached(key) == key * 10
    assert cached(key) == key * 10
    failed = boom(return_state=True)
    assert failed.is_failed()
    later = add.submit(total, wait_for=[mapped[0]])
    return child(later.result())


state = everything(5, return_state=True)
assert state.is_completed(), state
assert state.result() == 110, state.result()
assert attempts == {"flaky": 3, "cached": 1}, attempts

run_id = state.state_details.flow_run_id
run = flow_run(run_id)
assert (run["state_type"], run["state_name"], run["run_count"]) == ("COMPLETED", "Completed", 1), run
assert run["parameters"] == {"start": 5}, run
assert run["start_time"] and run["end_time"] and run["total_run_time"] > 0, run
logged(run_id, "hello from 5")

tasks = {t["name"]: t for t in task_runs(run_id)}
by_state = {name.rsplit("-", 1)[0]: [] for name in tasks}
for name, t in tasks.items():
    by_state[name.rsplit("-", 1)[0]].append(t["state_name"])
adding = [t for t in tasks.values() if t["name"].startswith("add")]
assert len(adding) == 4 and all(t["state_type"] == "COMPLETED" and t["tags"] == ["adding"] for t in adding), adding
flaky_run = next(t for n, t in tasks.items() if n.startswith("flaky"))
assert (flaky_run["run_count"], flaky_run["state_name"]) == (3, "Completed"), flaky_run
names = [s["name"] for s in api("GET", f"/task_run_states/?task_run_id={flaky_run['id']}")]
assert names == ["Pending", "Running", "AwaitingRetry", "Retrying", "AwaitingRetry", "Retrying", "Completed"], names
cached_names = sorted(t["state_name"] for n, t in tasks.items() if n.startswith("cached"))
assert cached_names == ["Cached", "Completed"], cached_names
failed_run = next(t for n, t in tasks.items() if n.startswith("boom"))
assert failed_run["state_type"] == "FAILED" and "boom" in failed_run["state"]["message"], failed_run
# The task that waits knows what it waited for.
waited = [t for t in adding if t["task_inputs"].get("wait_for")]
assert len(waited) == 1 and waited[0]["task_inputs"]["wait_for"][0]["id"] in [t["id"] for t in adding], waited

# The subflow is a flow run of its own, and a task run of its parent.
dummy = [t for t in tasks.values() if t["state"]["state_details"].get("child_flow_run_id")]
assert len(dummy) == 1 and dummy[0]["state_type"] == "COMPLETED", dummy
sub = flow_run(dummy[0]["state"]["state_details"]["child_flow_run_id"])
assert sub["parent_task_run_id"] == dummy[0]["id"] and sub["state_type"] == "COMPLETED", sub
assert sub["parameters"] == {"n": 10}, sub
children = api("POST", "/flow_runs/filter", {"flow_runs": {"parent_task_run_id": {"any_": [dummy[0]["id"]]}}})
assert [c["id"] for c in children] == [sub["id"]], children

# The graph has every node once.
graph = api("GET", f"/flow_runs/{run_id}/graph")
assert len(graph) == len(tasks), (len(graph), len(tasks))


@flow(name=unique("retried"), retries=1, retry_delay_seconds=0)
def retried():
    kept()
    if attempt("retried") == 1:
        raise ValueError("once more")
    return "done"


@task(persist_result=True)
def kept():
    return attempt("kept")


state = retried(return_state=True)
assert state.is_completed() and state.result() == "done", state
run = flow_run(state.state_details.flow_run_id)
assert run["run_count"] == 2, run
names = [s["name"] for s in api("GET", f"/flow_run_states/?flow_run_id={run['id']}")]
assert names[-4:] == ["Running", "AwaitingRetry", "Retrying" if "Retrying" in names else "Running", "Completed"], names
assert attempts["kept"] == 1, "a persisted result is not computed again when its flow is retried"


@flow(name=unique("broken"))
def broken():
    raise ValueError("as it must")


state = broken(return_state=True)
assert state.is_failed(), state
run = flow_run(state.state_details.flow_run_id)
assert run["state_name"] == "Failed" and "as it must" in run["state"]["message"], run["state"]


@flow(name=unique("slow"), timeout_seconds=1)
def slow():
    for _ in range(200):
        time.sleep(0.05)


state = slow(return_state=True)
assert state.name == "TimedOut" and state.is_failed(), state
assert flow_run(state.state_details.flow_run_id)["state_name"] == "TimedOut"


@flow(name=unique("checked"))
def checked(n: int):
    pass


state = checked("not a number", return_state=True)
assert state.is_failed() and "Validation" in (state.message or ""), state.message
runs = api("POST", "/flow_runs/filter", {"flows": {"name": {"any_": [unique("checked")]}}})
assert [r["state_type"] for r in runs] == ["FAILED"], runs


@flow(name=unique("hundred"))
def hundred():
    return sum(f.result() for f in add.map(range(100)))


state = hundred(return_state=True)
assert state.result() == sum(range(100)) + 100, state
runs = task_runs(state.state_details.flow_run_id)
assert len(runs) == 100 and {r["state_name"] for r in runs} == {"Completed"}, len(runs)
count = api("POST", "/task_runs/count", {"task_runs": {"flow_run_id": {"any_": [str(state.state_details.flow_run_id)]}, "state": {"type": {"any_": ["COMPLETED"]}}}})
assert count == 100, count

# What the lists and filters say of all this.
flows = api("POST", "/flows/filter", {"flows": {"name": {"any_": [unique("everything")]}}})
assert [f["name"] for f in flows] == [unique("everything")], flows
failed = api("POST", "/flow_runs/filter", {"flows": {"name": {"any_": [unique("broken"), unique("everything")]}}, "flow_runs": {"state": {"type": {"any_": ["FAILED"]}}}})
assert len(failed) == 1, failed
print("ok")

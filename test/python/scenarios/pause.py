"""A flow that pauses, with and without input, and is resumed, told nonsense, or forgotten."""

import threading

from harness import api, finished, flow_run, logged, unique, wait_for
from prefect import flow, get_run_logger, pause_flow_run, task
from prefect.input import RunInput

FLOW = unique("pauser")


class Answer(RunInput):
    n: int
    why: str = "because"


@task
def one():
    return 1


@flow(name=FLOW)
def pauser():
    one()
    pause_flow_run(timeout=120, poll_interval=0.3, key="plain")
    answer = pause_flow_run(wait_for_input=Answer, timeout=120, poll_interval=0.3, key="asked")
    get_run_logger().info("told %s %s", answer.n, answer.why)
    return answer.n + one()


@flow(name=unique("forgotten"))
def forgotten():
    pause_flow_run(timeout=1, poll_interval=0.3)


results = {}
thread = threading.Thread(target=lambda: results.update(state=pauser(return_state=True)), daemon=True)
thread.start()


def paused(count):
    runs = api("POST", "/flow_runs/filter", {"flows": {"name": {"any_": [FLOW]}}, "flow_runs": {"state": {"type": {"any_": ["PAUSED"]}}}})
    return runs[0] if runs and len(runs[0]["empirical_policy"]["pause_keys"]) == count else None


run = wait_for("the first pause", lambda: paused(1), 60)
assert run["state_name"] == "Paused" and run["empirical_policy"]["pause_keys"] == ["plain"], run
answer = api("POST", f"/flow_runs/{run['id']}/resume", {})
assert answer["status"] == "ACCEPT" and answer["state"]["type"] == "RUNNING", answer

run = wait_for("the second pause", lambda: paused(2), 60)
keys = run["state"]["state_details"]["run_input_keyset"]
assert {"response", "schema"} <= set(keys), keys
wait_for("the schema of the input", lambda: api("POST", f"/flow_runs/{run['id']}/input/filter", {"prefix": keys["schema"]}), 60)
answer = api("POST", f"/flow_runs/{run['id']}/resume", {"run_input": {"n": "many"}})
assert answer["status"] == "REJECT" and "n" in answer["details"]["reason"], answer
assert flow_run(run["id"])["state_type"] == "PAUSED"
answer = api("POST", f"/flow_runs/{run['id']}/resume", {"run_input": {"n": 41, "why": "so"}})
assert answer["status"] == "ACCEPT", answer
thread.join(90)
assert results["state"].is_completed() and results["state"].result() == 42, results
logged(run["id"], "told 41 so")
assert api("POST", f"/flow_runs/{run['id']}/resume", {})["status"] == "ABORT", "it is not paused any more"
names = [s["name"] for s in api("GET", f"/flow_run_states/?flow_run_id={run['id']}")]
assert names == ["Pending", "Running", "Paused", "Running", "Paused", "Running", "Completed"], names

state = forgotten(return_state=True)
assert state.is_failed(), state
assert finished(state.state_details.flow_run_id)["state_type"] == "FAILED"
print("ok")

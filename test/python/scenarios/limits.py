"""Tag concurrency limits, and work queues, on the command line and in force."""

import time

from harness import IS_28, api, cli, flow_run, says, task_runs, unique
from prefect import flow, task

TAG, QUEUE = unique("limited"), unique("queue")
says(cli("concurrency-limit", "create", TAG, "1"), TAG)
says(cli("concurrency-limit", "ls"), TAG)
says(cli("concurrency-limit", "inspect", TAG), TAG)

# A limit that is full makes tasks wait; one that is freed lets them go. The
# client waits half a minute when told to, so the slot is taken by hand.
blocker = "00000000-0000-4000-8000-000000000001"
api("POST", f"/concurrency_limits/tag/{TAG}/reset", {"slot_override": [blocker]})
limit = api("GET", f"/concurrency_limits/tag/{TAG}")
assert limit["active_slots"] == [blocker] and limit["concurrency_limit"] == 1, limit
parent = api("POST", "/flow_runs/", {"flow_id": api("POST", "/flows/", {"name": unique("by-hand")})["id"], "state": {"type": "RUNNING"}})["id"]
run = api("POST", "/task_runs/", {"flow_run_id": parent, "task_key": "t", "dynamic_key": "0", "tags": [TAG]})["id"]
answer = api("POST", f"/task_runs/{run}/set_state", {"state": {"type": "RUNNING"}})
assert answer["status"] == "WAIT" and answer["details"]["delay_seconds"] > 0, answer
says(cli("concurrency-limit", "reset", TAG), "Reset")
answer = api("POST", f"/task_runs/{run}/set_state", {"state": {"type": "RUNNING"}})
assert answer["status"] == "ACCEPT", answer
assert api("GET", f"/concurrency_limits/tag/{TAG}")["active_slots"] == [run]
api("POST", f"/task_runs/{run}/set_state", {"state": {"type": "COMPLETED"}})
assert api("GET", f"/concurrency_limits/tag/{TAG}")["active_slots"] == []


@task(tags=[TAG])
def limited(n):
    return n


@flow(name=unique("in-turn"))
def in_turn():
    return [limited(n) for n in range(3)]


assert in_turn() == [0, 1, 2]
assert api("GET", f"/concurrency_limits/tag/{TAG}")["active_slots"] == [], "slots are given back"


# Zero slots means never: the run is told so instead of waiting for ever.
cli("concurrency-limit", "create", TAG, "0")
state = in_turn(return_state=True)
assert not state.is_completed(), state
says(cli("concurrency-limit", "delete", TAG), "Deleted")
says(cli("concurrency-limit", "inspect", TAG, code=1), "No concurrency limit found")

says(cli("work-queue", "create", QUEUE, "--limit", "3"), QUEUE)
assert api("GET", f"/work_queues/name/{QUEUE}")["concurrency_limit"] == 3
says(cli("work-queue", "create", QUEUE, code=1), "already exists")
says(cli("work-queue", "ls"), QUEUE)
says(cli("work-queue", "inspect", QUEUE), "concurrency_limit=3")
cli("work-queue", "pause", QUEUE)
assert api("GET", f"/work_queues/name/{QUEUE}")["is_paused"]
cli("work-queue", "resume", QUEUE)
cli("work-queue", "set-concurrency-limit", QUEUE, "5")
assert api("GET", f"/work_queues/name/{QUEUE}")["concurrency_limit"] == 5
says(cli("work-queue", "preview", QUEUE), "No runs found" if not IS_28 else "")
cli("work-queue", "delete", QUEUE)
says(cli("work-queue", "inspect", QUEUE, code=1), QUEUE)
print("ok")

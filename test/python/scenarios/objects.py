"""Variables, artifacts, and global concurrency limits, in flows and on the command line."""

import time
from uuid import UUID

from harness import api, cli, flow_run, says, unique
from prefect import flow, get_client, task
from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact
from prefect.concurrency.sync import concurrency, rate_limit
from prefect.variables import Variable

name = unique("var").replace("-", "_")
Variable.set(name, "one", tags=["t"])
assert Variable.get(name).value == "one"
Variable.set(name, "two", overwrite=True)
assert Variable.get(name).value == "two"
assert Variable.get(name + "_not", default="else") == "else"
says(cli("variable", "ls"), name)
says(cli("variable", "inspect", name), "two")
found = api("POST", "/variables/filter", {"variables": {"name": {"like_": name[:-1]}}})
assert [v["name"] for v in found] == [name], found
api("POST", "/variables/", {"name": name, "value": "three"}, expect=409)
api("POST", "/variables/", {"name": "Not A Name", "value": "x"}, expect=422)
says(cli("variable", "delete", name), "Deleted")
api("GET", f"/variables/name/{name}", expect=404)

key = unique("report")


@task
def report(n):
    return create_markdown_artifact(key=key, markdown=f"# {n}", description="a report")


@flow(name=unique("reporter"))
def reporter():
    report(1)
    second = report(2)
    create_table_artifact(key=unique("table"), table=[{"a": 1}, {"a": 2}])
    create_link_artifact(key=unique("link"), link="https://example.org", link_text="there")
    return str(second)


state = reporter(return_state=True)
run_id = str(state.state_details.flow_run_id)
latest = api("GET", f"/artifacts/{key}/latest")
assert latest["data"] == "# 2" and latest["type"] == "markdown" and latest["flow_run_id"] == run_id, latest
versions = api("POST", "/artifacts/filter", {"artifacts": {"key": {"any_": [key]}}, "sort": "CREATED_DESC"})
assert [a["data"] for a in versions] == ["# 2", "# 1"], versions
newest = api("POST", "/artifacts/latest/filter", {"artifacts": {"flow_run_id": {"any_": [run_id]}, "type": {"not_any_": ["result"]}}})
assert sorted(a["key"] for a in newest) == sorted([key, unique("table"), unique("link")]), newest
says(cli("artifact", "ls"), key)
says(cli("artifact", "inspect", key), "# 1", "# 2")
says(cli("artifact", "delete", "--id", versions[0]["id"]), "Deleted")
assert api("GET", f"/artifacts/{key}/latest")["data"] == "# 1", "the one before is the latest again"
says(cli("artifact", "delete", key), "Deleted")
api("GET", f"/artifacts/{key}/latest", expect=404)

limit = unique("gcl")
says(cli("gcl", "create", limit, "--limit", "1"), limit)
says(cli("gcl", "ls"), limit)
says(cli("gcl", "inspect", limit), limit)


@task
def alone(n):
    with concurrency(limit, occupy=1):
        began = time.time()
        held = api("GET", f"/v2/concurrency_limits/{limit}")["active_slots"]
        time.sleep(0.3)
        return began, time.time(), held


@flow(name=unique("in-turn"))
def in_turn():
    return [f.result() for f in alone.map(range(3))]


spans = sorted(in_turn())
assert all(held == 1 for _, _, held in spans), spans
assert all(before[1] <= after[0] + 0.05 for before, after in zip(spans, spans[1:])), f"two at a time: {spans}"
assert api("GET", f"/v2/concurrency_limits/{limit}")["active_slots"] == 0, "slots are given back"

cli("gcl", "update", limit, "--limit", "2", "--slot-decay-per-second", "5")
assert api("GET", f"/v2/concurrency_limits/{limit}")["limit"] == 2
began = time.time()
for _ in range(6):
    rate_limit(limit)
assert time.time() - began > 0.3, "six at five a second, two at once"
api("POST", "/v2/concurrency_limits/increment", {"names": [limit], "slots": 3, "mode": "concurrency"}, expect=422)
says(cli("gcl", "disable", limit), limit)
assert not api("GET", f"/v2/concurrency_limits/{limit}")["active"]
cli("gcl", "delete", limit)
api("GET", f"/v2/concurrency_limits/{limit}", expect=404)
says(cli("gcl", "create", limit, "--limit", "1"), limit)
says(cli("gcl", "create", limit, "--limit", "1", code=1), "already")

# What a saved search keeps.
saved = api("PUT", "/saved_searches/", {"name": unique("search"), "filters": [{"object": "flow_run", "property": "state", "type": "state", "operation": "any", "value": "Failed"}]})
assert api("GET", f"/saved_searches/{saved['id']}")["filters"] == saved["filters"], saved
print("ok")

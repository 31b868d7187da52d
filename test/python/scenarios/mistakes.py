"""What goes wrong is said in one readable line, with the right exit code."""

import httpx
from harness import IS_28, api, cli, says, unique
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

MISSING = "00000000-0000-4000-8000-00000000dead"

cli("flow-run", "inspect", MISSING, code=1)
says(cli("flow-run", "logs", MISSING, code=1), "not found")
says(cli("flow-run", "delete", MISSING, code=1), "not found")
says(cli("flow-run", "cancel", MISSING, code=1), "not found")
says(cli("deployment", "inspect", unique("no") + "/such", code=1), "not found")
says(cli("deployment", "delete", unique("no") + "/such", code=1), "not found")
says(cli("work-queue", "inspect", unique("no"), code=1), unique("no"))
says(cli("work-queue", "pause", unique("no"), code=1), unique("no"))
says(cli("concurrency-limit", "inspect", unique("no"), code=1), unique("no"))
if not IS_28:
    says(cli("work-pool", "inspect", unique("no"), code=1), "not found")
    says(cli("variable", "inspect", unique("no"), code=1), "not found")
    says(cli("gcl", "inspect", unique("no"), code=1), "not found")
    says(cli("artifact", "inspect", unique("no"), code=1), unique("no"))

import asyncio  # noqa: E402


async def by_client():
    async with get_client() as client:
        for call in (
            client.read_flow_run(MISSING),
            client.read_deployment(MISSING),
            client.read_deployment_by_name("no/such"),
            client.read_block_document(MISSING),
            client.read_work_queue_by_name(unique("never")),
            client.read_concurrency_limit_by_tag(unique("never")),
            client.delete_deployment(MISSING),
        ):
            try:
                await call
            except ObjectNotFound:
                continue
            except httpx.HTTPStatusError as error:  # some methods of the older client
                assert IS_28 and error.response.status_code == 404, error
                continue
            raise AssertionError("no ObjectNotFound")
        await client.create_work_queue(name=unique("twice"))
        try:
            await client.create_work_queue(name=unique("twice"))
        except ObjectAlreadyExists:
            pass
        else:
            raise AssertionError("no ObjectAlreadyExists")


asyncio.run(by_client())

# Bodies that make no sense are refused with 422, and nothing is stored.
for path, body, part in (
    ("/flows/", {}, "name"),
    ("/flow_runs/", {"flow_id": "not-an-id"}, "flow_id"),
    ("/work_queues/", {"name": "a/b"}, "name"),
    ("/flow_runs/filter", {"sort": "BY_MOOD"}, "sort"),
    ("/flow_runs/filter", {"limit": 201}, "limit"),
    ("/concurrency_limits/", {"tag": "t"}, "concurrency_limit"),
):
    answer = api("POST", path, body, expect=422)
    assert part in str(answer), (path, answer)
api("GET", "/flow_runs/not-an-id", expect=422)
api("GET", "/no/such/route", expect=404)
flow_id = api("POST", "/flows/", {"name": unique("mistaken")})["id"]
answer = api("POST", "/deployments/", {"name": "d", "flow_id": flow_id, "schedule": {"cron": "every tuesday"}}, expect=422)
assert "cron" in str(answer), answer
api("POST", "/deployments/", {"name": "d", "flow_id": flow_id, "work_pool_name": unique("no-pool")}, expect=404)
api("POST", "/deployments/", {"name": "d", "flow_id": flow_id, "storage_document_id": MISSING}, expect=409)
assert api("POST", "/deployments/filter", {"flows": {"id": {"any_": [flow_id]}}}) == []
api("POST", "/admin/database/clear", {"confirm": False}, expect=400)
print("ok")

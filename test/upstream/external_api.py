"""A pytest plugin that runs Prefect's own top-level tests against an external API server.

Those tests ship without their conftest: it would start the server inside the
test process and reach into its database. This plugin gives the same names to
fixtures that go through the API alone, written for this purpose. What cannot
be done through the API is listed, with its reason, in excluded.txt.

UPSTREAM_API_URL names the server; or several, of which each worker of
pytest-xdist empties its own.
"""

import asyncio
import os
import tempfile
import uuid
from pathlib import Path

SERVERS = os.environ["UPSTREAM_API_URL"].split()
API = SERVERS[int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % len(SERVERS)]
HOME = Path(tempfile.mkdtemp(prefix="home-", dir=os.getcwd()))

# Before anything of Prefect is imported, and for the children that tests start. The API's URL is in a profile, since
# tests say what a profile gives, and the environment would win over it.
(HOME / "profiles.toml").write_text(f'active = "upstream"\n\n[profiles.upstream]\nPREFECT_API_URL = "{API}"\n')
os.environ.update(
    PREFECT_HOME=str(HOME),
    PREFECT_PROFILES_PATH=str(HOME / "profiles.toml"),
    PREFECT_LOCAL_STORAGE_PATH=str(HOME / "storage"),
    PREFECT_TEST_MODE="1",
    PREFECT_UNIT_TEST_MODE="1",
    PREFECT_CLI_COLORS="0",
    PREFECT_CLI_WRAP_LINES="0",
    PREFECT_LOGGING_LEVEL="DEBUG",
    PREFECT_LOGGING_INTERNAL_LEVEL="DEBUG",
    PREFECT_LOGGING_TO_API_ENABLED="0",
    PREFECT_SERVER_ANALYTICS_ENABLED="0",
    PREFECT_API_BLOCKS_REGISTER_ON_START="0",
    PREFECT_ASYNC_FETCH_STATE_RESULT="1",
)

import httpx  # noqa: E402
import pendulum  # noqa: E402
import pytest  # noqa: E402

import prefect  # noqa: E402
from prefect.testing.fixtures import *  # noqa: E402,F401,F403

EXCLUDED = Path(__file__).with_name("excluded.txt")


def excluded():
    """Test → why it is left out. A test is named by file::[Class::]function, all its parameters with it."""
    tests, reason = {}, None
    for line in EXCLUDED.read_text().splitlines():
        if line.startswith("# "):
            reason = line[2:]
        elif line.strip():
            tests[line.strip()] = reason
    return tests


def pytest_configure(config):
    for marker in ("enable_api_log_handler", "clear_db", "service(arg)"):
        config.addinivalue_line("markers", marker)


def pytest_collection_modifyitems(config, items):
    left_out, kept = [], []
    reasons = excluded()
    everything = os.environ.get("UPSTREAM_INCLUDE_EXCLUDED") == "1"
    for item in items:
        name = Path(item.fspath).name + "::" + item.nodeid.split("::", 1)[1]
        bare = name.split("[")[0]
        if not everything and any(n in reasons for n in (name, bare, bare.split("::")[0], "::".join(bare.split("::")[:2]))):
            left_out.append(item)
        else:
            kept.append(item)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = kept


@pytest.fixture(scope="session")
def event_loop():
    """One loop for all tests, as Prefect's own conftest has it."""
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


@pytest.fixture(scope="session", autouse=True)
def logging_set_up():
    from prefect.logging.configuration import setup_logging

    setup_logging()


@pytest.fixture(autouse=True)
def cleared_database():
    """Every test finds the server empty: names are used again and again."""
    yield
    answer = httpx.post(f"{API}/admin/database/clear", json={"confirm": True}, timeout=60)
    for _ in range(20):
        if answer.status_code != 503:  # a real Prefect, whose database is locked
            break
        answer = httpx.post(f"{API}/admin/database/clear", json={"confirm": True}, timeout=60)
    answer.raise_for_status()


@pytest.fixture(autouse=True)
def forgotten_types():
    """Tests define types of the same name, and flows of the same name: each begins without those of the others."""
    from prefect.context import PrefectObjectRegistry
    from prefect.utilities import dispatch

    before = {base: dict(types) for base, types in dispatch._TYPE_REGISTRIES.items()}
    with PrefectObjectRegistry():
        yield
    for base, types in dispatch._TYPE_REGISTRIES.items():
        types.clear()
        types.update(before.get(base, {}))


@pytest.fixture(autouse=True)
def logs_to_the_api_only_where_asked(request):
    from prefect.settings import PREFECT_LOGGING_TO_API_ENABLED, temporary_settings

    if request.node.get_closest_marker("enable_api_log_handler"):
        with temporary_settings({PREFECT_LOGGING_TO_API_ENABLED: True}):
            yield
    else:
        yield


@pytest.fixture
def caplog(caplog):
    """Sees Prefect's loggers, too, which do not propagate to the root."""
    import logging

    names = ["prefect", "prefect.flow_runs", "prefect.task_runs", "prefect.extra", "prefect._internal"]
    loggers = [logger for logger in map(logging.getLogger, names) if not logger.propagate]
    for logger in loggers:
        logger.addHandler(caplog.handler)
    yield caplog
    for logger in loggers:
        logger.removeHandler(caplog.handler)


@pytest.fixture(scope="session")
def hosted_api_server():
    return API


@pytest.fixture
def use_hosted_api_server(hosted_api_server):
    yield hosted_api_server


@pytest.fixture
async def prefect_client():
    async with prefect.get_client() as client:
        yield client


@pytest.fixture
def sync_prefect_client():
    return prefect.get_client(sync_client=True)


@pytest.fixture
async def client():
    """A plain HTTP client of the API."""
    async with httpx.AsyncClient(base_url=API, timeout=60, follow_redirects=True) as client:
        yield client


class ApiSession:
    """Stands for a database session where the API can say the same."""

    async def commit(self):
        pass


@pytest.fixture
async def session(monkeypatch, client):
    from prefect.server import models

    async def read_work_pool_by_name(session, work_pool_name):
        answer = await client.get(f"/work_pools/{work_pool_name}")
        return answer.json() if answer.status_code == 200 else None

    async def create_work_pool(session, work_pool):
        (await client.post("/work_pools/", json={"name": work_pool.name, "type": work_pool.type})).raise_for_status()

    async def read_task_run_dependencies(session, flow_run_id):
        from types import SimpleNamespace

        answer = (await client.get(f"/flow_runs/{flow_run_id}/graph")).raise_for_status()
        return [
            {
                "id": uuid.UUID(node["id"]),
                "upstream_dependencies": [SimpleNamespace(id=uuid.UUID(d["id"])) for d in node["upstream_dependencies"]],
            }
            for node in answer.json()
        ]

    monkeypatch.setattr(models.workers, "read_work_pool_by_name", read_work_pool_by_name)
    monkeypatch.setattr(models.workers, "create_work_pool", create_work_pool)
    monkeypatch.setattr(models.flow_runs, "read_task_run_dependencies", read_task_run_dependencies)
    return ApiSession()


@pytest.fixture
async def flow(prefect_client):
    flow_id = await prefect_client.create_flow_from_name(f"my-flow-{uuid.uuid4()}")
    return await prefect_client.read_flow(flow_id)


@pytest.fixture
async def flow_run(client, flow):
    from prefect.client.schemas.objects import FlowRun

    answer = await client.post("/flow_runs/", json={"flow_id": str(flow.id), "flow_version": "0.1"})
    return FlowRun.parse_obj(answer.raise_for_status().json())


@pytest.fixture
async def task_run(client, flow_run):
    from prefect.client.schemas.objects import TaskRun

    answer = await client.post("/task_runs/", json={"flow_run_id": str(flow_run.id), "task_key": "my-key", "dynamic_key": "0"})
    return TaskRun.parse_obj(answer.raise_for_status().json())


@pytest.fixture
def flow_function():
    @prefect.flow(version="test", description=f"\n{uuid.uuid4()}: A flow for tests.\n")
    def hello(name: str):
        return f"Hello, {name}!"

    return hello


@pytest.fixture
def flow_function_dict_parameter():
    from typing import Dict

    @prefect.flow(version="test")
    def hello_dict(dict_param: Dict[int, str]):
        return f"Hello, {dict_param}!"

    return hello_dict


@pytest.fixture
async def local_filesystem(tmp_path):
    from prefect.filesystems import LocalFileSystem

    block = LocalFileSystem(basepath=str(tmp_path))
    await block._save(is_anonymous=True)
    return block


@pytest.fixture
async def storage_document_id(tmp_path):
    from prefect.filesystems import LocalFileSystem

    return await LocalFileSystem(basepath=str(tmp_path))._save(is_anonymous=True)


@pytest.fixture
async def infrastructure_document_id():
    from prefect.infrastructure import Process

    return await Process(env={"MY_TEST_VARIABLE": 1})._save(is_anonymous=True)


@pytest.fixture
async def deployment(prefect_client, flow, flow_function, storage_document_id, infrastructure_document_id):
    from datetime import timedelta

    from prefect.client.schemas.schedules import IntervalSchedule
    from prefect.utilities.callables import parameter_schema

    deployment_id = await prefect_client.create_deployment(
        flow_id=flow.id,
        name="my-deployment",
        tags=["test"],
        schedule=IntervalSchedule(interval=timedelta(days=1), anchor_date=pendulum.datetime(2020, 1, 1)),
        storage_document_id=storage_document_id,
        path="./subdir",
        entrypoint="/file.py:flow",
        infrastructure_document_id=infrastructure_document_id,
        work_queue_name=f"wq-{uuid.uuid4()}",
        parameter_openapi_schema=parameter_schema(flow_function).dict(),
    )
    return await prefect_client.read_deployment(deployment_id)


def pool_of(kind, command):
    return {
        "name": f"test-pool-{uuid.uuid4()}",
        "type": kind,
        "base_job_template": {
            "job_configuration": {"command": "{{ command }}", "image": "{{ image }}"},
            "variables": {
                "type": "object",
                "properties": {
                    "command": {"type": "array", "items": {"type": "string"}, "title": "Command", "default": command},
                    "image": {"type": "string", "title": "Image"},
                },
            },
        },
    }


@pytest.fixture
async def work_pool(client):
    from prefect.client.schemas.objects import WorkPool

    return WorkPool.parse_obj((await client.post("/work_pools/", json=pool_of("test-type", ["echo", "hello"]))).raise_for_status().json())


@pytest.fixture
async def push_work_pool(client):
    from prefect.client.schemas.objects import WorkPool

    return WorkPool.parse_obj((await client.post("/work_pools/", json=pool_of("push-work-pool:push", ["echo"]))).raise_for_status().json())


@pytest.fixture
def events_disabled():
    from prefect.settings import PREFECT_EXPERIMENTAL_EVENTS, temporary_settings

    with temporary_settings({PREFECT_EXPERIMENTAL_EVENTS: False}):
        yield


@pytest.fixture
def start_of_test():
    return pendulum.now("UTC")

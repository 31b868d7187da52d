"""What the scenarios share: the command line, the API, child processes, and waiting.

A scenario is a script that a person could have written: it uses the real
client, asserts what that person relies on, and exits 0 when all of it holds.
It runs in an empty folder with PREFECT_API_URL set. Names carry a suffix of
their own, because all scenarios share one server.
"""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import prefect

IS_28 = prefect.__version__.startswith("2.8")
SUFFIX = os.environ["SCENARIO_SUFFIX"]
API = os.environ["PREFECT_API_URL"]


def unique(name: str) -> str:
    """The name, made unique to this run of the scenario."""
    return f"{name}-{SUFFIX}"


def api(method: str, path: str, body=None, expect: int = None):
    """One request to the API, past the client."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(API + path, data, {"Content-Type": "application/json"}, method=method)
    for attempt in range(20):
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                status, text = response.status, response.read()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read()
        if status != 503 or os.environ.get("SCENARIO_SERVER") != "prefect":
            break
        time.sleep(0.1 * (attempt + 1))  # its database is locked: a real client asks again, too
    if expect is not None:
        assert status == expect, f"{method} {path}: {status}, expected {expect}: {text[:500]}"
    else:
        assert status < 300, f"{method} {path}: {status}: {text[:500]}"
    return json.loads(text) if text else None


def cli(*args: str, code: int = 0) -> str:
    """What `prefect ARGS` prints when every question is answered yes; fails
    when it exits with another code."""
    from prefect.cli import app

    out, asked = io.StringIO(), sys.stdin
    sys.stdin = io.StringIO("y\n" * 10)
    got = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        try:
            returned = app(list(args), standalone_mode=False)
            got = returned if isinstance(returned, int) else 0  # click returns the code of an Exit
        except SystemExit as stop:
            got = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        except Exception as error:  # click's own: usage errors, Exit, Abort
            got = getattr(error, "exit_code", 1)
            print(error)
        finally:
            sys.stdin = asked
    text = out.getvalue()
    assert got == code, f"prefect {' '.join(args)} exited with {got}, expected {code}:\n{text}"
    return text


def says(text: str, *parts: str) -> str:
    """Fails unless the text holds every part, however it was wrapped."""
    flat = " ".join(text.replace("│", " ").split())
    for part in parts:
        assert part in text or part in flat or part.replace(" ", "") in flat.replace(" ", ""), f"{part!r} is not in:\n{text}"
    return text


def wait_for(what: str, condition, seconds: float = 120):
    """The condition's first true value."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s in vain for: {what}")
        time.sleep(0.2)


class Child:
    """A command that runs meanwhile, as in a second terminal."""

    def __init__(self, *command: str, **env: str):
        self.log = Path(f"child-{len(list(Path('.').glob('child-*.log')))}.log")
        self.command = command
        self.process = subprocess.Popen(
            command,
            stdout=self.log.open("w"),
            stderr=subprocess.STDOUT,
            env={**os.environ, **env},
        )

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if error is None:
            if self.process.poll() is None:
                self.stop()
        else:
            self.process.kill()
            self.process.wait()
            print(f"--- {' '.join(self.command)} printed:\n{self.log.read_text()[-6000:]}")

    def stop(self) -> int:
        """Ctrl-C, and the exit code."""
        self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"{' '.join(self.command)} did not end on Ctrl-C:\n{self.log.read_text()[-3000:]}")

    def says(self, part: str, seconds: float = 120):
        def there():
            assert self.process.poll() is None, f"{' '.join(self.command)} ended:\n{self.log.read_text()[-3000:]}"
            return part in self.log.read_text()

        wait_for(f"{part!r} from {' '.join(self.command)}", there, seconds)


def python(*args: str, code: int = 0) -> str:
    """What `python ARGS` prints, run as by hand."""
    done = subprocess.run([sys.executable, *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == code, f"python {' '.join(args)} exited with {done.returncode}, expected {code}:\n{done.stdout[-6000:]}"
    return done.stdout


def prefect_command() -> str:
    return str(Path(sys.executable).with_name("prefect"))


def flow_run(run_id) -> dict:
    return api("GET", f"/flow_runs/{run_id}")


def task_runs(run_id) -> list:
    return api("POST", "/task_runs/filter", {"task_runs": {"flow_run_id": {"any_": [str(run_id)]}}, "limit": 200})


def logs(run_id) -> list:
    return [
        log["message"]
        for log in api("POST", "/logs/filter", {"logs": {"flow_run_id": {"any_": [str(run_id)]}}, "sort": "TIMESTAMP_ASC", "limit": 200})
    ]


FINAL = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


def finished(run_id, seconds: float = 180, by: Child = None) -> dict:
    """The flow run, once it has ended, while the child that is to run it lives."""

    def done():
        assert by is None or by.process.poll() is None, f"{' '.join(by.command)} ended before its work was done"
        run = flow_run(run_id)
        return run if run["state_type"] in FINAL else None

    try:
        return wait_for(f"flow run {run_id} to end", done, seconds)
    except AssertionError:
        print("last seen:", json.dumps(flow_run(run_id), indent=1), "\n".join(logs(run_id)), sep="\n")
        raise


def logged(run_id, part: str):
    """Waits for a line in the run's logs, which the client sends in batches."""
    wait_for(f"{part!r} in the logs of {run_id}", lambda: any(part in message for message in logs(run_id)), 60)

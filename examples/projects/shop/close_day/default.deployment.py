"""Registers "Close day/default", whose code is the whole project folder.

A deployment's path is what the agent copies to where the flow runs, and by default it
is this folder alone: shared/ beside it would be left behind. So the path given here is
the folder of the project, and the entrypoint starts from there.
"""

import sys
from pathlib import Path

from prefect.deployments import Deployment

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))  # the flow imports shared.money

from flow import close_day  # noqa: E402

deployment = Deployment.build_from_flow(
    flow=close_day,
    name="default",
    version="1",
    description="Counts the till in a subflow and runs another deployment.",
    tags=["shop"],
    work_queue_name="default",
    path=str(PROJECT),
    entrypoint="close_day/flow.py:close_day",
)

if __name__ == "__main__":
    deployment.apply()

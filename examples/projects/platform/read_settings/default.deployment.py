"""Saves the blocks and registers "Read settings/default"."""

from blocks import save_blocks
from flow import read_settings
from prefect.deployments import Deployment

deployment = Deployment.build_from_flow(
    flow=read_settings,
    name="default",
    version="1",
    description="Reads a String, a JSON and a Secret block.",
    tags=["platform"],
    work_queue_name="default",
)

if __name__ == "__main__":
    save_blocks()
    deployment.apply()

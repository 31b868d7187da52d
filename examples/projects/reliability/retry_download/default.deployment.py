"""Registers "Retry download/default"."""

from flow import retry_download
from prefect.deployments import Deployment

deployment = Deployment.build_from_flow(
    flow=retry_download,
    name="default",
    version="1",
    description="Fails twice in a task and once in the flow, and then succeeds.",
    tags=["reliability"],
    work_queue_name="default",
)

if __name__ == "__main__":
    deployment.apply()

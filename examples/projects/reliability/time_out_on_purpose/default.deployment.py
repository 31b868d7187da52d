"""Registers "Time out on purpose/default"."""

from flow import time_out_on_purpose
from prefect.deployments import Deployment

deployment = Deployment.build_from_flow(
    flow=time_out_on_purpose,
    name="default",
    version="1",
    description="Ends as TimedOut after two seconds.",
    tags=["reliability", "fails"],
    work_queue_name="default",
)

if __name__ == "__main__":
    deployment.apply()

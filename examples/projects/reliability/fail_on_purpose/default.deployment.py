"""Registers "Fail on purpose/default"."""

from flow import fail_on_purpose
from prefect.deployments import Deployment

deployment = Deployment.build_from_flow(
    flow=fail_on_purpose,
    name="default",
    version="1",
    description="Ends as Failed with a ZeroDivisionError.",
    tags=["reliability", "fails"],
    work_queue_name="default",
)

if __name__ == "__main__":
    deployment.apply()

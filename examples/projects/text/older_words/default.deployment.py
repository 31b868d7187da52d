"""Registers "Older words/default"."""

from flow import older_words
from prefect.deployments import Deployment

deployment = Deployment.build_from_flow(
    flow=older_words,
    name="default",
    version="0.4.0",
    description="Runs with inflection 0.4.0.",
    tags=["text"],
    work_queue_name="default",
)

if __name__ == "__main__":
    deployment.apply()

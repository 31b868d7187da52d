"""Registers "Newer words/default"."""

from flow import newer_words
from prefect.deployments import Deployment

deployment = Deployment.build_from_flow(
    flow=newer_words,
    name="default",
    version="0.5.1",
    description="Runs with inflection 0.5.1.",
    tags=["text"],
    work_queue_name="default",
)

if __name__ == "__main__":
    deployment.apply()

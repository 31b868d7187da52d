"""Sets the limit of the tag and registers "Limit calls/default"."""

import asyncio

from flow import LIMIT, TAG, limit_calls
from prefect import get_client
from prefect.deployments import Deployment

deployment = Deployment.build_from_flow(
    flow=limit_calls,
    name="default",
    version="1",
    description="Four calls of a service that bears two at once.",
    tags=["platform"],
    work_queue_name="default",
)


async def set_limit() -> None:
    """Create the limit, or set it again where it exists."""
    async with get_client() as client:
        await client.create_concurrency_limit(tag=TAG, concurrency_limit=LIMIT)


if __name__ == "__main__":
    # Before the deployment: a run that starts at once must find the limit.
    asyncio.run(set_limit())
    deployment.apply()

"""Creates a work pool of type process and registers "Use a pool/default" in it."""

import asyncio

from flow import use_a_pool
from prefect import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.deployments import Deployment
from prefect.exceptions import ObjectAlreadyExists

POOL = "example-processes"

deployment = Deployment.build_from_flow(
    flow=use_a_pool,
    name="default",
    version="1",
    description="Runs in a work pool of processes.",
    tags=["platform", "pool"],
    work_pool_name=POOL,
    work_queue_name="default",
)


async def create_pool() -> None:
    """Create the pool; one that exists is left as it is."""
    async with get_client() as client:
        try:
            await client.create_work_pool(WorkPoolCreate(name=POOL, type="process"))
        except ObjectAlreadyExists:
            pass


if __name__ == "__main__":
    asyncio.run(create_pool())
    deployment.apply()

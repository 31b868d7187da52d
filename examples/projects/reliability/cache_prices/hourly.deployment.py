"""Registers "Cache prices/hourly"."""

from datetime import timedelta

from flow import cache_prices
from prefect.client.schemas.schedules import IntervalSchedule
from prefect.deployments import Deployment

deployment = Deployment.build_from_flow(
    flow=cache_prices,
    name="hourly",
    version="1",
    description="Looks a price up twice; the second time it comes from the cache.",
    tags=["reliability"],
    work_queue_name="default",
    schedule=IntervalSchedule(interval=timedelta(hours=1)),
    parameters={"fruit": "pear"},
)

if __name__ == "__main__":
    deployment.apply()

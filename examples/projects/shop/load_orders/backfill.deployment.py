"""Registers "Load orders/backfill": a whole week, every twelve hours."""

from datetime import datetime, timedelta, timezone

from flow import load_orders
from prefect.client.schemas.schedules import IntervalSchedule
from prefect.deployments import Deployment

deployment = Deployment.build_from_flow(
    flow=load_orders,
    name="backfill",
    version="1.4.0",
    description="Loads the last week again, for orders that were changed late.",
    tags=["shop", "backfill"],
    work_queue_name="default",
    # The anchor decides at which minute the interval fires; without one it
    # would move with every redeploy.
    schedule=IntervalSchedule(
        interval=timedelta(hours=12),
        anchor_date=datetime(2024, 1, 1, 3, 30, tzinfo=timezone.utc),
    ),
    parameters={"days": 7},
)

if __name__ == "__main__":
    deployment.apply()

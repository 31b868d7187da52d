"""Registers "Hello/default". Run this file in its own folder."""

from flow import hello
from prefect.client.schemas.schedules import CronSchedule
from prefect.deployments import Deployment

deployment = Deployment.build_from_flow(
    flow=hello,
    name="default",
    version="1",
    description="Say here when and for whom it runs.",
    tags=["start"],
    work_queue_name="default",
    schedule=CronSchedule(cron="0 8 * * *", timezone="Europe/Oslo"),
    parameters={"count": 3},
)

if __name__ == "__main__":
    deployment.apply()

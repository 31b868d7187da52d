"""Registers "Load orders/daily": one day, every morning, on the queue "kubernetes"."""

from flow import load_orders
from prefect.client.schemas.schedules import CronSchedule
from prefect.deployments import Deployment

deployment = Deployment.build_from_flow(
    flow=load_orders,
    name="daily",
    version="1.4.0",
    description="Loads yesterday's orders before the working day begins.",
    tags=["shop", "daily"],
    work_queue_name="kubernetes",
    # Six o'clock on the wall in Oslo, in summer as in winter.
    schedule=CronSchedule(cron="0 6 * * *", timezone="Europe/Oslo"),
    parameters={"days": 1},
)

if __name__ == "__main__":
    deployment.apply()

"""Registers "Report orders/weekdays"."""

from flow import report_orders
from prefect.client.schemas.schedules import CronSchedule
from prefect.deployments import Deployment

deployment = Deployment.build_from_flow(
    flow=report_orders,
    name="weekdays",
    version="2",
    description="The report, from Monday to Friday.",
    tags=["shop", "report"],
    work_queue_name="default",
    schedule=CronSchedule(cron="0 9 * * 1-5", timezone="Europe/Oslo"),
)

if __name__ == "__main__":
    deployment.apply()

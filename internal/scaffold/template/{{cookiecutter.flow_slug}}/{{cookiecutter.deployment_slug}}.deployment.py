"""Registers "{{ cookiecutter.flow }}/{{ cookiecutter.deployment }}". Run this file in its own folder."""

from flow import {{ cookiecutter.flow_slug }}
{%- if cookiecutter.schedule == "cron" %}
from prefect.client.schemas.schedules import CronSchedule
{%- endif %}
from prefect.deployments import Deployment

deployment = Deployment.build_from_flow(
    flow={{ cookiecutter.flow_slug }},
    name="{{ cookiecutter.deployment }}",
    version="1",
    description="Say here when and for whom it runs.",
    tags=["{{ cookiecutter.project }}"],
    work_queue_name="{{ cookiecutter.queue }}",
{%- if cookiecutter.schedule == "cron" %}
    schedule=CronSchedule(cron="{{ cookiecutter.cron }}", timezone="{{ cookiecutter.timezone }}"),
{%- endif %}
    parameters={"count": 3},
)

if __name__ == "__main__":
    deployment.apply()

"""Registers three deployments of one flow from one file.

All but their names, schedules and parameters is shared: that is when a loop is
better than three files.
"""

from flow import count_stock
from prefect.client.schemas.schedules import CronSchedule, RRuleSchedule
from prefect.deployments import Deployment

REGIONS = {
    "north": {
        "schedules": [CronSchedule(cron="30 7 * * *", timezone="Europe/Oslo")],
        "parameters": {"region": "north", "at_least": 20},
    },
    "south": {
        # The last working day of each month, at noon: what cron cannot say.
        "schedules": [
            RRuleSchedule(
                rrule="FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1;BYHOUR=12;BYMINUTE=0;BYSECOND=0",
                timezone="Europe/Madrid",
            )
        ],
        "parameters": {"region": "south", "at_least": 50},
    },
    # Nothing but by hand.
    "west": {"schedules": [], "parameters": {"region": "west"}},
}

if __name__ == "__main__":
    for name, settings in REGIONS.items():
        deployment = Deployment.build_from_flow(
            flow=count_stock,
            name=name,
            version="3",
            description=f"Counts the stock of the region {name}.",
            tags=["platform", f"region:{name}"],
            work_queue_name="default",
            **settings,
        )
        deployment.apply()

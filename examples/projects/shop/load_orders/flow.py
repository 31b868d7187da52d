"""Reads the orders of some days and adds them up, one mapped task per day.

The same flow has two deployments, daily and backfill, that differ in schedule,
queue and parameters only.
"""

from datetime import date, timedelta

from prefect import flow, get_run_logger, task


@task
def list_days(last_day: date, days: int) -> list[date]:
    """The days to load, oldest first."""
    return [last_day - timedelta(days=back) for back in reversed(range(days))]


@task(task_run_name="read {day}")
def read_orders(day: date) -> list[int]:
    """The order amounts of one day: made up, but the same for the same day."""
    return [(day.toordinal() * number) % 97 for number in range(1, 6)]


@task
def add_up(amounts: list[int]) -> int:
    return sum(amounts)


@flow(name="Load orders")
def load_orders(days: int = 1, last_day: date = date(2024, 2, 29)) -> int:
    """Load the orders of a number of days and return their total."""
    # .map starts one task run per day, and a mapped task accepts the futures of
    # another one: a day is added up as soon as it is read.
    orders = read_orders.map(list_days(last_day, days))
    totals = [future.result() for future in add_up.map(orders)]

    get_run_logger().info("loaded %d days, total %d", len(totals), sum(totals))
    if len(totals) != days:
        raise RuntimeError(f"asked for {days} days, loaded {len(totals)}")
    return sum(totals)


if __name__ == "__main__":
    load_orders()

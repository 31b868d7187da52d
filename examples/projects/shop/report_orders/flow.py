"""Leaves three artifacts behind: a table, a text in Markdown and a link."""

from prefect import flow, get_run_logger, task
from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_table_artifact,
)

SOLD = {"apples": 120, "pears": 45, "plums": 80}


@task
def write_table() -> None:
    rows = [{"fruit": fruit, "sold": sold} for fruit, sold in SOLD.items()]
    create_table_artifact(key="orders-table", table=rows, description="Sold per fruit")


@task
def write_report() -> None:
    best = max(SOLD, key=SOLD.get)
    # The key is what ties the versions together: each run adds one.
    create_markdown_artifact(
        key="orders-report",
        markdown=f"# Orders\n\n**{sum(SOLD.values())}** sold, most of them *{best}*.\n",
        description="The report in words",
    )


@task
def write_link() -> None:
    create_link_artifact(
        key="orders-source",
        link="https://example.com/orders.csv",
        link_text="orders.csv",
        description="Where the numbers come from",
    )


@flow(name="Report orders")
def report_orders() -> None:
    """Write the report of the day as artifacts."""
    write_table()
    write_report()
    write_link()
    get_run_logger().info("wrote three artifacts")


if __name__ == "__main__":
    report_orders()

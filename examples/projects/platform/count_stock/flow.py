"""Counts the stock of one region. One file registers a deployment for each region."""

from prefect import flow, get_run_logger, task

STOCK = {"north": [4, 8, 15], "south": [16, 23], "west": [42]}


@task
def count(shelf: int) -> int:
    return shelf


@flow(name="Count stock", flow_run_name="count {region}")
def count_stock(region: str, at_least: int = 0) -> int:
    """Add up the shelves of a region; too little stock is worth a warning."""
    logger = get_run_logger()
    total = sum(future.result() for future in count.map(STOCK[region]))
    logger.info("%s holds %d", region, total)
    if total < at_least:
        logger.warning("%s should hold at least %d", region, at_least)
    return total


if __name__ == "__main__":
    count_stock("north")

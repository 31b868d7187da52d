"""A flow made of other flows: a subflow, and a run of another deployment.

It also imports a module that lies outside its own folder, shared/money.py. How the
deployment makes that work is explained in default.deployment.py.
"""

from prefect import flow, get_run_logger, task
from prefect.deployments import run_deployment
from shared.money import as_money


@task
def amount(number: int) -> int:
    return number * 1999


@flow(name="Count the till")
def count_the_till(orders: int) -> int:
    """A subflow: an ordinary flow, called like a function, with a run of its own."""
    return sum(future.result() for future in amount.map(range(1, orders + 1)))


@flow(name="Close day")
def close_day(orders: int = 5) -> str:
    """Count the till here, and load the orders in a run of its own deployment."""
    logger = get_run_logger()

    till = as_money(count_the_till(orders))
    logger.info("the till holds %s", till)

    # run_deployment creates a run that an agent picks up, in that deployment's own
    # environment, and waits for its end. A run that nobody picks up would be waited
    # for for ever: the timeout says when to give up.
    load = run_deployment(
        "Load orders/backfill",
        parameters={"days": 2},
        timeout=600,
        poll_interval=1,
    )
    if not load.state.is_completed():
        raise RuntimeError(f"loading the orders ended as {load.state}")
    logger.info("orders loaded by the run %s", load.name)
    return till

"""Caching: the second call with the same input ends as Cached, without running.

Run the deployment twice within ten minutes, and the second run finds even its first
call Cached.
"""

from datetime import timedelta

from prefect import flow, get_run_logger, task


def price_key(context, parameters: dict) -> str:
    """What makes two calls the same one.

    Prefect's ready-made task_input_hash takes the path of this file into account, and
    an agent copies the file to a new folder for each run: it would find what the same
    run has cached, never what an earlier run has.
    """
    return f"example-price-{parameters['fruit']}"


@task(
    cache_key_fn=price_key,
    cache_expiration=timedelta(minutes=10),
    persist_result=True,  # a cached result is read back from where it was stored
)
def look_up_price(fruit: str) -> int:
    """Pretend that this takes long, or costs money."""
    return len(fruit) * 10


@flow(name="Cache prices")
def cache_prices(fruit: str = "apple") -> int:
    """Look the same price up twice."""
    logger = get_run_logger()
    first = look_up_price(fruit, return_state=True)
    second = look_up_price(fruit, return_state=True)
    logger.info("first call: %s, second call: %s", first.name, second.name)

    if second.name != "Cached":
        raise RuntimeError(f"the second call ended as {second.name}, not Cached")
    if first.result() != second.result():
        raise RuntimeError("the cached price differs from the first one")
    return second.result()


if __name__ == "__main__":
    cache_prices()

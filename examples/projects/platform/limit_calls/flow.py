"""A concurrency limit on a tag: four calls, never more than two at the same time.

Nothing in the flow limits anything. The server does, for every task run that carries
the tag, whichever flow it belongs to.
"""

import time

from prefect import flow, get_run_logger, task

TAG = "example-small-service"
LIMIT = 2


@task(tags=[TAG])
def call(number: int) -> tuple[float, float]:
    """One call of a service that bears two callers; returns when it began and ended."""
    began = time.time()
    time.sleep(1)
    return began, time.time()


def most_at_once(calls: list[tuple[float, float]]) -> int:
    """The largest number of calls under way at one moment."""
    return max(
        sum(other_began <= began < other_ended for other_began, other_ended in calls)
        for began, _ in calls
    )


@flow(name="Limit calls")
def limit_calls(calls: int = 4) -> int:
    """Start all calls together and see that they took turns."""
    results = [future.result() for future in call.map(range(calls))]
    together = most_at_once(results)
    get_run_logger().info("%d calls, at most %d at once", calls, together)
    if together > LIMIT:
        raise RuntimeError(f"{together} calls at once, {LIMIT} are allowed")
    return together


if __name__ == "__main__":
    limit_calls()

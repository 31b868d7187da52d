"""A flow for a work pool: a worker picks it up instead of an agent."""

import os

from prefect import flow, get_run_logger


@flow(name="Use a pool")
def use_a_pool() -> int:
    """Say which process this is: the worker starts one per run."""
    get_run_logger().info("running in process %d", os.getpid())
    return os.getpid()


if __name__ == "__main__":
    use_a_pool()

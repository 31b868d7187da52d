"""A flow that fails, so that you know what a failure looks like before you need to."""

from prefect import flow, get_run_logger, task


@task
def divide(amount: int, by: int) -> float:
    return amount / by


@flow(name="Fail on purpose")
def fail_on_purpose(by: int = 0) -> float:
    """Divide by zero. Run it with by=2 and it succeeds."""
    get_run_logger().info("about to divide by %d", by)
    return divide(10, by)


if __name__ == "__main__":
    fail_on_purpose()

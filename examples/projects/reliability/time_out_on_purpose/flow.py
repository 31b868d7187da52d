"""A flow that takes longer than it may, and ends as TimedOut."""

import time

from prefect import flow, get_run_logger


@flow(name="Time out on purpose", timeout_seconds=2)
def time_out_on_purpose(seconds: int = 20) -> None:
    """Wait in small steps. Run it with seconds=1 and it completes."""
    get_run_logger().info("going to take %d seconds, two are allowed", seconds)
    # Python can interrupt the thread of a flow only between two steps of it, never
    # within one long call: many short sleeps stop in time, one long one would not.
    for _ in range(seconds * 10):
        time.sleep(0.1)


if __name__ == "__main__":
    time_out_on_purpose()

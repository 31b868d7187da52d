"""Retries: a task that fails twice and then succeeds, in a flow that fails once.

Nothing here is random. The attempt is counted by Prefect, so that the runs of everyone
who tries this look the same.
"""

from prefect import flow, get_run_logger, task
from prefect.runtime import flow_run, task_run

FAILURES = 2


@task(retries=3, retry_delay_seconds=0.5)
def download() -> str:
    """Fails on the first two attempts, as a tired server would."""
    if task_run.run_count <= FAILURES:
        raise ConnectionError(f"no answer at attempt {task_run.run_count}")
    return f"downloaded at attempt {task_run.run_count}"


@flow(name="Retry download", retries=1, retry_delay_seconds=1)
def retry_download() -> str:
    """Download, and fail once afterwards to show a retry of the whole flow."""
    logger = get_run_logger()
    message = download()
    logger.info(message)
    if flow_run.run_count == 1:
        # The task has completed: the second attempt of the flow takes its result
        # and does not download again.
        raise RuntimeError("the first attempt of the flow fails, too")
    logger.info("done at attempt %d of the flow", flow_run.run_count)
    return message


if __name__ == "__main__":
    retry_download()

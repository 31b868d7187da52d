"""{{ cookiecutter.flow }}: say here what this flow is for."""

from prefect import flow, get_run_logger, task


@task(retries=2, retry_delay_seconds=5)
def read_numbers(count: int) -> list[int]:
    """Where the data comes from. Retries are for sources that may not answer."""
    return list(range(1, count + 1))


@task
def double(number: int) -> int:
    """What happens to one item; .map runs it for many at the same time."""
    return 2 * number


@flow(name="{{ cookiecutter.flow }}")
def {{ cookiecutter.flow_slug }}(count: int = 3) -> int:
    """The parameters of this function are the parameters of its deployments."""
    numbers = read_numbers(count)
    doubled = [future.result() for future in double.map(numbers)]
    get_run_logger().info("doubled %d numbers, total %d", len(doubled), sum(doubled))
    return sum(doubled)


if __name__ == "__main__":
    {{ cookiecutter.flow_slug }}()

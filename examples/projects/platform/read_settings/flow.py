"""Settings and secrets kept on the server as blocks, read when the flow runs."""

from prefect import flow, get_run_logger, task
from prefect.blocks.system import JSON, Secret, String


@task
def call_service(token: str) -> int:
    """A secret is used, never logged: only its length leaves this function."""
    return len(token)


@flow(name="Read settings")
def read_settings() -> None:
    """Load a String, a JSON and a Secret block by name."""
    logger = get_run_logger()

    greeting = String.load("example-greeting").value
    number_format = JSON.load("example-format").value
    token = Secret.load("example-token")

    amount = f"{1234.5:.{number_format['decimals']}f} {number_format['currency']}"
    logger.info("%s! Today's amount is %s.", greeting, amount)
    # Printing the block shows asterisks; .get() is the one way to the value.
    logger.info("the token is %s, %d long", token, call_service(token.get()))

    if token.get() in str(token):
        raise RuntimeError("the secret shows when it is printed")


if __name__ == "__main__":
    read_settings()

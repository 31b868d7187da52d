"""One of two flows that cannot live in one environment.

This one pins inflection 0.4.0 in its requirements.txt, text/newer_words pins another
version. Each flow folder has an environment of its own, so both work.
"""

from importlib.metadata import version

import inflection
from prefect import flow, get_run_logger, task

PINNED = "0.4.0"


@task
def pluralize(word: str) -> str:
    return inflection.pluralize(word)


@flow(name="Older words")
def older_words(words: list[str] = ["apple", "berry", "leaf"]) -> list[str]:
    """Put words into the plural, with the pinned version of the library."""
    logger = get_run_logger()
    installed = version("inflection")
    logger.info("inflection %s", installed)
    if installed != PINNED:
        raise RuntimeError(f"requirements.txt pins {PINNED}, found {installed}")

    plurals = [future.result() for future in pluralize.map(words)]
    logger.info(", ".join(plurals))
    return plurals


if __name__ == "__main__":
    older_words()

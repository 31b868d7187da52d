"""Saves the blocks that the flow reads.

In real life the value of a secret comes from the environment or a vault, never from a
file in the repository.
"""

from prefect.blocks.system import JSON, Secret, String


def save_blocks() -> None:
    """Create the blocks, or replace them: running this twice is harmless."""
    String(value="Good morning").save("example-greeting", overwrite=True)
    JSON(value={"currency": "NOK", "decimals": 2}).save("example-format", overwrite=True)
    Secret(value="only-an-example").save("example-token", overwrite=True)


if __name__ == "__main__":
    save_blocks()

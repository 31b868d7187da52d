"""How the shop writes amounts of money."""


def as_money(cents: int) -> str:
    """Cents as a person writes them: 123456 becomes "1 234.56"."""
    whole, rest = divmod(cents, 100)
    return f"{whole:,}".replace(",", " ") + f".{rest:02d}"

"""Chance, for delays that must not fall together."""

import random


def dice() -> float:
    """A number in [0, 1), not for secrets."""
    return random.random()  # noqa: S311

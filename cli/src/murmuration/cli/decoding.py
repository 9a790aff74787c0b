"""The decode edge: bytes from the site become what the contract says, or a Failure."""

from typing import TypeVar

import msgspec

from murmuration.cli.errors import Failed

T = TypeVar("T")


def decode(body: bytes, kind: type[T]) -> T:
    """An answer as its contract says. Raises Failed when it is something else."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise Failed(
            f"The site's answer is not what mur expects: {error}.",
            "Versions of mur and of the site may be too far apart: compare `mur --version` "
            "and `mur site`.",
        ) from error

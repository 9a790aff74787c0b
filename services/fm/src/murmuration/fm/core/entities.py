"""Entities as correlation compares them: paths of components, looked up again and again.

Beside the grammar of `murmuration.proto.entities`: what follows the name of a host after a dot is a
component of its own (`host=c-1.ntp`), for a host's name is an RFC 1123 label.
"""

from functools import lru_cache

from murmuration.proto import entities

HOST = "host"
ENTITIES_KEPT = 2_048  # an alarm is taken apart several times, in a row


@lru_cache(maxsize=ENTITIES_KEPT)
def components(entity: str) -> tuple[str, ...]:
    """The components of an entity: `host=c-1.port=eth0` is `("host=c-1", "port=eth0")`."""
    found: list[str] = []
    for part in entities.components(entity):
        host, dot, rest = part.partition(".")
        found.extend((host, rest) if dot and host.startswith(f"{HOST}=") else (part,))
    return tuple(found)


def component(path: tuple[str, ...], key: str) -> str:
    """The first component of this key, `key=value`; empty when there is none."""
    start = f"{key}="
    return next((part for part in path if part.startswith(start)), "")


def value(path: tuple[str, ...], key: str) -> str:
    """The value of the first component of this key; empty when there is none."""
    return component(path, key)[len(key) + 1 :]


def is_below(path: tuple[str, ...], outer: tuple[str, ...]) -> bool:
    """Whether `path` is `outer` itself or lies inside it."""
    return path[: len(outer)] == outer

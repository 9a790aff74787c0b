"""Entity names as paths: what an alarm is about, outermost container first.

The names come from many hands: `key=value` pairs joined by dots, sometimes by commas, with values
that hold dots themselves (`host=c-1.ntp=10.1.2.3`) and words without a key (`cinder_io_monitor`).
A pair begins where a dot or comma is followed by `key=`; everything up to there is its value.

Invariants: any text is a path of at least one component; components compare whole, so that
`host=c-1` is never a part of `host=c-10`.
"""

import re
from functools import lru_cache
from itertools import pairwise

HOST = "host"
ENTITIES_KEPT = 2_048  # an alarm is taken apart several times, in a row
_PAIR = re.compile(r"(?:^|[.,])(?=[A-Za-z_][A-Za-z0-9_-]*=)")


@lru_cache(maxsize=ENTITIES_KEPT)
def components(entity: str) -> tuple[str, ...]:
    """The components of a name: `host=c-1.port=eth0` is `("host=c-1", "port=eth0")`."""
    starts = [match.end() for match in _PAIR.finditer(entity)]
    if not starts:
        return (entity,)
    found: list[str] = []
    if starts[0] > 0:
        found.append(entity[: starts[0] - 1])
    for first, after in pairwise([*starts, len(entity) + 1]):
        found.extend(_pair(entity[first : after - 1]))
    return tuple(found)


def _pair(text: str) -> tuple[str, ...]:
    """One pair; a host's name is an RFC 1123 label, so what follows its dot is a component."""
    if text.startswith(f"{HOST}=") and "." in text:
        host, _, rest = text.partition(".")
        return (host, rest)
    return (text,)


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

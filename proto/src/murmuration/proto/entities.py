"""Entity paths of alarms: `key=value` components, outermost first, joined by `.` (or `,`).

The grammar of the field is loose: values hold dots (`ntp=10.1.2.3`), some components have no `=`.
So a piece without `=` belongs to the value before it; behind a host's name, which is an RFC 1123
label, it is a component of its own (`host=c-1.ntp`). Components are compared whole: `host=c-1`
never means `host=c-10`.
"""

import re
from functools import lru_cache

_KEPT = 4_096  # entities taken apart lately: one message asks several times
_PIECE = re.compile(r"[.,]")
END = "\x1f"  # after each component of a path; an entity has no control characters
_HOST = "host="
_AFTER_END = "\x20"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


@lru_cache(maxsize=_KEPT)
def components(entity: str) -> tuple[str, ...]:
    """The components of an entity: `host=a.interface=eth0` gives two."""
    pieces = _PIECE.split(entity)
    if all("=" in piece for piece in pieces):
        return tuple(pieces)
    found: list[str] = []
    start = 0
    for piece in pieces:
        end = start + len(piece)
        if "=" in piece or not found or found[-1].startswith(_HOST):
            found.append(piece)
        else:
            found[-1] += entity[start - 1 : end]
        start = end + 1
    return tuple(found)


def host_of(entity: str) -> str | None:
    """The host an entity belongs to, or None. With several, the outermost."""
    for component in components(entity):
        if component.startswith(_HOST) and component != _HOST:
            return component.removeprefix(_HOST)
    return None


@lru_cache(maxsize=_KEPT)
def path_of(entity: str) -> str:
    """The entity as text in which "on or below" is "begins with": each component ended by END."""
    return END.join(components(entity)) + END


def above(path: str) -> list[str]:
    """The paths on and above `path`, outermost first."""
    found: list[str] = []
    place = path.find(END)
    while place >= 0:
        found.append(path[: place + 1])
        place = path.find(END, place + 1)
    return found


def path_range(path: str) -> tuple[str, str]:
    """The half-open range, by code points, in which exactly the paths on and below `path` lie."""
    return path, path[:-1] + _AFTER_END


def fault_of(entity: str) -> str | None:
    """Why a text is no entity, in a phrase; None for a good one."""
    if _CONTROL.search(entity):
        return "it has control characters"
    if entity != entity.strip():
        return "it begins or ends with a blank"
    return None if entity else "it is empty"

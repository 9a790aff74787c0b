"""Entity paths of alarms: `key=value` components, outermost first, joined by `.` (or `,`).

The grammar of the field is loose: values hold dots (`ntp=10.1.2.3`), some components have no `=`.
So a piece without `=` belongs to the value before it. Components are compared whole: `host=c-1`
never means `host=c-10`.
"""

import re

_PIECE = re.compile(r"[.,]")


def components(path: str) -> tuple[str, ...]:
    """The components of an entity path: `host=a.interface=eth0` gives two."""
    found: list[str] = []
    start = 0
    for piece in _PIECE.split(path):
        end = start + len(piece)
        if "=" in piece or not found:
            found.append(piece)
        else:
            found[-1] += path[start - 1 : end]
        start = end + 1
    return tuple(found)


def host_of(path: str) -> str | None:
    """The host an entity belongs to, or None. With several, the outermost."""
    for component in components(path):
        key, _, value = component.partition("=")
        if key == "host" and value:
            return value
    return None

"""What changed between two looks at the links of a host, keyed by name."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from murmuration.proto.sysinv import Link

LINK_COUNT_MAX = 512  # at about 250 bytes each a report stays under half of the largest body


@dataclass(frozen=True, slots=True)
class LinkChange:
    """Links to be told: new or different ones whole, gone ones by name."""

    changed: tuple[Link, ...]
    removed: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.changed or self.removed)


def by_name(links: Iterable[Link]) -> dict[str, Link]:
    """Links by name, in order of kernel index, at most LINK_COUNT_MAX of them."""
    ordered = sorted(links, key=lambda link: (link.index, link.name))
    return {link.name: link for link in ordered[:LINK_COUNT_MAX]}


def difference(before: Mapping[str, Link], after: Mapping[str, Link]) -> LinkChange:
    """What turns `before` into `after`."""
    return LinkChange(
        changed=tuple(link for name, link in after.items() if before.get(name) != link),
        removed=tuple(name for name in before if name not in after),
    )

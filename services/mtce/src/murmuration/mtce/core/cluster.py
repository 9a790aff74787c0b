"""What a Kubernetes node should bear for the host it is: cordon, taints, evictions.

| host | cordon | `services=disabled:NoExecute` | out-of-service | pods |
|---|---|---|---|---|
| in service | no | no | no | stay |
| locked | yes | once it is empty | no | evicted, as disruption budgets allow |
| released | yes | yes | yes | deleted by Kubernetes: they are proven to run no more |

Invariants
- What somebody else cordoned or tainted is left as it is: what is ours stands in one annotation of
  the node, written in the same patch as the thing itself.
- A host that runs is never given the out-of-service taint: Kubernetes then starts its pods anew
  elsewhere without asking.
- The same node and wish give the same patch; a node that is as wished gives none.
"""

import enum
from dataclasses import dataclass
from typing import Final

OWNED: Final = "murmuration.io/owned"


class Part(enum.StrEnum):
    """What may be ours on a node."""

    CORDON = "cordon"
    SERVICES = "services"
    OUT_OF_SERVICE = "out-of-service"


@dataclass(frozen=True, slots=True, order=True)
class Taint:
    """One taint; two are the same when key and effect are."""

    key: str
    value: str
    effect: str

    @property
    def kind(self) -> tuple[str, str]:
        """What Kubernetes tells taints apart by."""
        return self.key, self.effect


TAINTS: Final = {
    Part.SERVICES: Taint("services", "disabled", "NoExecute"),
    Part.OUT_OF_SERVICE: Taint("node.kubernetes.io/out-of-service", "nodeshutdown", "NoExecute"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A node as the cluster has it."""

    name: str
    version: str
    cordoned: bool
    taints: tuple[Taint, ...]
    owned: frozenset[Part]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is known of the host."""

    locked: bool
    released: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What is to be different on a node, all of it in one patch."""

    name: str
    version: str
    cordoned: bool
    taints: tuple[Taint, ...]
    owned: frozenset[Part]


def wanted(wish: Wish, *, empty: bool) -> frozenset[Part]:
    """What a node is to bear; `empty`: nothing that can be evicted runs on it."""
    if wish.released:
        return frozenset(Part)
    if wish.locked:
        return frozenset({Part.CORDON, Part.SERVICES} if empty else {Part.CORDON})
    return frozenset()


def change(node: Node, wish: Wish, *, empty: bool) -> Change | None:
    """The patch that brings a node to its wish, None when it is there."""
    parts = wanted(wish, empty=empty)
    there = {taint.kind for taint in node.taints}
    others = {part for part in Part if part not in node.owned and _bears(node, part, there)}
    owned = frozenset(parts - others)
    cordoned = Part.CORDON in parts or (node.cordoned and Part.CORDON not in node.owned)
    ours = {TAINTS[part].kind for part in TAINTS if part in node.owned}
    taints = [taint for taint in node.taints if taint.kind not in ours]
    taints += [TAINTS[part] for part in TAINTS if part in owned]
    wished = tuple(sorted(taints))
    now = (node.cordoned, tuple(sorted(node.taints)), node.owned)
    if now == (cordoned, wished, owned):
        return None
    return Change(
        name=node.name, version=node.version, cordoned=cordoned, taints=wished, owned=owned
    )


def drains(wish: Wish) -> bool:
    """Whether pods are to be evicted: of a released host they run no more."""
    return wish.locked and not wish.released


def _bears(node: Node, part: Part, there: set[tuple[str, str]]) -> bool:
    if part is Part.CORDON:
        return node.cordoned
    return TAINTS[part].kind in there

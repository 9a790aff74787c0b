"""StarlingX's filters, `q.field`, `q.op`, `q.type`, `q.value`: honoured exactly, or refused.

`eq` compares whole values; `contains` (ours) finds a part of one. Severities are ordered by how
bad they are, times by when they are, everything else as text.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import eq, ge, gt, le, lt, ne
from typing import Any

from murmuration.gateway.core.fm_compat.items import Item
from murmuration.kernel.errors import Rejected
from murmuration.proto.fm_vocabulary import SEVERITY_RANK, Severity

FILTERS_MAX = 20  # the client sends what a person typed
TYPES = ("", "string", "integer", "float", "datetime", "boolean")
ORDERS: Mapping[str, Callable[[Any, Any], bool]] = {
    "eq": eq,
    "ne": ne,
    "lt": lt,
    "le": le,
    "gt": gt,
    "ge": ge,
}
RANKS = {
    severity.value: rank
    for severity, rank in SEVERITY_RANK.items()
    if severity is not Severity.UNKNOWN
}
FLAGS = ("service_affecting", "suppression", "mgmt_affecting", "degrade_affecting")
TIME_FORMATS = ("%Y%m%d %H:%M:%S", "%Y%m%d", "%Y-%m-%d %H:%M:%S")


@dataclass(frozen=True, slots=True)
class Filter:
    """One condition on one key of an item."""

    field: str
    op: str
    value: str

    def fits(self, item: Item) -> bool:
        """Whether an item is like that."""
        found = str(item[self.field])
        if self.op == "contains":
            return self.value in found
        return ORDERS[self.op](_comparable(self.field, found), _comparable(self.field, self.value))


def parse_filters(
    fields: Sequence[str],
    ops: Sequence[str],
    types: Sequence[str],
    values: Sequence[str],
    *,
    known: Sequence[str],
) -> tuple[Filter, ...]:
    """The filters of a request; `known` are the keys that may be named. Raises Rejected."""
    if len(fields) != len(values) or len(fields) > FILTERS_MAX:
        raise Rejected(f"each q.field needs its q.value, {FILTERS_MAX} of them at most")
    if len(ops) not in (0, len(fields)) or len(types) not in (0, len(fields)):
        raise Rejected("q.op and q.type are given for each q.field or for none")
    found: list[Filter] = []
    for place, field in enumerate(fields):
        op = (ops[place] if ops else "") or "eq"
        kind = types[place] if types else ""
        if field not in known:
            raise Rejected(f"there is no field {field[:40]!r}: known are {', '.join(known)}")
        if op not in ORDERS and op != "contains":
            raise Rejected(f"the operator {op[:20]!r} is none of {', '.join(ORDERS)}, contains")
        if kind not in TYPES:
            raise Rejected(f"the type {kind[:20]!r} is none of {', '.join(TYPES[1:])}")
        _check_value(field, values[place])
        found.append(Filter(field, op, values[place]))
    return tuple(found)


def one_value(filters: Sequence[Filter], field: str) -> str | None:
    """The value that a field must have, where a filter says so."""
    return next((each.value for each in filters if (each.field, each.op) == (field, "eq")), None)


def parse_time(text: str) -> datetime:
    """A moment as the client writes it: ISO 8601, or `20260131 10:23:45`; UTC. Raises Rejected."""
    for layout in TIME_FORMATS:
        try:
            return datetime.strptime(text, layout).replace(tzinfo=UTC)
        except ValueError:
            continue
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise Rejected(f"{text[:40]!r} is no moment: write 20260131 10:23:45") from error
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def _check_value(field: str, text: str) -> None:
    """Refuse what the field can never be. Raises Rejected."""
    if field == "severity" and text not in RANKS:
        raise Rejected(f"severity is one of {', '.join(RANKS)}, not {text[:40]!r}")
    if field == "timestamp":
        parse_time(text)


def _comparable(field: str, text: str) -> object:
    """A value as it is compared with others of its field."""
    if field == "severity":
        return RANKS.get(text, 0)
    if field == "timestamp":
        return parse_time(text)
    if field in FLAGS:
        return text.lower()
    return text

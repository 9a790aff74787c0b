"""Traces of the hosts' machines: each call with what it was given and what came of it.

`[mtce] trace` names the file. A line (JSON) is a call and stands by itself: the record, what is
declared and seen, the time, the policy where it is not the default, and the steps.
`python -m murmuration.mtce.replay TRACE` runs them through the machines of today; a trace put
beside the tests is a test. A call whose transaction did not come to its end is told too: it is made
again.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from datetime import datetime
from functools import cache
from typing import Any, Final, get_type_hints

import msgspec

from murmuration.kernel.errors import Rejected
from murmuration.mtce.core.dead_office import DeadOffice
from murmuration.mtce.core.machines import Machines
from murmuration.mtce.core.model import Axes, Condition, HostRecord, HostStep
from murmuration.mtce.core.policy import Policy

CALLS: Final = (
    *("admit", "settle", "due", "settled_effect", "order", "forget"),
    *("ailing", "unfit", "power_seen", "asked", "released", "storm"),
)
Tell = Callable[[bytes], None]


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One call. `policy`: where it is not the default; `patience`: the end of dead office recovery;
    `given`: the call's arguments by name; `steps`: what came of it.
    """

    call: str
    policy: dict[str, Any]
    patience: datetime | None
    given: dict[str, Any]
    steps: list[Any]

    @property
    def at(self) -> datetime:
        """When it was. Raises Rejected."""
        return _convert(self.given.get("now"), datetime)

    @property
    def host(self) -> str:
        """Whom it was about."""
        return str(_convert(self.given.get("declared"), dict[str, Any]).get("name", ""))


class TracedMachines(Machines):
    """The machines, telling of each call with what came of it; `tell` is given a line's bytes."""

    def __init__(self, policy: Policy, dead_office: DeadOffice, tell: Tell) -> None:
        super().__init__(policy, dead_office)
        self.tell = tell


def _traced(call: str) -> Callable[..., HostStep | tuple[HostStep, ...]]:
    method = getattr(Machines, call)
    names = tuple(get_type_hints(method))

    def traced(
        machines: TracedMachines, *given: object, **named: object
    ) -> HostStep | tuple[HostStep, ...]:
        made = method(machines, *given, **named)
        line = Line(
            call=call,
            policy=_differing(machines.policy),
            patience=machines.dead_office.until,
            given={**dict(zip(names, given, strict=False)), **named},
            steps=list(made) if isinstance(made, tuple) else [made],
        )
        machines.tell(msgspec.json.encode(line) + b"\n")
        return made

    return traced


for _call in CALLS:
    setattr(TracedMachines, _call, _traced(_call))


def decode(lines: Iterable[bytes]) -> Iterator[Line]:
    """The calls of a trace, in order. Raises Rejected, naming the line that is wrong."""
    decoder = msgspec.json.Decoder(Line)
    for number, line in enumerate(lines, start=1):
        try:
            read = decoder.decode(line)
        except msgspec.DecodeError as error:
            raise Rejected(f"line {number} of the trace: {error}") from error
        if read.call not in CALLS:
            raise Rejected(f"line {number} of the trace: there is no call {read.call!r}")
        yield read


def replay(line: Line) -> list[Any]:
    """What the machines of today make of a call, as a line has it. Raises Rejected."""
    machines = Machines(_convert(line.policy, Policy), DeadOffice(until=line.patience))
    method = getattr(machines, line.call)
    hints = _hints(getattr(Machines, line.call))
    if line.given.keys() != hints.keys() - {"return"}:
        raise Rejected(f"{line.call} of this version does not take {', '.join(line.given)}")
    given = {name: _argument(value, hints[name]) for name, value in line.given.items()}
    made = method(**given)
    return msgspec.json.decode(msgspec.json.encode(made if isinstance(made, tuple) else [made]))


def _argument(value: Any, wanted: Any) -> Any:
    return _record(value) if wanted is HostRecord else _convert(value, wanted)


def _record(value: Any) -> HostRecord:
    """A record; its condition, an enum of tuples, is beyond the library. Raises Rejected."""
    hints = _hints(HostRecord)
    parts = _convert(value, dict[str, Any])
    try:
        condition = Condition(_convert(parts.pop("condition"), Axes))
        kept = {name: _convert(part, hints[name]) for name, part in parts.items()}
        return HostRecord(condition=condition, **kept)
    except (KeyError, TypeError, ValueError) as error:
        raise Rejected(f"its record is not one of this version: {error}") from error


@cache
def _hints(what: Callable[..., Any]) -> dict[str, Any]:
    return get_type_hints(what)


def _convert(value: Any, wanted: Any) -> Any:
    try:
        return msgspec.convert(value, wanted)
    except msgspec.ValidationError as error:
        raise Rejected(f"the trace is not one of this version: {error}") from error


def _differing(policy: Policy) -> dict[str, Any]:
    default = Policy()
    return {
        field.name: getattr(policy, field.name)
        for field in fields(Policy)
        if getattr(policy, field.name) != getattr(default, field.name)
    }

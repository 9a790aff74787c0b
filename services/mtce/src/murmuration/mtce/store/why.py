"""Why hosts are as they are: the last decisions about each, with their evidence."""

from collections.abc import Iterable, Mapping

import asyncpg
import msgspec

from murmuration.mtce.core.model import HostEvent, HostRecord
from murmuration.proto.envelope import encode
from murmuration.proto.mtce import (
    WHY_STEPS_MAX,
    HostForgotten,
    HostStateChanged,
    HostStep,
    OperationAccepted,
    OperationCompleted,
    OperationFailed,
    OperationRefused,
)

KEEP = """
insert into host_step (host, step)
select host, step::jsonb || jsonb_build_object('at', clock_timestamp())
from unnest($1::text[], $2::text[]) as given (host, step)
"""
LAST = "select step::text from host_step where host = $1 order by id desc limit $2"
TRIM = """
delete from host_step s using (
    select id, row_number() over (partition by host order by id desc) as place from host_step
) as placed where s.id = placed.id and placed.place > $1
"""
FORGET = "delete from host_step where host = $1"
_DECODER = msgspec.json.Decoder(HostStep)


_ENDS: dict[type[HostEvent], str] = {
    OperationAccepted: "accepted",
    OperationRefused: "refused",
    OperationCompleted: "completed",
    OperationFailed: "failed",
}


async def keep(
    connection: asyncpg.Connection, told: Iterable[HostEvent], left: Mapping[str, HostRecord]
) -> None:
    """Keep what was decided, in one statement; each gets the moment of it."""
    steps = [
        step_of(event, left.get(event.state.host))
        if isinstance(event, HostStateChanged)
        else _operated(event, left.get(event.operation.host))
        for event in told
        if not isinstance(event, HostForgotten)
    ]
    if steps:
        hosts, bodies = zip(*steps, strict=True)
        await connection.execute(KEEP, list(hosts), list(bodies))


def step_of(event: HostStateChanged, record: HostRecord | None) -> tuple[str, str]:
    """The host and the row of a change of state."""
    state, evidence = event.state, dict(event.evidence)
    frames = record.work.frames if record is not None else ()
    step = HostStep(
        at=state.changed_at,
        input=evidence.pop("input", ""),
        stage=", ".join(f"{frame.procedure} {frame.stage}" for frame in frames),
        state=f"{state.administrative}-{state.operational}-{state.availability}",
        operation_id=state.operation_id,
        reason=state.reason,
        evidence=evidence,
    )
    return state.host, encode(step).decode()


def _operated(
    event: OperationAccepted | OperationRefused | OperationCompleted | OperationFailed,
    record: HostRecord | None,
) -> tuple[str, str]:
    operation = event.operation
    step = HostStep(
        at=operation.at,
        input=f"{operation.action.value} {_ENDS[type(event)]}",
        state=str(record.condition) if record is not None else "",
        operation_id=operation.operation_id,
        reason=operation.reason,
    )
    return operation.host, encode(step).decode()


async def last(connection: asyncpg.Connection, host: str, limit: int) -> tuple[HostStep, ...]:
    """The last decisions about a host, oldest first."""
    rows = await connection.fetch(LAST, host, limit)
    return tuple(_DECODER.decode(row["step"]) for row in reversed(rows))


async def trim(connection: asyncpg.Connection) -> None:
    """Forget what is beyond the bound."""
    await connection.execute(TRIM, WHY_STEPS_MAX)


async def forget(connection: asyncpg.Connection, host: str) -> None:
    """Forget a host's decisions."""
    await connection.execute(FORGET, host)

"""How fm says what it derives: gates and degraded hosts; each is told when it changes."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from murmuration.fm.core.gates import Causes, Subject
from murmuration.fm.store import derived
from murmuration.proto.fm_derived import (
    DegradeAsserted,
    DegradeCleared,
    GateBlocked,
    GateFreed,
    GateState,
    HostDegrade,
)
from murmuration.store.database import Unit

GATES = "fm_gates"
DEGRADES = "fm_degrades"
Record = GateState | HostDegrade


def subject_of(record: Record) -> tuple[Subject, Causes]:
    """What a record is about, and the causes it names."""
    causes = Causes(record.cause_count, tuple(UUID(uuid).bytes for uuid in record.causes))
    if isinstance(record, GateState):
        return Subject(record.gate, ""), causes
    return Subject(None, record.host), causes


async def say(unit: Unit, subject: Subject, now: Causes, *, since: datetime, at: datetime) -> None:
    """Say and remember what affects a gate or a host; `since`: from when on it is so at all."""
    causes = tuple(str(UUID(bytes=key)) for key in now.worst)
    if subject.gate is not None:
        gate = GateState(
            gate=subject.gate,
            blocked=now.count > 0,
            causes=causes,
            cause_count=now.count,
            since=since,
        )
        await derived.save(unit.connection, gate)
        _say_gate(unit, gate)
    elif now.count:
        degrade = HostDegrade(host=subject.host, causes=causes, cause_count=now.count, since=since)
        await derived.save(unit.connection, degrade)
        _say_degrade(unit, degrade)
    else:
        await derived.delete(unit.connection, subject.host)
        cleared = DegradeCleared(host=subject.host, at=at)
        unit.emit(cleared, entity=subject.host, bucket=DEGRADES, host=subject.host)


def say_again(unit: Unit, records: Iterable[Record]) -> None:
    """Tell afresh what stands: after a new epoch, or to a stream that lost it."""
    for record in records:
        if isinstance(record, GateState):
            _say_gate(unit, record)
        else:
            _say_degrade(unit, record)


def _say_gate(unit: Unit, gate: GateState) -> None:
    name = gate.gate.value
    event = (GateBlocked if gate.blocked else GateFreed)(gate=gate.gate, state=gate)
    unit.emit(event, entity=name, bucket=GATES, state=gate, gate=name)


def _say_degrade(unit: Unit, degrade: HostDegrade) -> None:
    event = DegradeAsserted(host=degrade.host, degrade=degrade)
    unit.emit(event, entity=degrade.host, bucket=DEGRADES, state=degrade, host=degrade.host)

"""Storms, carried out: rows, alarms and what becomes of their hosts, in one transaction.

One alarm stands for the cause and names its hosts, so that their alarms can be put under it.
Operators know log 200.020 for hosts that are held for an unknown cause.
"""

import contextlib
import ipaddress
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from murmuration.kernel.clock import Clock
from murmuration.mtce.core import storm as core
from murmuration.mtce.core.logs import EVENT, log
from murmuration.mtce.core.machines import Machines
from murmuration.mtce.core.model import HostStep
from murmuration.mtce.core.storm import Begun, Kind, Share, Storm, StormPolicy
from murmuration.mtce.handlers.steps import PRODUCER, carry_out, emit_log
from murmuration.mtce.ports import Observer
from murmuration.mtce.store import hosts, storms
from murmuration.proto.fm import AlarmType, ClearAlarm, RaiseAlarm, Severity
from murmuration.proto.ids import HostName
from murmuration.proto.sysinv import Host
from murmuration.store.database import Unit

STORM_ALARM: Final = "200.017"
PREFIX_V4: Final = 24  # of a management network, where nothing tells it better
PREFIX_V6: Final = 64
LABELS: Final = {"rack": Kind.RACK, "power": Kind.POWER, "broker": Kind.BROKER}
NAMED_MAX: Final = 20  # hosts named in an alarm; all stand in the storm's record
_ENTITY: Final = {kind: kind.name.lower() for kind in Kind}


def shares_of(host: Host) -> frozenset[Share]:
    """What a host shares with others, by what sysinv tells of it."""
    found = {Share(kind, host.labels[key]) for key, kind in LABELS.items() if host.labels.get(key)}
    switch = _switch_of(host)
    if switch:
        found.add(Share(Kind.SWITCH, switch))
    with contextlib.suppress(ValueError):
        address = ipaddress.ip_address(host.address)
        prefix = PREFIX_V4 if address.version == 4 else PREFIX_V6
        network = ipaddress.ip_network((address, prefix), strict=False)
        found.add(Share(Kind.NETWORK, str(network)))
    return frozenset(found)


def _switch_of(host: Host) -> str:
    """The switch without which a host is not heard: its management port's, or the only one."""
    cabled = [link for link in host.links if link.neighbour is not None]
    own = [
        link
        for link in cabled
        if any(address.partition("/")[0] == host.address for address in link.addresses)
    ]
    switches = {link.neighbour.system for link in own or cabled if link.neighbour is not None}
    return switches.pop() if len(switches) == 1 else ""


class StormHandlers:
    """Brings storms to what is recorded of hosts; repeating it changes nothing more."""

    def __init__(
        self, clock: Clock, observer: Observer, machines: Machines, policy: StormPolicy
    ) -> None:
        self._clock = clock
        self._observer = observer
        self._machines = machines
        self._policy = policy

    async def settle(self, unit: Unit) -> tuple[list[HostStep], list[str]]:
        """What storms begin, grow, calm and end now: the hosts' steps, and sentences of why."""
        now = self._clock.now()
        if not self._work_out(await storms.facts(unit.connection), now):
            return [], []
        await hosts.lock(unit.connection)
        facts = await storms.facts(unit.connection)
        step = self._work_out(facts, now)
        known = {one.number: one for one in facts.storms}
        reasons: list[str] = []
        told: dict[HostName, str] = {}  # what a host is held for; empty: no longer
        for begun in step.begun:
            number = await storms.begin(unit.connection, begun, now)
            self._raise(unit, number, begun, now)
            if begun.share.kind is Kind.UNKNOWN:
                self._note(unit, begun.hosts, "mnfa_enter", begun.reason, now)
            told.update(dict.fromkeys(begun.hosts, entity_of(begun.share)))
            reasons.append(begun.reason)
        for number, joined in step.joined.items():
            await storms.join(unit.connection, number, joined)
            self._grow(unit, known[number], joined, now)
            told.update(dict.fromkeys(joined, entity_of(known[number].share)))
        for number, reason in step.calmed.items():
            await storms.calm(unit.connection, number, now)
            if number not in step.ended:
                self._abate(unit, known[number], reason, now)
            reasons.append(f"{known[number].share} calms: {reason}")
        for number, gone in step.released.items():
            await storms.release(unit.connection, number, gone)
            if known[number].share.kind is Kind.UNKNOWN:
                self._note(unit, gone, "mnfa_exit", "it is held back no longer", now)
            told.update(dict.fromkeys(gone, ""))
        for number, reason in step.ended.items():
            await storms.end(unit.connection, number, now)
            share = known[number].share
            if not any(one.share == share for one in facts.storms if one.number > number):
                self._clear(unit, known[number], reason, now)
            reasons.append(reason)
        return await self._tell(unit, told, now), reasons

    def _work_out(self, facts: storms.Facts, now: datetime) -> core.StormStep:
        return core.step(
            lost=facts.lost,
            shares=facts.shares,
            storms=facts.storms,
            now=now,
            policy=self._policy,
        )

    async def _tell(
        self, unit: Unit, told: Mapping[HostName, str], now: datetime
    ) -> list[HostStep]:
        """Move the machines of hosts that are held, or no longer."""
        steps: list[HostStep] = []
        if not told:
            return steps
        for name, host in (await hosts.load(unit.connection, list(told))).items():
            if host.accepted and host.record is not None:
                given = (host.record, host.declared, self._observer.observe(name), now)
                steps += self._machines.storm(*given, cause=told[name])
        await carry_out(unit, steps)
        return steps

    def _grow(self, unit: Unit, storm: Storm, joined: Iterable[HostName], now: datetime) -> None:
        everyone = sorted({*storm.held, *storm.gone, *joined})
        reason = f"{len(everyone)} hosts are silent for {storm.share}: none of them is restarted"
        grown = Begun(share=storm.share, hosts=tuple(everyone), reason=reason)
        self._raise(unit, storm.number, grown, now)

    def _abate(self, unit: Unit, storm: Storm, why: str, now: datetime) -> None:
        everyone = tuple(sorted({*storm.held, *storm.gone}))
        pace = f"those that stay away are restarted one by one, {self._policy.stagger_s:g} s apart"
        abated = Begun(share=storm.share, hosts=everyone, reason=f"{why}: {pace}")
        self._raise(unit, storm.number, abated, now)

    def _raise(self, unit: Unit, number: int, storm: Begun, now: datetime) -> None:
        named = ", ".join(storm.hosts[:NAMED_MAX])
        alarm = RaiseAlarm(
            alarm_id=STORM_ALARM,
            entity=entity_of(storm.share),
            severity=Severity.CRITICAL,
            reason_text=storm.reason,
            alarm_type=AlarmType.COMMUNICATION,
            probable_cause="communication-subsystem-failure",
            proposed_repair_action=(
                f"Look at {storm.share}, not at the hosts: they return by themselves when it does."
            ),
            service_affecting=True,
            raised_at=now,
            additional={"storm": str(number), "host_count": str(len(storm.hosts)), "hosts": named},
        )
        unit.emit(alarm, entity=alarm.entity, producer=PRODUCER)

    def _clear(self, unit: Unit, storm: Storm, reason: str, now: datetime) -> None:
        entity = entity_of(storm.share)
        cleared = ClearAlarm(alarm_id=STORM_ALARM, entity=entity, cleared_at=now, reason=reason)
        unit.emit(cleared, entity=entity, producer=PRODUCER)

    def _note(
        self, unit: Unit, names: Iterable[HostName], event: str, reason: str, now: datetime
    ) -> None:
        """The log that operators know: a host is held by the guard, or no longer."""
        for name in names:
            emit_log(unit, log(EVENT, name, f"event={event}", reason=reason, at=now))


def entity_of(share: Share) -> str:
    """What is wrong, as alarms name it; a network's dots and slashes are not of its grammar."""
    if share.kind is Kind.UNKNOWN:
        return "storm=unknown"
    return f"{_ENTITY[share.kind]}={share.key}"

"""The task that groups alarms for receivers and makes what they are to be sent.

It reads history behind one place of its own, puts each alarm into the groups that the routes give
it, and looks at the groups whose time has come. What is found goes into the queue of the receiver
in the same transaction. So whenever it is killed, nothing is told twice and nothing is left out.
"""

import asyncio
import contextlib
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
import structlog

from murmuration.fm.core.grouping import Member, Timing, Verdict, first_due, look
from murmuration.fm.core.notices import REFRESH_S, Telling, bodies
from murmuration.fm.core.routing import Node, Tree, labels_of
from murmuration.fm.core.silences import muted, silenced
from murmuration.fm.store import deliveries, groups, receivers
from murmuration.fm.store.groups import Group, Happened, Place, Stored
from murmuration.kernel.backoff import Backoff
from murmuration.kernel.clock import Clock
from murmuration.kernel.errors import DeadlineExceeded, Unavailable
from murmuration.proto.fm import Alarm
from murmuration.proto.fm_notify import Receiver, ReceiverKind, Silence
from murmuration.runtime.dice import dice
from murmuration.store.database import Database, Unit

LOOK_S = 1.0
GATHER_S = 0.2  # what happens meanwhile is one look at history
DUE_MAX = 20  # groups looked at in one transaction
MEMBERS_MAX = 2_000  # of a group, looked at in one go; of a larger one the rest is only counted
SHARD_DIGITS = 2  # receivers that know no groups get theirs by chance, 256 of them
DIRECT_WAIT_S = 1.0
HELD_LOOK_S = 15.0  # how soon a trap follows when what held it back is over
DIRECT = {
    ReceiverKind.ALERTMANAGER: Timing(
        group_wait_s=DIRECT_WAIT_S, group_interval_s=REFRESH_S, repeat_interval_s=REFRESH_S
    ),
    ReceiverKind.SNMP: Timing(
        group_wait_s=DIRECT_WAIT_S, group_interval_s=HELD_LOOK_S, repeat_interval_s=0
    ),
}
CLEARED = "cleared"
_NIL = UUID(int=0)
log = structlog.get_logger()


class Notifying:
    """Groups alarms and fills the queues of receivers; `run` until cancelled."""

    def __init__(self, database: Database, clock: Clock, *, site: str) -> None:
        self._database = database
        self._clock = clock
        self._site = site
        self._nudge = database.nudge()
        self._receivers: dict[str, Receiver] = {}
        self._silences: list[Silence] = []
        self._tree = Tree(msgspec.json.decode(b"{}", type=receivers.Routing))
        self._generation = -1

    async def run(self) -> None:
        """Work until cancelled; survives the database being away."""
        backoff = Backoff(first_s=0.1, most_s=2.0)
        while True:
            try:
                await self._database.verified.wait()
                while await self.step():
                    pass
                backoff.reset()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_S):
                        await self._nudge.wait()
                self._nudge.clear()
                await asyncio.sleep(GATHER_S)
            except (Unavailable, DeadlineExceeded) as error:
                log.warning("notifying.waits", reason=str(error))
                await asyncio.sleep(backoff.next_s(dice()))

    async def step(self) -> bool:
        """One transaction of work; returns whether there is more at once."""
        async with self._database.unit() as unit:
            state = await groups.state(unit.connection)
            await self._learn(unit, state.generation)
            if state.grouped != state.generation:
                await self._group_all(unit)
                return True
            if not self._receivers:
                return False
            happened, read_to = await groups.happened_since(unit.connection, state)
            if read_to != state.read_to:
                if happened:
                    await self._group(unit, happened)
                await groups.read(unit.connection, read_to, self._clock.now())
                return True
            due = await groups.due(unit.connection, self._clock.now(), DUE_MAX)
            if due:
                now = self._clock.now()
                self._silences = await receivers.silences(unit.connection, now)
            for group in due:
                await self._look(unit, group)
            return len(due) == DUE_MAX

    async def _learn(self, unit: Unit, generation: int) -> None:
        if generation != self._generation:
            known = await receivers.every(unit.connection)
            self._receivers = {receiver.name: receiver for receiver in known}
            self._tree = Tree(await receivers.routing(unit.connection))
            self._generation = generation

    # Into groups

    async def _group_all(self, unit: Unit) -> None:
        """Put every active alarm where the routing as it is now wants it."""
        read_to = await groups.last_of_history(unit.connection)
        after, count = _NIL, 0
        while self._receivers and (page := await groups.active_after(unit.connection, after)):
            places = [place for alarm in page for place in self._places(alarm)]
            await groups.join(unit.connection, places, generation=self._generation, news=False)
            after, count = UUID(page[-1].uuid), count + len(page)
        await groups.grouped(unit.connection, self._generation, read_to, self._clock.now())
        log.info("notifying.grouped", alarms=count, receivers=len(self._receivers))

    async def _group(self, unit: Unit, happened: list[Happened]) -> None:
        """Follow what happened; of an alarm that did several things the last counts."""
        last = {one.alarm.uuid: one for one in happened}
        standing = [one for one in last.values() if one.kind != CLEARED]
        places = [place for one in standing for place in self._places(one.alarm)]
        changed = [UUID(one.alarm.uuid) for one in standing if one.kind == "changed"]
        if changed:
            await groups.leave(unit.connection, changed, places, self._clock.now())
        await groups.join(unit.connection, places, generation=self._generation, news=True)
        cleared = [(UUID(one.alarm.uuid), one.at) for one in last.values() if one.kind == CLEARED]
        if cleared:
            direct = [name for name, one in self._receivers.items() if one.kind in DIRECT]
            soon = self._clock.now() + timedelta(seconds=DIRECT_WAIT_S)
            await groups.clear(unit.connection, cleared, hasty=direct, due_at=soon)

    def _places(self, alarm: Alarm) -> list[Place]:
        labels, now = labels_of(alarm), self._clock.now()
        found: dict[tuple[str, str], Place] = {}
        for node in self._tree.nodes_of(labels):
            receiver = self._receivers.get(node.receiver)
            if receiver is None:
                continue
            direct = receiver.kind in DIRECT
            group = {"shard": alarm.uuid[-SHARD_DIGITS:]} if direct else node.group_of(labels)
            due_at = first_due(timing_of(receiver, node), now)
            found[receiver.name, node.name] = Place(
                receiver.name, node.name, _text(group), UUID(alarm.uuid), due_at, direct
            )
        return list(found.values())

    # Out of groups

    async def _look(self, unit: Unit, group: Group) -> None:
        receiver, node = self._receivers.get(group.receiver), self._tree.nodes.get(group.route)
        if receiver is None or node is None:
            await groups.settle(unit.connection, group, Verdict(), self._clock.now())
            return
        now = self._clock.now()
        stored = await groups.members(unit.connection, group, MEMBERS_MAX)
        verdict = look(
            [self._member(one, receiver, node, now) for one in stored],
            timing_of(receiver, node),
            now=now,
            told_at=group.told_at,
            muted=muted((self._tree.mute_times[name] for name in node.mute_times), now),
            send_resolved=receiver.send_resolved,
        )
        if verdict.tells:
            await self._queue(unit, group, receiver, verdict, stored)
        await groups.settle(unit.connection, group, verdict, now)

    def _member(self, one: Stored, receiver: Receiver, node: Node, now: datetime) -> Member:
        alarm = one.alarm
        if alarm is None:  # cleared, and its history not read yet
            return Member(one.uuid, firing=True, told=True, news=False, held=True)
        held = (
            alarm.masked
            or alarm.suppressed
            or (bool(alarm.root_cause) and not node.symptoms)
            or (alarm.flapping and receiver.kind in DIRECT)
            or silenced(self._silences, labels_of(alarm), now) is not None
        )
        firing = one.cleared_at is None
        return Member(one.uuid, firing=firing, told=one.told, news=one.news, held=held)

    async def _queue(
        self, unit: Unit, group: Group, receiver: Receiver, verdict: Verdict, stored: list[Stored]
    ) -> None:
        wanted = {*verdict.firing, *verdict.resolved}
        if receiver.kind is ReceiverKind.SNMP:  # a trap is of what is new, not of the group
            wanted -= {one.uuid for one in stored if not one.news and one.cleared_at is None}
        explained = await groups.explains(unit.connection, list(verdict.firing))
        tellings = [
            Telling(
                alarm=one.alarm,
                cleared_at=one.cleared_at,
                explains=explained.get(one.uuid, 0),
            )
            for one in stored
            if one.uuid in wanted and one.alarm is not None
        ]
        now = self._clock.now()
        made = bodies(
            receiver,
            tellings,
            group=msgspec.json.decode(group.labels, type=dict[str, str]),
            left_out=await groups.count_beyond(unit.connection, group, MEMBERS_MAX),
            site=self._site,
            now=now,
        )
        await deliveries.put(
            unit.connection,
            receiver.name,
            group.labels,
            made,
            now=now,
            replace=receiver.kind is ReceiverKind.ALERTMANAGER,
        )
        log.info(
            "notification.queued",
            receiver=receiver.name,
            group=group.labels,
            alarms=len(tellings),
            reason=verdict.reason,
        )


def timing_of(receiver: Receiver, node: Node) -> Timing:
    """When this receiver is told by this route: those that group by themselves are told at once."""
    return DIRECT.get(receiver.kind) or Timing(
        group_wait_s=node.group_wait_s,
        group_interval_s=node.group_interval_s,
        repeat_interval_s=node.repeat_interval_s,
    )


def _text(labels: dict[str, str]) -> str:
    return msgspec.json.encode(dict(sorted(labels.items()))).decode()

"""The world of simulated hosts: a heap of deadlines, turned into effects as time is told.

It has no clock, no chance and no network: `advance` is told the time and says what happens by then;
the shell does it and tells the outcome. So the same world runs on the real bus, in step with real
time, and from a seed in virtual time.

Invariants:
- a host that is killed or frozen, or whose packets do not pass, has no effects;
- a host beats only after its enrolment was answered, each beat at most once, and late ones are left
  out, never caught up;
- at most one request or message of a host is under way; its outcome of an earlier life is ignored.
"""

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import NamedTuple

from murmuration.kernel.errors import NotFound
from murmuration.node.core import reporting_fsm
from murmuration.node.core.reporting_fsm import Input, ReportingStep, SendReport
from murmuration.proto.sysinv import EnrolHost, EnrolReply, HostDelta, HostReport, Origin
from murmuration.sim.core import plausible
from murmuration.sim.core.host import Action, Cut, Declared, SimHost

SECOND_NS = 1_000_000_000
SLOT_NS = 10_000_000  # hosts beat in slots: one wake-up and one write for all hosts of a slot
ROUND_NS = 600 * SECOND_NS  # full report and enrolment anew, as real agents do
RETRY_NS = 2 * SECOND_NS  # after a refused request or message, up to twice that
FLAP_NS = 2 * SECOND_NS  # how long a data link stays down
HOST_COUNT_MAX = 5_000  # what one process beats for in real time on one processor


class Frame(NamedTuple):
    """Effect: send a heartbeat now: by UDP, and on NATS unless that path is dead for the host."""

    subject: str
    data: bytes
    by_nats: bool


@dataclass(frozen=True, slots=True)
class Enrol:
    """Effect: ask for enrolment; `enrolled` or `refused` is told afterwards."""

    request: EnrolHost
    incarnation: int


@dataclass(frozen=True, slots=True)
class Publish:
    """Effect: store a report or delta; `stored` or `refused` is told afterwards."""

    message: HostReport | HostDelta
    incarnation: int


Effect = Frame | Enrol | Publish


class _Kind(Enum):
    BEAT = "beat"
    ROUND = "round"
    RETRY = "retry"
    FLAP = "flap"


class _Due(NamedTuple):
    at_ns: int
    number: int
    kind: _Kind
    name: str
    incarnation: int


class World:
    """All hosts and their deadlines. Times are nanoseconds of one monotonic clock."""

    def __init__(
        self,
        hosts: Iterable[Declared],
        *,
        now_ns: int,
        wall: datetime,
        fresh_id: Callable[[], str],
        dice: Callable[[], float],
        flap_every_ns: int = 0,
    ) -> None:
        """`fresh_id` gives UUIDs, `dice` numbers in [0, 1), `flap_every_ns` 0 is never.

        Raises ValueError for two hosts of one name, or more than HOST_COUNT_MAX.
        """
        self._fresh_id = fresh_id
        self._dice = dice
        self._flap_every_ns = flap_every_ns
        self._wall = wall
        self._heap: list[_Due] = []
        self._number = 0
        self.hosts: dict[str, SimHost] = {}
        for declared in hosts:
            if declared.name in self.hosts:
                raise ValueError(f"two hosts are named {declared.name}")
            self.hosts[declared.name] = SimHost(
                declared=declared,
                boot_id=fresh_id(),
                incarnation=_incarnation(wall),
                operation_id=fresh_id(),
            )
        if len(self.hosts) > HOST_COUNT_MAX:
            raise ValueError(f"{len(self.hosts)} hosts are more than {HOST_COUNT_MAX}")
        for host in self.hosts.values():
            self._start(host, now_ns)

    def next_ns(self) -> int | None:
        """When something happens next, None when nothing ever does."""
        return self._heap[0].at_ns if self._heap else None

    def advance(self, now_ns: int, wall: datetime) -> list[Effect]:
        """Everything that happens until `now_ns`; `wall` is the instant for people."""
        self._wall = wall
        effects: list[Effect] = []
        while self._heap and self._heap[0].at_ns <= now_ns:
            due = heapq.heappop(self._heap)
            host = self.hosts[due.name]
            if due.incarnation == host.incarnation and host.running:
                effects += self._happen(host, due, now_ns)
        return effects

    def act(
        self, action: Action, name: str, now_ns: int, wall: datetime, *, cut: Cut = Cut.BOTH
    ) -> list[Effect]:
        """Break or heal a host; `cut` is the direction of a partition. Raises NotFound."""
        self._wall = wall
        host = self.hosts.get(name)
        if host is None:
            raise NotFound(f"there is no simulated host named {name[:80]!r}")
        if action is not Action.HEAL:
            host.suffer(action, cut)
            return []
        host.mend()
        if host.running:
            # What it tried to say meanwhile failed: like a real agent it tells everything anew.
            return self._wanted(host)
        host.boot(
            boot_id=self._fresh_id(),
            incarnation=_incarnation(wall),
            operation_id=self._fresh_id(),
        )
        self._start(host, now_ns)
        return []

    def enrolled(self, name: str, incarnation: int, reply: EnrolReply, now_ns: int) -> list[Effect]:
        """The inventory has answered: the host beats and reports."""
        host = self._same_life(name, incarnation)
        if host is None:
            return []
        first = host.enrolled is None
        host.enrol(reply)
        if first:
            phase_ns = reply.index * SLOT_NS % (reply.pulse_period_ms * 1_000_000)
            self._put(now_ns + phase_ns, _Kind.BEAT, host)
        return self._wanted(host)

    def stored(self, name: str, incarnation: int) -> list[Effect]:
        """The message under way is stored; what changed meanwhile follows."""
        host = self._same_life(name, incarnation)
        if host is None:
            return []
        self._take(host, reporting_fsm.step(host.reporting, Input.ACKNOWLEDGED))
        return self._tell(host)

    def refused(self, effect: Enrol | Publish, name: str, now_ns: int) -> None:
        """A request or message got no good answer: it is tried again a little later."""
        host = self._same_life(name, effect.incarnation)
        if host is None:
            return
        if isinstance(effect, Publish):
            self._take(host, reporting_fsm.step(host.reporting, Input.FAILED))
        self._put(now_ns + int(RETRY_NS * (1 + self._dice())), _Kind.RETRY, host)

    def asked(self, name: str) -> list[Effect]:
        """A full report of a host is asked for; one that cannot hear does not hear it."""
        host = self.hosts.get(name)
        return self._wanted(host) if host is not None and host.talks else []

    def _start(self, host: SimHost, now_ns: int) -> None:
        self._put(now_ns + int(SECOND_NS * self._dice() / 4), _Kind.ROUND, host)
        if self._flap_every_ns:
            self._put(now_ns + int(self._flap_every_ns * self._dice()), _Kind.FLAP, host)

    def _happen(self, host: SimHost, due: _Due, now_ns: int) -> list[Effect]:
        if due.kind is _Kind.BEAT:
            return self._beat(host, due, now_ns)
        if due.kind is _Kind.FLAP:
            host.data_up = not host.data_up
            pause_ns = self._flap_every_ns if host.data_up else FLAP_NS
            self._put(now_ns + pause_ns, _Kind.FLAP, host)
            return self._tell(host)
        if due.kind is _Kind.ROUND:
            self._put(now_ns + int(ROUND_NS * (0.9 + 0.2 * self._dice())), _Kind.ROUND, host)
            host.operation_id = self._fresh_id()
        elif host.enrolled is not None:
            return self._tell(host)
        return self._enrol(host, now_ns)

    def _beat(self, host: SimHost, due: _Due, now_ns: int) -> list[Effect]:
        reply = host.enrolled
        if reply is None:
            return []
        period_ns = reply.pulse_period_ms * 1_000_000
        following = due.at_ns + period_ns
        if following <= now_ns:  # late by a period or more: what was missed is missed
            following = now_ns + period_ns
        self._put(following, _Kind.BEAT, host)
        if not host.heard:
            return []
        return [Frame(host.subject, host.beat(reply, now_ns, by_nats=host.talks), host.talks)]

    def _enrol(self, host: SimHost, now_ns: int) -> list[Effect]:
        if host.busy or not host.talks:
            self._put(now_ns + RETRY_NS, _Kind.RETRY, host)
            return []
        host.busy = True
        declared = host.declared
        request = EnrolHost(
            operation_id=host.operation_id,
            host=host.name,
            personality=declared.personality,
            origin=Origin.SIMULATED,
            observe_only=declared.observe_only,
            boot_id=host.boot_id,
            address=declared.address,
        )
        return [Enrol(request, host.incarnation)]

    def _wanted(self, host: SimHost) -> list[Effect]:
        self._take(host, reporting_fsm.step(host.reporting, Input.WANTED))
        return self._tell(host)

    def _tell(self, host: SimHost) -> list[Effect]:
        """Look at the links as the real agent does, and say what follows."""
        if host.enrolled is None or host.busy or not host.talks:
            return []
        following = reporting_fsm.look(host.reporting, host.links())
        self._take(host, following)
        host.busy = bool(following.effects)
        return [
            Publish(self._message(host, effect), host.incarnation) for effect in following.effects
        ]

    def _message(self, host: SimHost, effect: reporting_fsm.Effect) -> HostReport | HostDelta:
        if isinstance(effect, SendReport):
            return HostReport(
                host=host.name,
                incarnation=host.incarnation,
                n=effect.n,
                boot_id=host.boot_id,
                facts=plausible.facts_of(host.name, host.declared.personality),
                links=effect.links,
                observed_at=self._wall,
            )
        return HostDelta(
            host=host.name,
            incarnation=host.incarnation,
            n=effect.n,
            links_changed=effect.change.changed,
            links_removed=effect.change.removed,
            observed_at=self._wall,
        )

    def _same_life(self, name: str, incarnation: int) -> SimHost | None:
        """The host, if it still lives the life in which it asked; it is free for more then."""
        host = self.hosts[name]
        if host.incarnation != incarnation or not host.running:
            return None
        host.busy = False
        return host

    def _take(self, host: SimHost, following: ReportingStep) -> None:
        host.reporting = following.state

    def _put(self, at_ns: int, kind: _Kind, host: SimHost) -> None:
        self._number += 1
        slot_ns = -(-at_ns // SLOT_NS) * SLOT_NS
        due = _Due(slot_ns, self._number, kind, host.name, host.incarnation)
        heapq.heappush(self._heap, due)


def _incarnation(wall: datetime) -> int:
    """The wall clock in nanoseconds, exact to its microseconds."""
    return int(wall.timestamp()) * SECOND_NS + wall.microsecond * 1_000

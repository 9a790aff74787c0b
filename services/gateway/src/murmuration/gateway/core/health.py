"""The platform's health in one sentence, from what its parts answer; fm is not needed for it.

| item | down | degraded |
|---|---|---|
| bus | not connected | |
| a service | MISSES_DOWN questions unanswered | one; not ready; parked; held; relay behind |
| certificates | one has ended | one ends within EXPIRY_DAYS: renewing has failed |
| gateway | | state not loaded yet; behind the streams; events it cannot decode |

Invariant: the status is the worst of the items; while the bus is away the services are not
guessed at: they are as unreachable as it is.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from murmuration.proto.api import HealthItem, HealthView
from murmuration.proto.platform import ServiceStatus

OK, DEGRADED, DOWN = "ok", "degraded", "down"
ORDER = (OK, DEGRADED, DOWN)
MISSES_DOWN = 2  # one unanswered question may be a restart
RELAY_LAG_MAX = 1_000  # rows: under a second of work; more means the bus does not take them
CONSUMER_LAG_MAX = 1_000  # likewise, of what it reads
EXPIRY_DAYS = 7  # they are renewed ten days before their end
READER_LAG_MAX = 5_000  # messages: what is shown is then visibly old


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What is known of one service: its last answer, and how many questions went unanswered since.

    `last_at` is when it last answered, None: never.
    """

    status: ServiceStatus | None = None
    misses: int = 0
    last_at: datetime | None = None
    instances: int = 0

    def answered(self, status: ServiceStatus, now: datetime, *, instances: int) -> "Answer":
        """It answered, and that many replicas of it are there."""
        return Answer(status=status, misses=0, last_at=now, instances=max(1, instances))

    def missed(self) -> "Answer":
        """It did not answer; counts no further than it matters."""
        return replace(self, misses=min(self.misses + 1, MISSES_DOWN))


@dataclass(frozen=True, kw_only=True, slots=True)
class Own:
    """How the gateway itself stands. `loaded` False: the read model is not complete yet."""

    bus_connected: bool
    bus_lost_at: datetime | None
    loaded: bool
    reader_lag: int
    undecodable: int
    certificates: Mapping[str, datetime] = field(default_factory=dict[str, datetime])


def assess(answers: Mapping[str, Answer], own: Own, now: datetime) -> HealthView:
    """Health from the services' answers and the gateway's own standing."""
    items = [_bus(own), _gateway(own)]
    if own.certificates:
        items.append(_certificates(own.certificates, now))
    for service in sorted(answers):
        items.append(_service(service, answers[service], bus_connected=own.bus_connected))
    worst = max((item.status for item in items), key=ORDER.index)
    summary = _summary(items, worst, own)
    return HealthView(status=worst, summary=summary, items=tuple(items), at=now)


def starting(now: datetime) -> HealthView:
    """What is said before anything is known."""
    item = HealthItem(name="gateway", status=DEGRADED, reason="It is starting.", instances=1)
    return HealthView(status=DEGRADED, summary="The gateway is starting.", items=(item,), at=now)


def is_same(one: HealthView | None, other: HealthView) -> bool:
    """Whether two views say the same, the time aside."""
    return one is not None and (one.status, one.summary, one.items) == (
        other.status,
        other.summary,
        other.items,
    )


def _bus(own: Own) -> HealthItem:
    if own.bus_connected:
        return HealthItem(name="bus", status=OK, instances=1)
    since = f" since {_clock(own.bus_lost_at)}" if own.bus_lost_at else ""
    return HealthItem(name="bus", status=DOWN, reason=f"NATS does not answer{since}.")


def _gateway(own: Own) -> HealthItem:
    reason = ""
    if not own.loaded:
        reason = "It is still loading the state of the site."
    elif own.reader_lag > READER_LAG_MAX:
        reason = f"It is {own.reader_lag} events behind."
    elif own.undecodable:
        reason = f"{own.undecodable} events could not be decoded and are not shown."
    return HealthItem(
        name="gateway",
        status=DEGRADED if reason else OK,
        reason=reason,
        instances=1,
        parked=own.undecodable,
    )


def _certificates(ends: Mapping[str, datetime], now: datetime) -> HealthItem:
    name = min(ends, key=lambda each: ends[each])
    left = ends[name] - now
    status, reason = OK, ""
    if left <= timedelta(0):
        status, reason = DOWN, f"That of {name} has ended: nobody new can connect."
    elif left < timedelta(days=EXPIRY_DAYS):
        status, reason = DEGRADED, f"That of {name} ends in {left.days} days and is not renewed."
    return HealthItem(name="certificates", status=status, reason=reason, instances=len(ends))


def _service(name: str, answer: Answer, *, bus_connected: bool) -> HealthItem:
    status = answer.status
    if not bus_connected:
        return HealthItem(name=name, status=DOWN, reason="It cannot be asked: NATS is away.")
    if status is None or answer.misses >= MISSES_DOWN:
        since = f" since {_clock(answer.last_at)}" if answer.last_at else ""
        return HealthItem(name=name, status=DOWN, reason=f"It does not answer{since}.")
    reason = ""
    if answer.misses:
        reason = "It did not answer the last question."
    elif not status.ready:
        reason = status.reason or "It is not ready."
    elif status.parked:
        reason = f"{status.parked} messages are set aside as undecodable."
    elif status.held:
        reason = f"{status.held} effects wait for an operator: see `mur bus held list`."
    elif status.relay_lag > RELAY_LAG_MAX:
        reason = f"{status.relay_lag} changes are not yet on the bus."
    elif status.consumer_lag > CONSUMER_LAG_MAX:
        reason = f"{status.consumer_lag} messages are not yet taken in."
    return HealthItem(
        name=name,
        status=DEGRADED if reason else OK,
        reason=reason,
        instances=answer.instances,
        relay_lag=status.relay_lag,
        consumer_lag=status.consumer_lag,
        parked=status.parked,
    )


def _summary(items: list[HealthItem], worst: str, own: Own) -> str:
    if not own.bus_connected:
        since = f" since {_clock(own.bus_lost_at)}" if own.bus_lost_at else ""
        return f"NATS is away{since}: what is shown is the last that was known."
    if worst == OK:
        return "All parts are well."
    bad = [item for item in items if item.status != OK]
    first = max(bad, key=lambda item: ORDER.index(item.status))
    sentence = f"{first.name} is {first.status}: {first.reason}"
    rest = len(bad) - 1
    if rest:
        sentence += f" {rest} more {'part is' if rest == 1 else 'parts are'} not well."
    return sentence


def _clock(at: datetime | None) -> str:
    return f"{at:%H:%M:%S} UTC" if at is not None else "a while"

"""What producers say: a batch of any mixture is decided in memory and written in bulk."""

from collections.abc import Sequence
from dataclasses import dataclass

from murmuration.bus.follower import Received
from murmuration.bus.message import Delivery
from murmuration.fm.core.intake import Fault, fault_in
from murmuration.fm.core.model import Ledger, Said
from murmuration.fm.handlers.ids import fresh_uuids
from murmuration.fm.store import alarms
from murmuration.fm.store.alarms import Need
from murmuration.fm.store.policies import Policies
from murmuration.fm.store.writing import write
from murmuration.kernel.clock import Clock
from murmuration.proto.entities import path_of
from murmuration.proto.envelope import INCARNATION
from murmuration.proto.fm import ClearAlarm, ClearBelow, IntakeRejected, RaiseAlarm, Refusal
from murmuration.store.database import Unit

BODY_MAX = 1_024
MESSAGE_BYTES_MAX = 32 * 1024  # with 20 comments on it an alarm still fits in one message


@dataclass(slots=True)
class Counts:
    """What the intake did since its start."""

    transitions: int = 0
    counted: int = 0
    rejected: int = 0


class Intake:
    """Takes in what producers say; `take` is handed all that came together."""

    def __init__(self, clock: Clock, policies: Policies) -> None:
        self._clock = clock
        self._policies = policies
        self.counts = Counts()

    async def take(self, unit: Unit, batch: Sequence[Received]) -> None:
        """Decide and write a batch, in its order; what cannot be is refused by itself."""
        now = self._clock.now()
        sound: list[Said] = []
        for received, uuid in zip(batch, fresh_uuids(len(batch), now), strict=True):
            delivery = received.delivery
            producer = producer_of(delivery)
            fault = too_large(delivery) or fault_in(received.payload, producer)
            if fault is not None:
                self._reject(unit, delivery, fault.refusal, fault.reason)
                continue
            sound.append(
                Said(
                    received.payload,
                    producer,
                    uuid,
                    leased=INCARNATION in delivery.headers,
                    traceparent=delivery.traceparent,
                )
            )
        if sound:
            state = await alarms.lock(unit.connection, now)
            policy = await self._policies.current(unit.connection, state.policy)
            need = need_of(sound, policy.inhibiting)
            ledger = await alarms.load(
                unit.connection, need, policy=policy, now=now, clock_s=state.clock_s
            )
            for said in sound:
                ledger.apply(said)
            await write(unit, ledger)
            self._count(ledger)

    async def refuse(self, unit: Unit, delivery: Delivery, reason: str) -> None:
        """Say of a message that does not even decode that it was refused."""
        self._reject(unit, delivery, Refusal.MALFORMED, reason)

    def _count(self, ledger: Ledger) -> None:
        self.counts.transitions += len(ledger.transitions)
        self.counts.counted += ledger.counted

    def _reject(self, unit: Unit, delivery: Delivery, refusal: Refusal, reason: str) -> None:
        self.counts.rejected += 1
        producer = producer_of(delivery)
        unit.emit(
            IntakeRejected(
                producer=producer,
                type=delivery.type[:64],
                refusal=refusal,
                reason=_storable(reason)[:512],
                body=_storable(delivery.body[: BODY_MAX * 4].decode(errors="replace"))[:BODY_MAX],
            ),
            entity=producer,
            producer=producer,
        )


def too_large(delivery: Delivery) -> Fault | None:
    """Refuses what would make an alarm that no message can hold."""
    size = len(delivery.body)
    if size <= MESSAGE_BYTES_MAX:
        return None
    return Fault(Refusal.MALFORMED, f"it has {size} bytes, the limit is {MESSAGE_BYTES_MAX}")


def need_of(batch: Sequence[Said], inhibiting: frozenset[str]) -> Need:
    """What a batch must know; `inhibiting`: the ids that mask others."""
    need = Need()
    for said in batch:
        request = said.request
        match request:
            case RaiseAlarm() | ClearAlarm():
                need.alarm(
                    request.alarm_id, request.entity, inhibits=request.alarm_id in inhibiting
                )
            case ClearBelow():
                need.under(path_of(request.entity))
            case _:
                pass
    return need


def producer_of(delivery: Delivery) -> str:
    """Who said it: the producer's token of the intake subject."""
    return delivery.subject.split(".")[2]


def _storable(text: str) -> str:
    """Text that every database and every reader of JSON takes."""
    return text.replace("\x00", "\\0")

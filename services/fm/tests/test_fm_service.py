"""fm as a whole, on a real NATS and a real PostgreSQL."""

import asyncio
from datetime import UTC, datetime

import pytest

from murmuration.bus.connection import Bus
from murmuration.bus.state import load_bucket
from murmuration.fm import app
from murmuration.kernel.errors import NotFound, Unavailable
from murmuration.proto.envelope import encode
from murmuration.proto.fm import (
    Alarm,
    AlarmType,
    ClearAlarm,
    RaiseAlarm,
    Severity,
)
from murmuration.proto.fm_operators import (
    AddSuppression,
    CataloguePage,
    ClearAlarmByOperator,
    GetCatalogue,
    GetHistory,
    HistoryPage,
    Raised,
)
from murmuration.proto.platform import GetMark, GetStatus, Mark, ServiceStatus
from murmuration.proto.sysinv import Accepted
from murmuration.testkit.levels import reaches
from murmuration.testkit.nats import NatsServer
from murmuration.testkit.plugin import Connect
from murmuration.testkit.postgres import Postgres
from murmuration.testkit.services import asks, running, service_config


def raised(entity: str = "host=c-1", severity: Severity = Severity.MAJOR) -> RaiseAlarm:
    return RaiseAlarm(
        alarm_id="200.005",
        entity=entity,
        severity=severity,
        reason_text="heartbeat",
        alarm_type=AlarmType.COMMUNICATION,
        probable_cause="unknown",
        raised_at=datetime.now(UTC),
    )


def cleared(entity: str = "host=c-1") -> ClearAlarm:
    return ClearAlarm(alarm_id="200.005", entity=entity, cleared_at=datetime.now(UTC))


async def send(bus: Bus, n: int, message: RaiseAlarm | ClearAlarm, *, previous: int | None = None):
    verb = "raise" if isinstance(message, RaiseAlarm) else "clear"
    await bus.js.publish(
        f"fm.intake.mtce.{verb}",
        encode(message),
        headers={
            "Mur-Epoch": "1",
            "Mur-Change": str(n),
            "Mur-Prev": str(n - 1 if previous is None else previous),
            "ce-type": f"fm.alarm.{verb}.v1",
        },
    )


async def active(bus: Bus) -> dict[str, Alarm]:
    import msgspec

    keys, _ = await load_bucket(bus, "fm_alarms")
    return {
        key: msgspec.json.decode(stored.value.data, type=Alarm)
        for key, stored in keys.items()
        if not stored.value.deleted
    }


async def types(admin: Bus) -> list[str]:
    """What fm said of alarms and of its intake, in order."""
    info = await admin.js.stream_info("FM")
    found: list[str] = []
    for sequence in range(1, info.state.last_seq + 1):
        message = await admin.js.get_msg("FM", seq=sequence)
        found.append((message.headers or {})["ce-type"])
    return [kind for kind in found if kind.split(".")[1] not in {"gate", "degrade"}]


@pytest.fixture
async def buses(connect: Connect) -> tuple[Bus, Bus, Bus]:
    return await connect("mtce"), await connect("gateway"), await connect("provisioner")


async def test_alarm_is_raised_counted_changed_and_cleared_when_its_producer_says_so(
    buses: tuple[Bus, Bus, Bus], site_nats: NatsServer, postgres: Postgres
) -> None:
    mtce, gateway, admin = buses
    async with running(app.run, service_config("fm", site_nats, postgres)):
        await send(mtce, 1, raised())
        await send(mtce, 2, raised())
        await send(mtce, 3, raised(severity=Severity.CRITICAL))
        await send(mtce, 3, raised(severity=Severity.MINOR))  # a repeat of 3: not taken in

        async def critical() -> Alarm | None:
            alarms = list((await active(gateway)).values())
            return alarms[0] if alarms and alarms[0].severity is Severity.CRITICAL else None

        alarm = await reaches(critical)
        assert alarm is not None and alarm.raise_count == 3
        await send(mtce, 4, cleared("host=c-10"))
        await send(mtce, 5, cleared())

        async def none() -> bool:
            return not await active(gateway)

        await reaches(none)
        assert await types(admin) == [
            "fm.alarm.raised.v1",
            "fm.alarm.changed.v1",
            "fm.alarm.cleared.v1",
        ]
        mark = await mtce.request(GetMark(producer="mtce"), Mark, as_type="fm.mark.get.v1")
        assert (mark.incarnation, mark.n) == (1, 5)


async def test_a_message_out_of_turn_waits_for_the_one_before(
    buses: tuple[Bus, Bus, Bus], site_nats: NatsServer, postgres: Postgres
) -> None:
    mtce, gateway, _ = buses
    async with running(app.run, service_config("fm", site_nats, postgres)):
        await send(mtce, 2, raised("host=b"))
        await send(mtce, 1, raised("host=a"))

        async def one() -> bool:
            return [a.entity for a in (await active(gateway)).values()] == ["host=a"]

        await reaches(one)
        await send(mtce, 2, raised("host=b"))

        async def both() -> bool:
            return len(await active(gateway)) == 2

        await reaches(both)


async def test_operator_clears_once_and_the_same_operation_answers_the_same(
    buses: tuple[Bus, Bus, Bus], site_nats: NatsServer, postgres: Postgres
) -> None:
    mtce, gateway, _ = buses
    async with running(app.run, service_config("fm", site_nats, postgres)):
        await send(mtce, 1, raised())

        async def there() -> dict[str, Alarm]:
            return await active(gateway)

        (alarm,) = (await reaches(there)).values()
        request = ClearAlarmByOperator(operation_id="operation-1", uuid=alarm.uuid)
        first = await gateway.request(request, Accepted)
        assert await gateway.request(request, Accepted) == first
        with pytest.raises(NotFound):
            await gateway.request(
                ClearAlarmByOperator(operation_id="operation-2", uuid=alarm.uuid), Accepted
            )


async def test_state_survives_when_fm_is_stopped_and_started(
    buses: tuple[Bus, Bus, Bus], site_nats: NatsServer, postgres: Postgres
) -> None:
    mtce, gateway, _ = buses
    database = postgres.database("fm")
    config = service_config("fm", site_nats, postgres, database=database)
    async with running(app.run, config):
        await send(mtce, 1, raised("host=a"))

        async def one() -> bool:
            return len(await active(gateway)) == 1

        await reaches(one)
    await send(mtce, 2, raised("host=b"))
    async with running(app.run, config):

        async def both() -> bool:
            return len(await active(gateway)) == 2

        await reaches(both)

        async def ready() -> bool:
            status = await gateway.request(GetStatus(), ServiceStatus, as_type="fm.status.get.v1")
            return status.ready and status.role == "active"

        await reaches(ready)
        await asyncio.sleep(0)


async def test_malformed_message_is_refused_on_the_event_stream_and_nothing_waits_behind_it(
    buses: tuple[Bus, Bus, Bus], site_nats: NatsServer, postgres: Postgres
) -> None:
    mtce, gateway, admin = buses
    headers = {"Mur-Epoch": "1", "ce-type": "fm.alarm.raise.v1"}
    bodies = [b"{", b'{"alarm_id": "bad"}', b'{"reason_text": "a\\u0000"}', b"\xff" * 70_000]
    async with running(app.run, service_config("fm", site_nats, postgres)):
        for n, body in enumerate(bodies, 1):
            numbers = {"Mur-Change": str(n), "Mur-Prev": str(n - 1)}
            await mtce.js.publish("fm.intake.mtce.raise", body, headers=headers | numbers)
        await send(mtce, len(bodies) + 1, raised())

        async def there() -> bool:
            return len(await active(gateway)) == 1

        await reaches(there)
        assert await types(admin) == ["fm.intake.rejected.v1"] * 4 + ["fm.alarm.raised.v1"]
        status = await gateway.request(GetStatus(), ServiceStatus, as_type="fm.status.get.v1")
        assert status.parked == 0


async def test_fm_ticks_through_its_own_intake(
    buses: tuple[Bus, Bus, Bus], site_nats: NatsServer, postgres: Postgres
) -> None:
    mtce, _, _ = buses
    async with running(app.run, service_config("fm", site_nats, postgres, tick_s=1)):

        async def ticked() -> bool:
            ask = GetMark(producer="fm")
            try:
                return (await asks(mtce, ask, Mark, as_type="fm.mark.get.v1")).n >= 2
            except Unavailable:
                return False  # it still starts

        await reaches(ticked)


async def test_log_of_fm_s_history_is_answered_over_the_bus(
    buses: tuple[Bus, Bus, Bus], site_nats: NatsServer, postgres: Postgres
) -> None:
    mtce, gateway, _ = buses
    async with running(app.run, service_config("fm", site_nats, postgres)):
        await send(mtce, 1, raised())

        async def kept() -> bool:
            try:
                return len((await asks(gateway, GetHistory(), HistoryPage)).items) == 1
            except Unavailable:
                return False  # it still starts

        await reaches(kept)
        catalogue = await gateway.request(GetCatalogue(id="200.005"), CataloguePage)
        assert catalogue.items[0].kind == "alarm"
        wanted = AddSuppression(operation_id="operation-9", alarm_id="200.005", author="ann")
        await gateway.request(wanted, Raised)

        async def hidden() -> bool:
            return all(alarm.suppressed for alarm in (await active(gateway)).values())

        await reaches(hidden)
        keys, _ = await load_bucket(gateway, "fm_suppressions")
        assert len(keys) == 1

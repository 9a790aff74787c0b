"""The first page and the summary of active alarms, as the gateway answers them.

A gateway in a process of its own stands on a real NATS whose state holds 2,000, then 100,000 active
alarms (a tenth of them explained by fifty roots, some masked, some suppressed). wrk asks with four
connections, each again as soon as it is answered, while CHANGES_PER_S alarms are raised and cleared
through the stream, so that the page is never the same for long. Measured is wrk's 99th percentile
of `GET /api/v1/alarms` (100 alarms, about 50 kB) and of `GET /api/v1/alarms/summary`. A page is
encoded anew after each change. StarlingX's fm-api answered its list of 2,000 alarms in 304 ms and
their summary in 93 ms, to one client (both shared two cores).
"""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from bench.gateways import gateway_process, wrk
from bench.harness import Options, Row
from murmuration.bus.connection import Bus, open_bus
from murmuration.bus.provision import provision
from murmuration.bus.publisher import Publication, WindowPublisher
from murmuration.bus.wire import header_block
from murmuration.proto import registry
from murmuration.proto.api import AlarmSummary
from murmuration.proto.envelope import (
    PREVIOUS,
    StateValue,
    Version,
    cloud_event_headers,
    encode,
)
from murmuration.proto.fm import Alarm, AlarmCleared, AlarmRaised
from murmuration.proto.fm_vocabulary import AlarmType, Severity
from murmuration.proto.ids import token
from murmuration.proto.registry import CHANNELS
from murmuration.testkit.nats import NatsServer
from murmuration.testkit.ports import short_folder

TITLE = "fm-reads: first page and summary of active alarms at the gateway, wrk with 4 connections"
ROWS = (
    Row(name="page_2k_p99_ms", unit="ms", target=10),
    Row(name="page_100k_p99_ms", unit="ms", target=10),
    Row(name="summary_2k_p99_ms", unit="ms", target=10),
    Row(name="summary_100k_p99_ms", unit="ms", target=10),
    Row(name="page_100k_per_s", unit="1/s"),
    Row(name="gateway_100k_rss_mb", unit="MB"),
)
SMALL, LARGE = 2_000, 100_000
CHANGES_PER_S = 200
WINDOW = 500
ROOTS = 50
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
SEVERITIES = (Severity.CRITICAL, Severity.MAJOR, Severity.MINOR, Severity.WARNING)


def fault(number: int) -> Alarm:
    """An alarm of the size they have; every tenth is explained by a root."""
    return Alarm(
        uuid=f"{number:08x}-0000-4000-8000-000000000000",
        alarm_id=f"100.{101 + number % 20}",
        entity=f"host=worker-{number % 1000}.memory=platform-{number}",
        severity=SEVERITIES[number % len(SEVERITIES)],
        alarm_type=AlarmType.OPERATIONAL_VIOLATION,
        probable_cause="threshold-crossed",
        reason_text=f"platform memory threshold exceeded; threshold 80%, actual {number % 100}%",
        proposed_repair_action="monitor, and if it persists, reduce what runs on the host",
        masked=number % 97 == 1,
        suppressed=number % 89 == 1,
        root_cause=fault_uuid(number % ROOTS) if number % 10 == 5 and number > ROOTS else "",
        correlated_by="containment" if number % 10 == 5 and number > ROOTS else "",
        producer="node-worker",
        raise_count=1,
        first_raised_at=BEGIN + timedelta(seconds=number),
        last_raised_at=BEGIN + timedelta(seconds=number),
    )


def fault_uuid(number: int) -> str:
    """The uuid of that alarm."""
    return f"{number:08x}-0000-4000-8000-000000000000"


def state(number: int, change: int) -> Publication:
    """The alarm as fm's relay keeps it for readers."""
    alarm = fault(number)
    value = StateValue(epoch=1, change=change, data=msgspec.Raw(encode(alarm)))
    key = token(f"{alarm.alarm_id}/{alarm.entity}")
    return Publication(f"$KV.fm_alarms.{key}", header_block([]), encode(value))


def event(payload: AlarmRaised | AlarmCleared, change: int) -> Publication:
    """An event as fm's relay publishes it."""
    kind = "raised" if isinstance(payload, AlarmRaised) else "cleared"
    alarm = payload.alarm
    headers = cloud_event_headers(
        CHANNELS[f"fm.alarm.{kind}.v1"],
        version=Version(1, change),
        entity=f"{alarm.alarm_id}/{alarm.entity}",
        time=datetime.now(UTC),
        traceparent=None,
    )
    headers[PREVIOUS] = str(change - 1)
    subject = f"fm.event.alarm.{kind}.{token(alarm.alarm_id)}.{token(alarm.entity)}"
    return Publication(subject, header_block(headers.items()), encode(payload))


async def fill(publisher: WindowPublisher, numbers: range) -> None:
    """Put these alarms into the state that the gateway loads."""
    for first in range(numbers.start, numbers.stop, WINDOW):
        last = min(first + WINDOW, numbers.stop)
        await publisher.publish([state(number, number + 1) for number in range(first, last)])


async def stir(publisher: WindowPublisher, changes: Iterator[int]) -> None:
    """Raise and clear alarms at CHANGES_PER_S, until cancelled."""
    while True:
        for _ in range(CHANGES_PER_S // 20):
            change = next(changes)
            alarm = fault(LARGE * 2 + change // 2)
            if change % 2 == 0:
                payload: AlarmRaised | AlarmCleared = AlarmRaised(alarm=alarm)
            else:
                payload = AlarmCleared(alarm=alarm, cleared_at=BEGIN, reason="it is well again")
            await publisher.publish([event(payload, change)])
        await asyncio.sleep(10 / CHANGES_PER_S)


@asynccontextmanager
async def site() -> AsyncGenerator[tuple[NatsServer, Bus, Path], None]:
    """A bus with its streams and buckets, and fm's own connection to it."""
    registry.load()
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(short_folder()))
        nats = NatsServer(folder)
        nats.start()
        stack.callback(nats.kill)

        async def connect(identity: str) -> Bus:
            opened = open_bus(nats.section, nats.login(identity), identity=identity)
            return await stack.enter_async_context(opened)

        await provision(await connect("provisioner"))
        yield nats, await connect("fm"), folder


async def measure(
    nats: NatsServer, folder: Path, fm: Bus, changes: Iterator[int], *, alarms: int, seconds: int
) -> dict[str, float]:
    """Figures of one gateway that loads the `alarms` that are there."""
    publisher = WindowPublisher(fm)
    await publisher.publish([event(AlarmRaised(alarm=fault(LARGE * 3)), next(changes))])
    async with gateway_process(nats, folder) as gateway:
        shown = msgspec.json.decode(await gateway.get("/api/v1/alarms/summary"), type=AlarmSummary)
        hidden = sum(fault(n).masked or fault(n).suppressed for n in range(alarms))
        found = sum(msgspec.structs.astuple(shown.counts)) + hidden
        assert abs(found - alarms) <= 2, f"{found} alarms are shown instead of {alarms}"
        stirring = asyncio.create_task(stir(publisher, changes))
        try:
            await wrk(gateway, "/api/v1/alarms", seconds=1)
            page = await wrk(gateway, "/api/v1/alarms", seconds=seconds)
            summary = await wrk(gateway, "/api/v1/alarms/summary", seconds=seconds)
        finally:
            stirring.cancel()
            await asyncio.gather(stirring, return_exceptions=True)
        return {
            "page_ms": page.p99_ms,
            "page_per_s": page.rate_per_s,
            "summary_ms": summary.p99_ms,
            "rss_mb": gateway.status_mb("VmRSS"),
        }


async def run(options: Options) -> Mapping[str, float]:
    """Measure; returns a value for each of ROWS."""
    large, seconds = (20_000, 2) if options.quick else (LARGE, 10)
    changes = itertools.count(LARGE * 4)
    async with site() as (nats, fm, folder):
        publisher = WindowPublisher(fm)
        await fill(publisher, range(SMALL))
        small = await measure(nats, folder, fm, changes, alarms=SMALL, seconds=seconds)
        await fill(publisher, range(SMALL, large))
        big = await measure(nats, folder, fm, changes, alarms=large, seconds=seconds)
    return {
        "page_2k_p99_ms": small["page_ms"],
        "page_100k_p99_ms": big["page_ms"],
        "summary_2k_p99_ms": small["summary_ms"],
        "summary_100k_p99_ms": big["summary_ms"],
        "page_100k_per_s": big["page_per_s"],
        "gateway_100k_rss_mb": big["rss_mb"],
    }

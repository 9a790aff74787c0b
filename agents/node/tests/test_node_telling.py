"""What an agent tells once: also when the connection ends under it, or the disk takes no words."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

from murmuration.node.adapters.orderbook import OrderBook
from murmuration.node.board import Board
from murmuration.node.config import MaintenanceSection
from murmuration.node.orders import Orders
from murmuration.node.telling import Telling
from murmuration.proto.node import HostBooted, Observation, PreviousEnd, RebootHost
from murmuration.proto.sysinv import Personality
from murmuration.testkit.levels import reaches
from murmuration.testkit.services import alongside

BOOT = "6b1f2e0a-6a52-4a8e-9d0b-000000000001"


def telling() -> Telling:
    return Telling(Board(), host="worker-1", boot_id=BOOT)


async def test_host_is_rebooted_although_its_last_words_cannot_be_written(
    tmp_path: Path,
) -> None:
    program = tmp_path / "reboot"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/rebooted\n")
    program.chmod(0o755)

    async def gasp(_reason: str) -> None:
        raise OSError(30, "Read-only file system")

    orders = Orders(
        MaintenanceSection(reboot=(str(program),)),
        OrderBook(tmp_path),
        telling(),
        host="worker-1",
        boot_id=BOOT,
        personality=Personality.WORKER,
        gasp=gasp,
        suspend=lambda _: None,
    )
    order = RebootHost(
        operation_id="reboot-1",
        host="worker-1",
        epoch=1,
        change=1,
        expires_at=datetime.now(UTC) + timedelta(seconds=60),
    )
    async with alongside(orders.run()):
        await orders.take(order)
        await reaches((tmp_path / "rebooted").exists)


class Stream:
    """Where observations are stored, when it is let."""

    def __init__(self) -> None:
        self.let = asyncio.Event()
        self.asked = asyncio.Event()
        self.stored: list[Observation] = []

    async def observe(self, message: Observation) -> None:
        self.asked.set()
        await self.let.wait()
        self.stored.append(message)


def booted(incarnation: int, n: int) -> HostBooted:
    return HostBooted(
        host="worker-1",
        incarnation=incarnation,
        n=n,
        boot_id=BOOT,
        previous_boot_id="",
        previous_end=PreviousEnd.LOST,
        observed_at=datetime.now(UTC),
    )


async def test_what_happened_once_is_told_when_the_connection_ended_under_it() -> None:
    told, stream, noted = telling(), Stream(), list[str]()
    told.once(booted, done=lambda: noted.append("told"))
    async with alongside(told.run(stream)):
        await stream.asked.wait()
    stream.let.set()
    async with alongside(told.run(stream)):
        await reaches(lambda: noted == ["told"])
    assert len(stream.stored) == 1


async def test_telling_goes_on_when_it_cannot_be_noted_that_something_was_told() -> None:
    def full() -> None:
        raise OSError(28, "No space left on device")

    told, stream, noted = telling(), Stream(), list[str]()
    stream.let.set()
    told.once(booted, done=full)
    told.once(booted, done=lambda: noted.append("told"))
    async with alongside(told.run(stream)):
        await reaches(lambda: noted == ["told"])

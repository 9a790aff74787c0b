"""The reader of a stream on a real NATS, where connections lose what is under way."""

import asyncio
from typing import Any

import pytest

from murmuration.bus.connection import Bus
from murmuration.bus.reader import StreamReader
from murmuration.testkit.levels import reaches
from murmuration.testkit.plugin import Connect


async def test_last_message_that_was_lost_under_way_is_read_though_nothing_follows_it(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    mtce: Bus = await connect("mtce")
    sysinv = await connect("sysinv")
    process, lost = mtce.nc._process_msg, list[bytes]()

    async def losing(sid: int, subject: bytes, reply: bytes, data: bytes, headers: Any) -> None:
        if data == b"last" and not lost:
            lost.append(data)
        else:
            await process(sid, subject, reply, data, headers)

    monkeypatch.setattr(mtce.nc, "_process_msg", losing)
    read = list[bytes]()

    async def follow() -> None:
        async for batch in StreamReader(mtce, "SYSINV", start=1).batches():
            read.extend(delivery.body for delivery in batch)

    task = asyncio.create_task(follow())
    try:
        for body in (b"first", b"last"):
            await sysinv.js.publish("sysinv.event.host.changed.worker-1", body)
        await reaches(lambda: read == [b"first", b"last"])
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert lost

"""A task that waits for the broker ends when it is cancelled, also at the moment of the answer."""

import asyncio
from collections.abc import Awaitable, Callable

import nats.errors
import pytest
from nats.aio.msg import Msg

from murmuration.bus.connection import Bus
from murmuration.proto.node import RebootHost
from murmuration.proto.registry import channel_of
from murmuration.testkit.levels import reaches
from murmuration.testkit.plugin import Connect

SUBJECT = channel_of(RebootHost).subject.format(host="worker-1")


def _answers(bus: Bus) -> list[asyncio.Future[object]]:
    return list(bus.nc._resp_map.values())


def _pongs(bus: Bus) -> list[asyncio.Future[object]]:
    return list(bus.nc._pongs)


async def _ask(bus: Bus) -> object:
    return await bus.nc.request(SUBJECT, b"{}", timeout=20)


async def _flush(bus: Bus) -> object:
    return await bus.nc.flush(20)


async def _answered(bus: Bus) -> bool:
    try:
        return bool(await _ask(bus))
    except nats.errors.NoRespondersError:
        return False


@pytest.mark.parametrize(("call", "waits"), [(_ask, _answers), (_flush, _pongs)])
async def test_cancellation_that_comes_with_the_answer_is_heeded(
    call: Callable[[Bus], Awaitable[object]],
    waits: Callable[[Bus], list[asyncio.Future[object]]],
    connect: Connect,
) -> None:
    node, mtce = await connect("node@worker-1"), await connect("mtce")

    async def answer(message: Msg) -> None:
        await node.nc.publish(message.reply, b"{}")

    await node.nc.subscribe(SUBJECT, cb=answer)
    await node.nc.flush()
    await reaches(lambda: _answered(mtce))  # and its inbox is there

    went_on = False

    async def ask() -> None:
        nonlocal went_on
        await call(mtce)
        went_on = True

    task = asyncio.create_task(ask())
    while not waits(mtce):
        await asyncio.sleep(0)
    waits(mtce)[0].add_done_callback(lambda _: task.cancel())
    await reaches(task.done)

    assert task.cancelled()
    assert not went_on

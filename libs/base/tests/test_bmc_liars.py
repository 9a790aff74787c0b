"""BMCs that lie: links that lead away, answers that no reader can hold, texts that are none."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from murmuration.bmc.connect import bmc_clients
from murmuration.bmc.errors import BmcRefused, BmcUnreadable
from murmuration.bmc.model import PowerAction, Protocol, Secret, Target, Trust
from murmuration.bmc.ports import Bmc
from murmuration.testkit.ports import free_port

SYSTEM = "/redfish/v1/Systems/1"
PASSWORD = "nobody-else's"
Answers = dict[str, Callable[[], web.Response]]


def document(**fields: object) -> Callable[[], web.Response]:
    """An answer of JSON."""
    return lambda: web.Response(body=json.dumps(fields).encode())


def honest() -> Answers:
    """What a BMC without sessions answers, by path: a basic login goes with every request."""
    return {
        "/redfish/v1/": document(
            RedfishVersion="1.6.0",
            Systems={"@odata.id": "/redfish/v1/Systems"},
            Chassis={"@odata.id": "/redfish/v1/Chassis"},
        ),
        "/redfish/v1/Systems": document(Members=[{"@odata.id": SYSTEM}]),
        SYSTEM: document(**{"@odata.id": SYSTEM, "PowerState": "On"}),
    }


@asynccontextmanager
async def serving(answers: Answers) -> AsyncIterator[tuple[int, list[web.Request]]]:
    """Serve these; the port, and every request that came."""
    asked: list[web.Request] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request)
        found = answers.get(request.path)
        return found() if found is not None else web.Response(status=404)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield port, asked
    finally:
        await runner.cleanup()


@asynccontextmanager
async def speaking_to(answers: Answers) -> AsyncIterator[tuple[Bmc, list[web.Request]]]:
    async with serving(answers) as (port, asked), bmc_clients() as clients:
        target = Target(
            address="127.0.0.1",
            user="operator",
            protocol=Protocol.REDFISH,
            redfish_port=port,
            trust=Trust.PLAINTEXT,
        )
        yield await clients.connect(target, Secret(PASSWORD)), asked


@pytest.mark.parametrize("lead", ["http://127.0.0.1:{port}", "//127.0.0.1:{port}"])
async def test_password_stays_with_its_bmc_when_a_link_leads_to_another_host(lead: str) -> None:
    async with serving(honest()) as (port, stolen):
        away = lead.format(port=port)
        answers = honest()
        answers["/redfish/v1/Systems"] = document(Members=[{"@odata.id": away + SYSTEM}])
        async with speaking_to(answers) as (bmc, _):
            with pytest.raises(BmcUnreadable):
                await bmc.power_state()
        assert stolen == []


async def test_reset_is_sent_to_nobody_when_its_target_is_on_another_host() -> None:
    async with serving(honest()) as (port, stolen):
        reset = {"target": f"http://127.0.0.1:{port}/reset"}
        answers = honest()
        actions = {"#ComputerSystem.Reset": reset}
        answers[SYSTEM] = document(**{"@odata.id": SYSTEM, "Actions": actions})
        async with speaking_to(answers) as (bmc, _):
            with pytest.raises(BmcUnreadable):
                await bmc.power(PowerAction.RESET)
        assert stolen == []


async def test_answer_is_unreadable_when_it_is_nested_beyond_any_reader() -> None:
    answers = honest()
    deep = b'{"Oem":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    answers[SYSTEM] = lambda: web.Response(body=deep)
    async with speaking_to(answers) as (bmc, _):
        with pytest.raises(BmcUnreadable):
            await bmc.power_state()


@pytest.mark.parametrize("location", ["http://10.0.0.1:99999/", "http://[::1/x", "http://h:x/"])
async def test_answer_is_unreadable_when_it_redirects_to_what_is_no_address(location: str) -> None:
    answers = honest()
    answers[SYSTEM] = lambda: web.Response(status=302, headers={"Location": location})
    async with speaking_to(answers) as (bmc, _):
        with pytest.raises(BmcUnreadable):
            await bmc.power_state()


async def test_texts_are_without_control_characters_whatever_the_bmc_writes() -> None:
    answers = honest()
    answers[SYSTEM] = document(
        **{
            "@odata.id": SYSTEM,
            "SerialNumber": "A\0B\n",
            "Links": {"Chassis": [{"@odata.id": "/c"}]},
        }
    )
    answers["/c"] = document(Thermal={"@odata.id": "/t"})
    answers["/t"] = document(Temperatures=[{"Name": "CPU\0 1", "ReadingCelsius": 40}])
    async with speaking_to(answers) as (bmc, _):
        assert (await bmc.identity()).serial == "AB"
        assert [reading.name for reading in await bmc.sensors()] == ["CPU 1"]


async def test_reason_is_without_control_characters_when_the_bmc_refuses() -> None:
    answers = honest()
    error = json.dumps({"error": {"message": "no\0\n way"}}).encode()
    answers[SYSTEM] = lambda: web.Response(status=400, body=error)
    async with speaking_to(answers) as (bmc, _):
        with pytest.raises(BmcRefused, match=r"no way$"):
            await bmc.power_state()

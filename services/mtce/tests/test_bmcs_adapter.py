"""The BMCs of all hosts while what is declared of them changes under an audit."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from murmuration.bmc.errors import BmcLogin
from murmuration.bmc.model import Identity, PowerState, Protocol, Secret
from murmuration.kernel.errors import NotFound, Unavailable
from murmuration.mtce.adapters.bmc import Bmcs
from murmuration.proto.ids import HostName
from murmuration.proto.sysinv import HostBmc
from murmuration.runtime.clock import SystemClock

NAME = HostName("worker-1")
DECLARED = HostBmc(address="198.18.0.9", user="operator", pin="00" * 32)


class Machine:
    """A BMC that takes the right password alone, and answers when it is let."""

    protocol = Protocol.REDFISH

    def __init__(self, secret: Secret, let: asyncio.Event) -> None:
        self._secret = secret
        self._let = let
        self.closed = False

    async def power_state(self) -> PowerState:
        await self._let.wait()
        if self._secret.password != "right":
            raise BmcLogin("it refuses user 'operator' or the password")
        return PowerState.ON

    async def identity(self) -> Identity:
        return Identity()

    async def close(self) -> None:
        self.closed = True


class Clients:
    """Makes machines; `login` is done while connecting, as where the protocol is learnt."""

    def __init__(self) -> None:
        self.let = asyncio.Event()
        self.connecting = asyncio.Event()
        self.connect_let = asyncio.Event()
        self.connect_let.set()
        self.made: list[Machine] = []
        self.login: Callable[[], None] = lambda: None

    async def connect(self, target: object, secret: Secret) -> Machine:
        del target
        self.connecting.set()
        await self.connect_let.wait()
        self.login()
        self.made.append(Machine(secret, self.let))
        return self.made[-1]


class Secrets:
    def __init__(self) -> None:
        self.password = "wrong"

    def read(self, name: str) -> str:
        del name
        return self.password


@pytest.fixture
def clients() -> Clients:
    return Clients()


@pytest.fixture
def secrets() -> Secrets:
    return Secrets()


@pytest.fixture
async def source(clients: Clients, secrets: Secrets) -> Bmcs:
    found = Bmcs(cast(Any, clients), cast(Any, secrets), SystemClock())
    await found.declare({NAME: DECLARED})
    return found


async def test_audit_ends_in_an_error_of_ours_when_the_bmc_is_removed_meanwhile(
    source: Bmcs, clients: Clients
) -> None:
    clients.connect_let.clear()
    audit = asyncio.create_task(source.audit(NAME))
    await clients.connecting.wait()
    await source.declare({})
    clients.connect_let.set()
    with pytest.raises((NotFound, Unavailable)):
        await audit
    assert clients.made[0].closed, "nobody else would give its session back"


async def test_new_password_is_tried_at_once_though_the_old_one_is_refused_meanwhile(
    source: Bmcs, clients: Clients, secrets: Secrets
) -> None:
    clients.connect_let.clear()
    audit = asyncio.create_task(source.audit(NAME))
    await clients.connecting.wait()
    secrets.password = "right"
    await source.forget(NAME)
    clients.connect_let.set()
    clients.let.set()
    with pytest.raises((BmcLogin, Unavailable)):
        await audit
    assert (await source.audit(NAME)).power.value == "on"


async def test_login_that_is_refused_while_connecting_is_not_tried_again_soon(
    source: Bmcs, clients: Clients
) -> None:
    tries: list[int] = []

    def refuse() -> None:
        tries.append(1)
        raise BmcLogin("it refuses user 'operator': invalid username or password")

    clients.login = refuse
    for _ in range(3):
        with pytest.raises(BmcLogin):
            await source.audit(NAME)
    assert tries == [1], "five tries and a BMC locks its user out"

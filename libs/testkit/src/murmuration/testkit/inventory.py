"""A stand-in for sysinv towards agents: answers enrolments, keeps what agents report.

Takes part in the real bus under sysinv's own identity, so permissions and the stream are real.
"""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import msgspec

from murmuration.bus.commands import RequestServer
from murmuration.bus.connection import Bus, open_bus
from murmuration.bus.reader import StreamReader
from murmuration.kernel.errors import MurmurationError
from murmuration.proto.pulse import pulse_key
from murmuration.proto.sysinv import (
    AskReport,
    EnrolHost,
    EnrolReply,
    HostCredentials,
    HostDelta,
    HostReport,
    JoinHost,
    Link,
)
from murmuration.runtime.config import read_credentials
from murmuration.security.joining import Issuer
from murmuration.testkit.nats import NatsServer

SECRET = bytes(range(32))
PERIOD_MS = 100


class FakeInventory:
    """What was asked and told; a refusal is answered while it is set."""

    def __init__(self, bus: Bus, issuer: Issuer) -> None:
        self.bus = bus
        self._issuer = issuer
        self.joins: list[JoinHost] = []
        self.enrolments: list[EnrolHost] = []
        self.messages: list[HostReport | HostDelta] = []
        self.headers: list[dict[str, str]] = []
        self.refusal: MurmurationError | None = None
        self.join_refusal: MurmurationError | None = None
        self._indexes: dict[str, int] = {}

    async def answer(self, request: EnrolHost) -> EnrolReply:
        """Give a host its index, the same each time."""
        self.enrolments.append(request)
        if self.refusal is not None:
            raise self.refusal
        index = self._indexes.setdefault(request.host, len(self._indexes) + 1)
        return EnrolReply(
            host=request.host,
            index=index,
            shard=0,
            pulse_period_ms=PERIOD_MS,
            pulse_key=pulse_key(SECRET, request.host, index).hex(),
            epoch=1,
            change=len(self.enrolments),
            pulse_jwt=self._issuer.pulse_jwt(request.host, index, request.pulse_nkey)
            if request.pulse_nkey
            else "",
        )

    async def join(self, request: JoinHost) -> HostCredentials:
        """Give a host its credentials; that a token is used once is not this stand-in's matter."""
        self.joins.append(request)
        if self.join_refusal is not None:
            raise self.join_refusal
        self._issuer.check(request, now_s=time.time())
        token = self._issuer.node_jwt(request.host, request.node_nkey)
        return HostCredentials(host=request.host, node_jwt=token)

    async def read(self) -> None:
        """Take in the stream of observations, for ever."""
        async for batch in StreamReader(self.bus, "SYSINV_OBSERVED", start=1).batches():
            for found in batch:
                kind = HostReport if found.subject.endswith(".report") else HostDelta
                self.messages.append(msgspec.json.decode(found.body, type=kind))
                self.headers.append(dict(found.headers))

    async def ask(self, host: str) -> None:
        """Ask a host for a full report."""
        await self.bus.publish(AskReport(host=host), host=host)

    def reports(self, host: str) -> list[HostReport]:
        """The full reports of a host, in order."""
        return [m for m in self.messages if isinstance(m, HostReport) and m.host == host]

    def links(self, host: str) -> dict[str, Link]:
        """The links of a host as its reports and deltas tell. Raises AssertionError at a gap."""
        known: dict[str, Link] = {}
        last = 0
        for message in self.messages:
            if message.host != host:
                continue
            if isinstance(message, HostReport):
                known = {link.name: link for link in message.links}
            else:
                assert message.n == last + 1, f"delta {message.n} came after message {last}"
                known |= {link.name: link for link in message.links_changed}
                for name in message.links_removed:
                    del known[name]
            last = message.n
        return known


@asynccontextmanager
async def fake_inventory(server: NatsServer) -> AsyncGenerator[FakeInventory]:
    """Serve as sysinv until the end of the block."""
    credentials = read_credentials(server.credentials_dir, "sysinv")
    assert credentials.signing is not None
    async with open_bus(server.section, credentials.bus, identity="sysinv") as bus:
        inventory = FakeInventory(bus, Issuer(credentials.signing))
        requests = RequestServer(bus, version="0.1.0")
        requests.answer(EnrolHost, inventory.answer)
        requests.answer(JoinHost, inventory.join)
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(requests.run(), name="requests"),
                group.create_task(inventory.read(), name="observations"),
            ]
            try:
                yield inventory
            finally:
                for task in tasks:
                    task.cancel()

"""Opening BMCs: one HTTP session and one pool of threads for all, the protocol learnt once each."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import aiohttp

from murmuration.bmc.errors import BmcAway, BmcRefused, BmcSilent, BmcUnreadable
from murmuration.bmc.ipmi import IpmiBmc, IpmiPool
from murmuration.bmc.model import Protocol, Secret, Target
from murmuration.bmc.ports import Bmc
from murmuration.bmc.redfish import RedfishBmc
from murmuration.bmc.redfish_http import ANSWER_S

CONNECTIONS_MAX: Final = 1_000  # as many BMCs as a site has, one connection each
CONNECT_S: Final = 3.0  # a BMC in the same network accepts in milliseconds
IDLE_S: Final = 30.0  # longer than the time between two audits: a connection is kept


class BmcClients:
    """What the BMCs of one process share; made by `bmc_clients`."""

    def __init__(self, session: aiohttp.ClientSession, pool: IpmiPool, answer_s: float) -> None:
        self._session = session
        self._pool = pool
        self._answer_s = answer_s

    async def connect(self, target: Target, secret: Secret) -> Bmc:
        """A BMC in the protocol it speaks; `protocol` of what is returned is the one learnt.

        Raises as the port. Where a firmware speaks both, Redfish is taken.
        """
        if target.protocol is Protocol.IPMI:
            return IpmiBmc(self._pool, target, secret)
        redfish = RedfishBmc(self._session, target, secret, answer_s=self._answer_s)
        if target.protocol is Protocol.REDFISH:
            return redfish
        try:
            await redfish.probe()
        except (BmcAway, BmcRefused, BmcSilent, BmcUnreadable) as error:
            ipmi = IpmiBmc(self._pool, target, secret)
            try:
                await ipmi.power_state()
            except (BmcAway, BmcSilent, BmcUnreadable) as other:
                raise BmcAway(f"neither Redfish ({error}) nor IPMI ({other})") from other
            return ipmi
        return redfish


@asynccontextmanager
async def bmc_clients(*, answer_s: float = ANSWER_S) -> AsyncIterator[BmcClients]:
    """Open what BMCs are spoken to with, and close it at the end; `answer_s` bounds a request."""
    pool = IpmiPool()
    connector = aiohttp.TCPConnector(
        limit=CONNECTIONS_MAX, limit_per_host=1, keepalive_timeout=IDLE_S
    )
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S)
    try:
        async with aiohttp.ClientSession(
            connector=connector,
            timeout=timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        ) as session:
            yield BmcClients(session, pool, answer_s)
    finally:
        pool.close()

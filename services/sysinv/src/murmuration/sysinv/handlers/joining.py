"""Hosts that show a join token and get credentials of their own."""

from murmuration.kernel.clock import Clock
from murmuration.kernel.errors import Conflict
from murmuration.proto.sysinv import HostCredentials, JoinHost
from murmuration.security.joining import Issuer
from murmuration.store.database import Database
from murmuration.sysinv.store import tokens


class Joining:
    """Answers JoinHost. A token is used up by the first key; with that key it may be shown again,
    since the answer may have been lost.
    """

    def __init__(self, database: Database, issuer: Issuer, clock: Clock) -> None:
        self._database = database
        self._issuer = issuer
        self._clock = clock

    async def join(self, request: JoinHost) -> HostCredentials:
        """Give a host its credentials. Raises Rejected for a bad token, Conflict for a used one."""
        now = self._clock.now()
        shown = self._issuer.check(request, now_s=now.timestamp())
        node_jwt = self._issuer.node_jwt(shown.host, shown.node_nkey)
        async with self._database.unit() as unit:
            if await tokens.use(unit.connection, shown, now) != shown.node_nkey:
                raise Conflict(f"the join token of {shown.host} was used before, by another key")
        return HostCredentials(host=shown.host, node_jwt=node_jwt)

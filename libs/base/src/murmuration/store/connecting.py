"""How PostgreSQL is reached: by its socket on the same machine, else with TLS and nothing less.

Invariant: where a host name is given, a server that has no TLS, shows a certificate that the site's
authorities do not vouch for, or bears another name, is not spoken to; the password is not sent.
"""

from pathlib import Path
from typing import Any

import asyncpg

from murmuration.kernel.errors import Rejected
from murmuration.runtime.config import DatabaseCredentials, StoreSection
from murmuration.security.tls import Contexts, trusting

CONNECT_TIMEOUT_S = 10


class Connector:
    """Makes connections of one login; as a pool's `connect`, too. Raises Rejected without `ca`."""

    def __init__(self, store: StoreSection, credentials: DatabaseCredentials) -> None:
        self.options: dict[str, Any] = {
            "host": store.host,
            "port": store.port,
            "user": credentials.user,
            "password": credentials.password,
            "database": credentials.name,
            "timeout": CONNECT_TIMEOUT_S,
        }
        self._authorities: Contexts | None = None
        if not store.host.startswith("/"):
            if not store.ca:
                raise Rejected(f"[store] {store.host} is reached with TLS: [store] ca is missing")
            self._authorities = trusting(Path(store.ca))

    async def __call__(self, *_: object, **more: Any) -> asyncpg.Connection:
        """Connect; what the file of authorities has by now is trusted. Raises as asyncpg does."""
        context = self._authorities.context() if self._authorities else False
        options: dict[str, Any] = {**self.options, **more, "ssl": context}
        return await asyncpg.connect(**options)

"""How a client of nats-py logs in with its JWT and its seed."""

import asyncio
import base64
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from murmuration.kernel.errors import Rejected
from murmuration.proto.permissions import inbox_prefix
from murmuration.runtime.config import BusCredentials, BusSection
from murmuration.security.ed25519 import decode_seed, sign
from murmuration.security.tls import Contexts, trusting


def login_options(credentials: BusCredentials, identity: str) -> dict[str, Any]:
    """Keyword arguments of `Client.connect`: who we are, and the inboxes that are ours."""
    user_jwt, signature = login_callbacks(credentials)
    return {
        "name": identity,
        "inbox_prefix": inbox_prefix(identity).encode(),
        "user_jwt_cb": user_jwt,
        "signature_cb": signature,
    }


def authorities_of(section: BusSection) -> Contexts | None:
    """Whom a client of this section trusts; None: it speaks without TLS. Raises Rejected."""
    if section.ca:
        return trusting(Path(section.ca))
    if "tls://" in section.url:
        raise Rejected(f"[bus] {section.url} wants TLS, and [bus] ca names no authorities")
    return None


class Refusal:
    """Notices that the server refuses a login: the client library would try again for ever."""

    def __init__(self) -> None:
        self.refused = asyncio.Event()

    def look_at(self, error: Exception) -> None:
        """Take what the library's error callback is told."""
        if "authorization" in str(error).lower():
            self.refused.set()

    async def unless(self, connecting: Coroutine[Any, Any, None]) -> bool:
        """Connect; False, with the attempt given up, as soon as the server refuses."""
        self.refused.clear()
        attempt = asyncio.ensure_future(connecting)
        noticed = asyncio.ensure_future(self.refused.wait())
        try:
            await asyncio.wait((attempt, noticed), return_when=asyncio.FIRST_COMPLETED)
            if not attempt.done():
                return False
            await attempt
            return True
        finally:
            for task in (attempt, noticed):
                task.cancel()
            await asyncio.gather(attempt, noticed, return_exceptions=True)


def login_callbacks(
    credentials: BusCredentials,
) -> tuple[Callable[[], bytes], Callable[[str], bytes]]:
    """The two callbacks that nats-py asks: the JWT, and the signature of the server's nonce."""
    seed = decode_seed(credentials.seed)

    def user_jwt() -> bytes:
        return credentials.jwt.encode()

    def signature(nonce: str) -> bytes:
        return base64.b64encode(sign(seed, nonce.encode()))

    return user_jwt, signature

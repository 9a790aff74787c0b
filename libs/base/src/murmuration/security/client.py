"""The NATS client that cannot be talked out of TLS.

nats-py goes on in plain text where a server does not ask for TLS, also when it was given a context;
only a handshake before the first line is never left out. Its context is one for life; ours is the
file's at each handshake, so that a rotation of authorities reaches who only reconnects.
"""

import ssl
from typing import Any

from nats.aio.client import Client

from murmuration.security.tls import Contexts


class QuickClient(Client):
    """A client that reads headers in a quarter of the time: they are most of what a message costs.

    Asks the library where a header is not plain ASCII with one word for a name.
    """

    @staticmethod
    def _parse_header_lines(raw: bytes) -> dict[str, str]:
        if not raw.isascii():
            return Client._parse_header_lines(raw)
        found: dict[str, str] = {}
        for line in raw.decode("ascii").split("\r\n"):
            name, colon, value = line.partition(":")
            if not colon:
                continue
            if not name or not name.isprintable() or " " in name:
                return Client._parse_header_lines(raw)
            found[name] = value.strip()
        return found


class TlsClient(QuickClient):
    """A client that trusts what `authorities` has at each handshake."""

    def __init__(self, authorities: Contexts) -> None:
        super().__init__()
        self._authorities = authorities

    @property
    def ssl_context(self) -> ssl.SSLContext:
        """What the library asks for at each connection."""
        return self._authorities.context()


def new_client(authorities: Contexts | None) -> tuple[Client, dict[str, Any]]:
    """A client, and what `connect` must be told for it; None: without TLS."""
    if authorities is None:
        return QuickClient(), {}
    return TlsClient(authorities), {"tls": authorities.context(), "tls_handshake_first": True}

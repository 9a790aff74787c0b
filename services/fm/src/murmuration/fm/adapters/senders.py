"""Sending to receivers: signed webhooks, Alertmanager's API v2, SNMP traps.

A receiver is what an operator configured, and is trusted no further: redirects are not followed,
of its answer only the beginning is read, and every attempt has a deadline. Secrets are read from
their file at each attempt, so that they can be changed, and are never logged.
"""

import asyncio
import hashlib
import hmac
import socket
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import msgspec

from murmuration.fm.core.notices import Trap
from murmuration.kernel.clock import Clock
from murmuration.kernel.errors import Unavailable
from murmuration.proto.fm_notify import Receiver, ReceiverKind

ATTEMPT_S = 10.0
ANSWER_BYTES_MAX = 512
ALERTS_PATH = "/api/v2/alerts"
SNMP_PORT = 162
SECRET_BYTES_MAX = 4_096
COMMUNITY = b"public"  # SNMPv2c without a secret: what every receiver of traps is set to at first
HTTP_OK_FIRST, HTTP_OK_LAST = 200, 299
HEADER_TIME = "X-Murmuration-Timestamp"
HEADER_SIGNATURE = "X-Murmuration-Signature"
HEADER_DELIVERY = "X-Murmuration-Delivery"
_TRAP = msgspec.json.Decoder(Trap)


class Sender:
    """Sends single deliveries; used by all receivers of the active replica."""

    def __init__(self, session: aiohttp.ClientSession, clock: Clock, secrets: Path) -> None:
        self._session = session
        self._clock = clock
        self._secrets = secrets
        self._started = clock.monotonic()

    async def send(self, receiver: Receiver, delivery_id: int, body: bytes) -> None:
        """One attempt. Raises Unavailable when it was not taken, with the reason."""
        try:
            async with asyncio.timeout(ATTEMPT_S):
                if receiver.kind is ReceiverKind.SNMP:
                    await self._trap(receiver, delivery_id, body)
                else:
                    await self._post(receiver, delivery_id, body)
        except TimeoutError as error:
            raise Unavailable(f"no answer in {ATTEMPT_S:.0f} s") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise Unavailable(str(error) or type(error).__name__) from error

    async def _post(self, receiver: Receiver, delivery_id: int, body: bytes) -> None:
        secret = self._secret(receiver)
        url = receiver.url
        headers = {"Content-Type": "application/json", HEADER_DELIVERY: str(delivery_id)}
        if receiver.kind is ReceiverKind.ALERTMANAGER:
            url = url.rstrip("/") + ALERTS_PATH
            if secret:
                headers["Authorization"] = f"Bearer {secret.decode()}"
        elif secret:
            headers |= signature(secret, body, at=int(self._clock.now().timestamp()))
        async with self._session.post(
            url, data=body, headers=headers, allow_redirects=False
        ) as answer:
            if not HTTP_OK_FIRST <= answer.status <= HTTP_OK_LAST:
                said = await answer.content.read(ANSWER_BYTES_MAX)
                text = said.decode(errors="replace").strip()
                raise Unavailable(f"HTTP {answer.status} {text}".strip())

    async def _trap(self, receiver: Receiver, delivery_id: int, body: bytes) -> None:
        where = urlsplit(receiver.url)
        datagram = _TRAP.decode(body).datagram(
            community=self._secret(receiver) or COMMUNITY,
            request_id=delivery_id % 2**31,
            uptime_s=self._clock.monotonic() - self._started,
        )
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(
            where.hostname, where.port or SNMP_PORT, type=socket.SOCK_DGRAM
        )
        family, kind, protocol, _, address = found[0]
        with socket.socket(family, kind, protocol) as udp:
            udp.setblocking(False)
            await loop.sock_sendto(udp, datagram, address)

    def _secret(self, receiver: Receiver) -> bytes:
        if not receiver.secret:
            return b""
        path = self._secrets / f"receiver-{receiver.secret}"
        try:
            with path.open("rb") as file:
                secret = file.read(SECRET_BYTES_MAX).strip()
        except OSError as error:
            raise Unavailable(f"cannot read {path}: {error.strerror}") from error
        if not secret:
            raise Unavailable(f"{path} is empty")
        return secret


def signature(secret: bytes, body: bytes, *, at: int) -> Mapping[str, str]:
    """The headers that prove who sent this body, and when: HMAC-SHA256 over `<at>.<body>`."""
    digest = hmac.new(secret, f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return {HEADER_TIME: str(at), HEADER_SIGNATURE: f"sha256={digest}"}

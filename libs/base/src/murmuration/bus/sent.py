"""How far a service has sent into streams of others: a key that only itself reads.

Its own stream proves how far its database was; what went to others leaves no trace there. So before
a window goes to another's stream its last (epoch, change) is written here, and the comparison
before the first write takes the higher of both. Invariant: the value only grows.
"""

import msgspec
import nats.errors
import nats.js.errors

from murmuration.bus.connection import Bus
from murmuration.bus.publisher import Publication, WindowPublisher
from murmuration.bus.wire import header_block
from murmuration.kernel.errors import Unavailable
from murmuration.proto.envelope import ZERO, StateValue, Version, encode
from murmuration.proto.platform import Sent, sent_bucket

EXPECTED = "Nats-Expected-Last-Subject-Sequence"


class SentMark:
    """The key of one service."""

    def __init__(self, bus: Bus, service: str) -> None:
        self._bus = bus
        self._service = service
        self._subject = f"$KV.{sent_bucket(service)}.sent"
        self._publisher = WindowPublisher(bus)
        self._version = ZERO
        self._revision: int | None = None

    async def read(self) -> Version:
        """What is stored; zero when nothing is. Raises Unavailable."""
        stream = f"KV_{sent_bucket(self._service)}"
        try:
            found = await self._bus.js.get_last_msg(stream, self._subject, direct=True)
        except nats.js.errors.NotFoundError:
            self._version, self._revision = ZERO, 0
            return ZERO
        except (nats.errors.Error, OSError, TimeoutError) as error:
            raise Unavailable(f"{stream}: {error or type(error).__name__}") from error
        value = msgspec.json.decode(found.data or b"", type=StateValue)
        self._version, self._revision = value.version, found.seq or 0
        return value.version

    async def reach(self, version: Version) -> None:
        """Store `version` unless as much is stored. Raises Unavailable, WindowBroken."""
        if self._revision is not None and version <= self._version:
            return
        if self._revision is None and version <= await self.read():
            return
        value = StateValue(
            epoch=version.epoch,
            change=version.change,
            data=msgspec.Raw(encode(Sent(service=self._service))),
        )
        expected = str(self._revision)
        self._revision = None  # until it is known how this ended
        message = Publication(self._subject, header_block([(EXPECTED, expected)]), encode(value))
        (revision,) = await self._publisher.publish([message])
        self._version, self._revision = version, revision

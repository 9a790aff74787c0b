"""pulse.json: what the node agent tells the sender after the host has enrolled.

Read with the scanner inside `_json`: the json module would cost a megabyte of regular expressions.
"""

import _json
import _socket
import posix

from murmuration.pulse.login import decode_seed

PERIOD_MS_MIN = 50
PERIOD_MS_MAX = 1_000
INDEX_MAX = 99_999
SHARD_MAX = 99
KEY_BYTES_MAX = 32
UDP_COUNT_MAX = 8  # a site has two controllers, a large one five
FILE_BYTES_MAX = 16_384
_JWT_MARKS = {ord("."): None, ord("-"): None, ord("_"): None}


class _Context:
    """What the scanner asks of a json.JSONDecoder."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = None


_scan = _json.make_scanner(_Context())  # type: ignore[arg-type]  # it only reads these attributes


class Settings:
    """The decoded file; addresses are numeric, so that nothing ever waits for a name server."""

    __slots__ = (
        "boot_id",
        "bus",
        "host",
        "index",
        "jwt",
        "key",
        "period_ms",
        "seed",
        "shard",
        "udp",
        "web",
    )

    def __init__(self, found: dict[str, object]) -> None:
        """Raises ValueError, saying which field is wrong."""
        self.host = _text(found, "host")
        self.index = _number(found, "index", 0, INDEX_MAX)
        self.shard = _number(found, "shard", 0, SHARD_MAX)
        self.period_ms = _number(found, "period_ms", PERIOD_MS_MIN, PERIOD_MS_MAX)
        self.key = bytes.fromhex(_text(found, "key"))
        if not 0 < len(self.key) <= KEY_BYTES_MAX:
            raise ValueError(f"key has {len(self.key)} bytes, not 1 to {KEY_BYTES_MAX}")
        self.boot_id = bytes.fromhex(_text(found, "boot_id").replace("-", ""))
        if len(self.boot_id) != 16:
            raise ValueError("boot_id is not a UUID")
        bus = found.get("bus")
        if not isinstance(bus, dict):
            raise ValueError("bus is not an object")  # noqa: TRY004  the file is wrong, not the code
        self.bus = (_numeric(_text(bus, "host"), "host"), _number(bus, "port", 1, 65_535))
        self.web = bus.get("web", False) is True
        self.jwt = _text(bus, "jwt")
        if not self.jwt.isascii() or not self.jwt.translate(_JWT_MARKS).isalnum():
            raise ValueError("jwt is not one")
        self.seed = _text(bus, "seed")
        decode_seed(self.seed)
        self.udp = _addresses(found.get("udp", []))

    @property
    def login(self) -> tuple[str, int, bool, str, str]:
        """Where the bus is and who we are there: a connection is of use while this is the same."""
        return (*self.bus, self.web, self.jwt, self.seed)

    @property
    def subject(self) -> str:
        """Where the frames go on NATS."""
        return f"mtce.pulse.{self.shard:02d}.{self.index:05d}"


def parse(text: str, kernel_boot_id: str) -> Settings | None:
    """The settings in `text`; None when they are of an earlier boot of this kernel.

    A file left from before a reboot must not make this boot look like that one: where the file says
    under which kernel boot it was written, another one's is passed over. Raises ValueError.
    """
    try:
        found, end = _scan(text.strip(), 0)
    except StopIteration as error:
        raise ValueError("it is not JSON") from error
    if not isinstance(found, dict) or end != len(text.strip()):
        raise ValueError("it is not one JSON object")
    written_under = found.get("kernel_boot_id", "")
    if written_under and kernel_boot_id and written_under != kernel_boot_id:
        return None
    return Settings(found)


def read_text(path: str) -> str:
    """A small file's text, "" when it is not there or not readable."""
    try:
        fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return posix.read(fd, FILE_BYTES_MAX).decode("utf-8", "replace")
    except OSError:
        return ""
    finally:
        posix.close(fd)


def _text(found: dict[str, object], name: str) -> str:
    value = found.get(name)
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} is not a text")
    return value


def _number(found: dict[str, object], name: str, least: int, most: int) -> int:
    value = found.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError(f"{name} is not a number from {least} to {most}")
    return value


def _numeric(host: str, name: str) -> str:
    try:
        _socket.inet_pton(_socket.AF_INET6 if ":" in host else _socket.AF_INET, host)
    except OSError as error:
        raise ValueError(f"{name} holds {host[:64]}, which is not a numeric address") from error
    return host


def _addresses(found: object) -> list[tuple[str, int]]:
    if not isinstance(found, list) or len(found) > UDP_COUNT_MAX:
        raise ValueError(f"udp is not a list of at most {UDP_COUNT_MAX} addresses")
    pairs: list[tuple[str, int]] = []
    for entry in found:
        if not isinstance(entry, list) or len(entry) != 2:
            raise ValueError("udp holds something that is not [address, port]")
        host, port = entry
        if not isinstance(host, str) or not isinstance(port, int) or not 0 < port <= 65_535:
            raise ValueError("udp holds something that is not [address, port]")
        pairs.append((_numeric(host, "udp"), port))
    return pairs

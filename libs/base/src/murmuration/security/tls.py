"""TLS as every part of a site speaks it: 1.3 alone, the site's own authorities, names checked.

Rotation needs nobody to be told: both sides look at their file at each handshake and use what
stands there by then. Connections that are there stay. Standard library alone, for agents use it.
"""

import contextlib
import ssl
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import msgspec

from murmuration.kernel.errors import Rejected

BUNDLE = "ca.pem"  # the authorities to trust; no secret
SUMMARY = "summary.json"  # what there is and when it ends; no secret

_Stamp = tuple[int, int, int]


class CertificateSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One certificate; `names` it stands for are DNS names and addresses, of an authority none."""

    name: str
    serial: str
    issuer: str
    names: tuple[str, ...]
    starts_at: datetime
    expires_at: datetime
    sha256: str


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """All of them; `stage` of the authority's rotation, and since when."""

    stage: str
    since: datetime
    certificates: tuple[CertificateSummary, ...]


def folder_of(credentials: Path) -> Path:
    """Where certificates lie, below a site's credentials."""
    return credentials / "tls"


def pair_of(credentials: Path, name: str) -> Path:
    """The file with a server's key and certificate."""
    return folder_of(credentials) / f"{name}.pem"


def read_summary(credentials: Path) -> Summary | None:
    """What was last published; None when there is none that can be read."""
    try:
        raw = (folder_of(credentials) / SUMMARY).read_bytes()
        return msgspec.json.decode(raw, type=Summary)
    except (OSError, msgspec.DecodeError):
        return None


class Contexts:
    """The context made of a file; made anew when the file has changed.

    Raises Rejected when the file cannot be used at first; later the last good one goes on.
    """

    def __init__(self, path: Path, make: Callable[[Path], ssl.SSLContext]) -> None:
        self._path = path
        self._make = make
        self._stamp = _stamp(path)
        self._context = make(path)

    def context(self) -> ssl.SSLContext:
        """The context for the next handshake."""
        stamp = _stamp(self._path)
        if stamp != self._stamp:
            with contextlib.suppress(Rejected):
                self._context = self._make(self._path)
                self._stamp = stamp
        return self._context


def trusting(bundle: Path) -> Contexts:
    """Contexts of a client: the authorities in a file; host names are checked. Raises Rejected."""
    return Contexts(bundle, _client)


def server_context(pair: Path) -> ssl.SSLContext:
    """The context of a server that shows the certificate in `pair`, whichever it is by then.

    Raises Rejected when the file cannot be used.
    """
    contexts = Contexts(pair, _server)

    def choose(
        connection: ssl.SSLSocket | ssl.SSLObject, _name: str | None, _first: ssl.SSLContext
    ) -> None:
        connection.context = contexts.context()

    first = contexts.context()
    first.sni_callback = choose  # asked at each handshake, also when no name is sent
    return first


def _client(bundle: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        context.load_verify_locations(bundle)
    except OSError as error:  # an SSLError is one
        raise Rejected(f"cannot use the authorities in {bundle}: {error}") from error
    return context


def _server(pair: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        context.load_cert_chain(pair)
    except OSError as error:
        raise Rejected(f"cannot use the certificate in {pair}: {error}") from error
    return context


def _stamp(path: Path) -> _Stamp | None:
    """What tells a file from the one that took its place."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size

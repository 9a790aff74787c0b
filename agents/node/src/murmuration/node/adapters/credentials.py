"""A host's own credentials: made here by joining, kept in its state folder, readable by its owner.

| file | what |
|---|---|
| join.token | put there by whoever lets the host join; gone once it was used |
| ca.pem | the authorities to trust ([bus] ca names it); the site tells of new ones at enrolment |
| joining.json | keys made for a join under way: a repeated request must show the same one |
| bus.json | the credentials of the host's agent, and the seed of its heartbeat sender |

Invariant: private keys are made on this host and never leave it.
"""

import os
import ssl
from pathlib import Path

import msgspec
import structlog

from murmuration.runtime.config import BusCredentials
from murmuration.runtime.files import read_private, write_private
from murmuration.security import ed25519
from murmuration.security.proof import parse_token

TOKEN = "join.token"  # noqa: S105
PENDING = "joining.json"
OWN = "bus.json"

log = structlog.get_logger()


class HostKeys(msgspec.Struct, frozen=True, kw_only=True):
    """The keys of a host; `jwt` is empty until it has joined."""

    jwt: str = ""
    seed: str
    pulse_seed: str

    def __repr__(self) -> str:
        return "HostKeys(…)"

    @property
    def login(self) -> BusCredentials:
        """How the host's agent logs in."""
        return BusCredentials(jwt=self.jwt, seed=self.seed)


def own(folder: Path) -> HostKeys | None:
    """The host's credentials; None before it has joined."""
    return _read(folder / OWN)


def pending(folder: Path) -> HostKeys:
    """The keys to join with, made and kept now if there are none yet. Raises OSError."""
    found = _read(folder / PENDING)
    if found is None:
        found = HostKeys(
            seed=ed25519.fresh_user_seed(os.urandom(32)),
            pulse_seed=ed25519.fresh_user_seed(os.urandom(32)),
        )
        folder.mkdir(parents=True, exist_ok=True)
        write_private(folder / PENDING, msgspec.json.encode(found))
    return found


def joined(folder: Path, keys: HostKeys) -> None:
    """Keep what joining gave; the token has served. Raises OSError."""
    write_private(folder / OWN, msgspec.json.encode(keys))
    for name in (TOKEN, PENDING):
        (folder / name).unlink(missing_ok=True)


def keep_authorities(path: str, told: str) -> None:
    """Trust what the site says from now on, if it is any authority. Raises OSError.

    So a rotation reaches a host by the connection that it has, before the old authority is dropped.
    """
    if not path or not told or read_private(Path(path)) == told.encode():
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=told)
    except ssl.SSLError:
        log.warning("host.authorities_refused")
        return
    write_private(Path(path), told.encode())
    log.info("host.authorities_changed")


def token(folder: Path) -> BusCredentials | None:
    """The join token that waits to be used, if there is one. Raises Rejected for what is none."""
    raw = read_private(folder / TOKEN)
    return None if raw is None else parse_token(raw.decode("ascii", "replace"))


def _read(path: Path) -> HostKeys | None:
    raw = read_private(path)
    try:
        return msgspec.json.decode(raw, type=HostKeys) if raw else None
    except msgspec.DecodeError:
        return None

"""The local identities of a site: one credentials file each, made once, readable by their owner.

A file `<identity>.json` holds what that identity needs and nothing of another; `site-secret` keys
what is derived (pulse keys); `gateway.token` opens the HTTP door. What makes identities is in
`authority.json`. Hosts have no file here: each keeps its own, which it gets by joining.
"""

import secrets
from pathlib import Path

import msgspec

from murmuration.proto.permissions import IDENTITIES, MANY
from murmuration.proto.platform import STATEFUL
from murmuration.runtime.config import Credentials, DatabaseCredentials
from murmuration.runtime.files import read_private, write_private
from murmuration.security.authority import Authority, open_authority
from murmuration.security.joining import signing_keys_of

ISSUER = "sysinv"  # takes hosts in, and so signs their credentials
LOCAL = tuple(identity for identity in IDENTITIES if identity not in MANY)
SECRET_BYTES = 32


class _Known(msgspec.Struct, kw_only=True):
    """What may be in a file that another version wrote."""

    bus: dict[str, str] = {}
    database: DatabaseCredentials | None = None


def ensure(folder: Path) -> None:
    """Make what is missing in `folder` (0700) and keep what is there. May be repeated.

    A login that the authority did not issue (of an older version, or of lost keys) is replaced.
    """
    with open_authority(folder) as authority:
        for identity in LOCAL:
            _ensure(folder / f"{identity}.json", identity, authority)
    for name in ("site-secret", "gateway.token"):
        path = folder / name
        if not path.exists():
            write_private(path, secrets.token_hex(SECRET_BYTES).encode() + b"\n")


def _ensure(path: Path, identity: str, authority: Authority) -> None:
    raw = read_private(path)
    try:
        known = msgspec.json.decode(raw, type=_Known) if raw else _Known()
    except msgspec.DecodeError:
        known = _Known()
    if authority.issued(known.bus.get("jwt", ""), identity):
        return
    content = Credentials(
        bus=authority.login(identity),
        database=known.database or _fresh_database(identity),
        signing=signing_keys_of(authority) if identity == ISSUER else None,
    )
    write_private(path, msgspec.json.encode(content))


def _fresh_database(identity: str) -> DatabaseCredentials | None:
    if identity not in STATEFUL:
        return None
    return DatabaseCredentials(name=identity, user=identity, password=secrets.token_urlsafe(24))

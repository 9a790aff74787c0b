"""The local identities of a site: one credentials file each, made once, readable by their owner.

A file `<identity>.json` holds what that identity needs and nothing of another; `site-secret` keys
what is derived (pulse keys); `gateway.token` opens the HTTP door.
"""

import os
import secrets
from pathlib import Path

import msgspec

from murmuration.runtime.config import BusCredentials, Credentials, DatabaseCredentials

SERVICES = ("sysinv", "mtce", "fm")  # with a database
IDENTITIES = (*SERVICES, "gateway", "node", "pulse", "sim", "tool", "provisioner")
SECRET_BYTES = 32


def ensure(folder: Path) -> None:
    """Make what is missing in `folder` (0700) and keep what is there. May be repeated."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)
    for identity in IDENTITIES:
        path = folder / f"{identity}.json"
        if not path.exists():
            _write(path, msgspec.json.encode(_fresh(identity)))
    for name in ("site-secret", "gateway.token"):
        path = folder / name
        if not path.exists():
            _write(path, secrets.token_hex(SECRET_BYTES).encode() + b"\n")


def _fresh(identity: str) -> Credentials:
    database = (
        DatabaseCredentials(name=identity, user=identity, password=secrets.token_urlsafe(24))
        if identity in SERVICES
        else None
    )
    bus = BusCredentials(user=identity, password=secrets.token_urlsafe(24))
    return Credentials(bus=bus, database=database)


def _write(path: Path, content: bytes) -> None:
    """Write atomically, 0600: a crash leaves the old file or the new one."""
    draft = path.with_suffix(".draft")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(descriptor, content)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    draft.replace(path)

"""Users that people ask for: programs outside that hear events, and tokens for hosts that join.

Creating one touches no server. Revoking pushes the account that it belongs to: the server closes
that user's connections and nobody else's.
"""

import time
from pathlib import Path

from murmuration.kernel.errors import Rejected
from murmuration.proto.permissions import JOIN, READER, zone_of
from murmuration.runtime.config import BusCredentials, BusSection
from murmuration.security import jwt
from murmuration.security.authority import Authority, UserRecord, open_authority
from murmuration.security.joining import TOKEN_TTL_S, issue_token
from murmuration.security.nats import push

DAYS_MAX = 3_650
DAY_S = 86_400
OUTSIDE = (READER, JOIN)  # what may be handed out; the site's own identities it makes itself
REVOCABLE = (READER, "node", "pulse", JOIN)


def create(folder: Path, *, role: str, name: str, days: int = 0) -> str:
    """A NATS credentials file of a reader, or the join token of a host; `days` 0: no end.

    A join token is good for an hour. Raises Rejected.
    """
    if role not in OUTSIDE:
        raise Rejected(f"the role is one of {', '.join(OUTSIDE)}")
    if not 0 <= days <= DAYS_MAX:
        raise Rejected(f"days are 0 (no end) to {DAYS_MAX}")
    if role == JOIN:
        return issue_token(folder, name, ttl_s=days * DAY_S or TOKEN_TTL_S)
    with open_authority(folder, write=True) as authority:
        end = int(time.time()) + days * DAY_S if days else 0
        return creds_file(authority.create(role, name, expires_at=end))


def known(folder: Path) -> tuple[UserRecord, ...]:
    """The users that `create` made, in that order, revoked ones included."""
    with open_authority(folder) as authority:
        return tuple(authority.keys.users)


async def revoke(folder: Path, name: str, *, bus: BusSection) -> None:
    """Refuse a user from now on, by name or by public key; its connections end.

    A key is refused as an agent and as a reader. What was revoked stays so even when the server is
    away: it is told at the next start. Raises Rejected, Unavailable.
    """
    with open_authority(folder, write=True) as authority:
        _revoke(authority, name)
    with open_authority(folder) as authority:
        await push(authority, bus)


def _revoke(authority: Authority, name: str) -> None:
    if not jwt.is_public(name):
        authority.revoke(name)
        return
    for zone_role in {zone_of(role): role for role in REVOCABLE}.values():
        authority.revoke_key(zone_role, name)


def creds_file(login: BusCredentials) -> str:
    """The text of a `.creds` file, as every NATS client reads it."""
    return (
        f"-----BEGIN NATS USER JWT-----\n{login.jwt}\n------END NATS USER JWT------\n\n"
        "Whoever has this file is this user: keep it secret.\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{login.seed}\n------END USER NKEY SEED------\n"
    )

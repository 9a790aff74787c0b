"""Who may speak on a site: its keys, the accounts made from the contract, and users signed by role.

A site is a NATS operator with an account per trust zone (`murmuration.proto.permissions`). Each
role has a scoped signing key whose permission template stands in the account: a user's own JWT
carries only its name and tags, so that it never grows, cannot ask for more than its role, and
follows a newer contract without being made anew. Making a user needs no server; revoking one is a
new JWT of its account, pushed to the running server.

Invariants: private keys of the operator and the accounts are in one file (0600), which no service
reads; who has the signing key of a role can make users of that role and nothing else; what was
revoked stays revoked when the accounts are made anew.
"""

import fcntl
import os
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import nkeys

from murmuration.kernel.errors import Rejected
from murmuration.proto.ids import HOST_NAME
from murmuration.proto.permissions import (
    IDENTITIES,
    MANY,
    PLAIN,
    RESPONSE_TTL_S,
    RESPONSES_MAX,
    Permissions,
    Zone,
    crossings,
    template,
    zone_of,
)
from murmuration.runtime.config import BusCredentials
from murmuration.runtime.files import read_private, write_private
from murmuration.security import jwt
from murmuration.security.jwt import Key

FILE = "authority.json"
USER_COUNT_MAX = 1_000  # outside subscribers and tools; hosts are not listed here
SYSTEM = "SYS"
READER_PAYLOAD_BYTES_MAX = 1_024  # a reader asks, it never tells
READER_SUBSCRIPTION_COUNT_MAX = 64
_UNLIMITED: dict[str, object] = {
    "subs": -1,
    "data": -1,
    "payload": -1,
    "imports": -1,
    "exports": -1,
    "wildcards": True,
    "conn": -1,
    "leaf": -1,
}
_JETSTREAM = {"mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1}


class UserRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One user that somebody asked for, as `list` tells it."""

    name: str
    role: str
    public: str
    created_at: int
    expires_at: int = 0
    revoked_at: int = 0


class Keys(msgspec.Struct, kw_only=True):
    """The file: seeds by name, users made for people, and revocations by account."""

    operator: str
    system: str
    accounts: dict[str, str]
    scopes: dict[str, str]
    users: list[UserRecord] = []
    revoked: dict[str, dict[str, int]] = {}


class Authority:
    """The keys of a site. Made by `open_authority`."""

    def __init__(self, keys: Keys) -> None:
        self.keys = keys
        self.operator = jwt.key_of(keys.operator)
        self.system = jwt.key_of(keys.system)
        self.accounts = {name: jwt.key_of(seed) for name, seed in keys.accounts.items()}
        self.scopes = {role: jwt.key_of(seed) for role, seed in keys.scopes.items()}

    # ── what the server is told ───────────────────────────────────────────────────────────────

    def operator_jwt(self) -> str:
        """The root of trust of the server's configuration."""
        claims = {"type": "operator", "version": 2, "system_account": self.system.public}
        return jwt.encode(
            {"sub": self.operator.public, "name": "site", "nats": claims}, self.operator
        )

    def account_jwts(self) -> dict[str, str]:
        """A JWT for each account, by its public key, as the contract has them now."""
        found = {self.accounts[zone].public: self.account_jwt(zone) for zone in Zone}
        found[self.system.public] = self._account(SYSTEM, self.system, {})
        return found

    def account_jwt(self, zone: Zone) -> str:
        """One zone's account: roles, what passes its border, who is revoked."""
        roles = [role for role in IDENTITIES if zone_of(role) is zone]
        nats: dict[str, object] = {
            "signing_keys": [
                {
                    "kind": "user_scope",
                    "role": role,
                    "key": self.scopes[role].public,
                    "template": _scope(template(role), role),
                }
                for role in roles
            ],
            "exports": _exports(zone),
            "imports": self._imports(zone),
        }
        revoked = self.keys.revoked.get(zone, {})
        if revoked:
            nats["revocations"] = revoked
        return self._account(zone.value, self.accounts[zone], nats, stores=zone is Zone.SITE)

    def _account(
        self, name: str, key: Key, nats: Mapping[str, object], *, stores: bool = False
    ) -> str:
        claims = {
            "limits": {**_UNLIMITED, **(_JETSTREAM if stores else {})},
            "default_permissions": {"pub": {}, "sub": {}},
            "type": "account",
            "version": 2,
            **nats,
        }
        return jwt.encode({"sub": key.public, "name": name, "nats": claims}, self.operator)

    def _imports(self, zone: Zone) -> list[dict[str, object]]:
        return [
            {
                "name": each.subject,
                "subject": each.subject,
                "account": self.accounts[each.exporter].public,
                "type": "service" if each.service else "stream",
            }
            for each in crossings()
            if each.importer is zone
        ]

    # ── users ─────────────────────────────────────────────────────────────────────────────────

    def user(
        self, identity: str, public: str, *, index: int | None = None, expires_at: int = 0
    ) -> str:
        """The JWT of `role` or `role@name` for a public key. Raises Rejected."""
        role = identity.partition("@")[0]
        if role not in self.scopes:
            raise Rejected(f"there is no role {role[:80]!r}")
        account = self.accounts[zone_of(role)].public
        return user_jwt(
            self.scopes[role], account, identity, public, index=index, expires_at=expires_at
        )

    def login(
        self, identity: str, *, index: int | None = None, expires_at: int = 0
    ) -> BusCredentials:
        """Fresh credentials of `role` or `role@name`."""
        key = jwt.fresh_user()
        token = self.user(identity, key.public, index=index, expires_at=expires_at)
        return BusCredentials(jwt=token, seed=key.seed)

    def issued(self, token: str, identity: str) -> bool:
        """Whether a JWT is one of this identity, issued by this authority."""
        try:
            claims = jwt.decode(token)
        except Rejected:
            return False
        return claims.get("name") == identity and claims.get("iss") == self.scopes[identity].public

    def system_login(self) -> BusCredentials:
        """Credentials that may update accounts on the server: good for a minute."""
        key = jwt.fresh_user()
        claims = {
            "sub": key.public,
            "name": "authority",
            "exp": int(time.time()) + 60,
            "nats": {
                "pub": {"allow": ["$SYS.REQ.CLAIMS.UPDATE"]},
                "sub": {"allow": ["_INBOX_authority.>"]},
                "subs": -1,
                "data": -1,
                "payload": -1,
                "allowed_connection_types": ["STANDARD"],
                "type": "user",
                "version": 2,
            },
        }
        return BusCredentials(jwt=jwt.encode(claims, self.system), seed=key.seed)

    def create(self, role: str, name: str, *, expires_at: int = 0) -> BusCredentials:
        """Credentials for somebody outside, remembered by name. Raises Rejected."""
        identity = f"{role}@{name}"
        if any(each.name == name and not each.revoked_at for each in self.keys.users):
            raise Rejected(f"there is a user {name} already: revoke it first")
        if len(self.keys.users) >= USER_COUNT_MAX:
            self.keys.users = [each for each in self.keys.users if not each.revoked_at]
        if len(self.keys.users) >= USER_COUNT_MAX:
            raise Rejected(f"there are {USER_COUNT_MAX} users already")
        made = self.login(identity, expires_at=expires_at)
        self.keys.users.append(
            UserRecord(
                name=name,
                role=role,
                public=jwt.key_of(made.seed).public,
                created_at=int(time.time()),
                expires_at=expires_at,
            )
        )
        return made

    def revoke(self, name: str) -> Zone:
        """Revoke a user that `create` made; the account to push. Raises Rejected."""
        for place, each in enumerate(self.keys.users):
            if each.name == name and not each.revoked_at:
                now = int(time.time())
                self.keys.users[place] = msgspec.structs.replace(each, revoked_at=now)
                return self.revoke_key(each.role, each.public)
        raise Rejected(f"there is no user {name[:80]!r}")

    def revoke_key(self, role: str, public: str) -> Zone:
        """Refuse from now on what was issued for a key until now; the account to push."""
        zone = zone_of(role)
        self.keys.revoked.setdefault(zone.value, {})[public] = int(time.time()) + 1
        return zone


def user_jwt(
    scope: Key,
    account: str,
    identity: str,
    public: str,
    *,
    index: int | None = None,
    expires_at: int = 0,
) -> str:
    """Sign a user of a role: name and tags alone. Raises Rejected for a name or key that is none.

    A tag becomes part of a subject, where a wildcard would widen it: only names pass.
    """
    role, _, name = identity.partition("@")
    if (role in MANY) != bool(name) or (name and not HOST_NAME.fullmatch(name)):
        raise Rejected(f"{identity[:80]!r} cannot be a user: 1 to 63 of a-z, 0-9 and -")
    if not public.startswith("U") or not jwt.is_public(public):
        raise Rejected("a user's public key is an nkey that starts with U")
    tags = [f"name:{name}"] if name else []
    if index is not None:
        tags.append(f"index:{index:05d}")
    claims: dict[str, Any] = {
        "sub": public,
        "name": identity,
        "nats": {
            "pub": {},
            "sub": {},
            "issuer_account": account,
            "tags": tags,
            "type": "user",
            "version": 2,
        },
    }
    if expires_at:
        claims["exp"] = expires_at
    return jwt.encode(claims, scope)


def _scope(allowed: Permissions, role: str) -> dict[str, object]:
    reader = role == "reader"
    scope: dict[str, object] = {
        "pub": _rules(allowed.publish),
        "sub": _rules(allowed.subscribe),
        "subs": READER_SUBSCRIPTION_COUNT_MAX if reader else -1,
        "data": -1,
        "payload": READER_PAYLOAD_BYTES_MAX if reader else -1,
        "allowed_connection_types": ["STANDARD", *(["WEBSOCKET"] if role in PLAIN else [])],
    }
    if allowed.answers:
        scope["resp"] = {"max": RESPONSES_MAX, "ttl": RESPONSE_TTL_S * 1_000_000_000}
    return scope


def _rules(subjects: tuple[str, ...]) -> dict[str, list[str]]:
    return {"allow": list(subjects)} if subjects else {"deny": [">"]}


def _exports(zone: Zone) -> list[dict[str, object]]:
    found: dict[str, dict[str, object]] = {}
    for each in crossings():
        if each.exporter is zone:
            found[each.subject] = {
                "name": each.subject,
                "subject": each.subject,
                "type": "service" if each.service else "stream",
                **({"response_type": "Stream"} if each.many else {}),
            }
    return list(found.values())


def _fresh() -> Keys:
    def account() -> str:
        return jwt.fresh_key(nkeys.PREFIX_BYTE_ACCOUNT).seed

    return Keys(
        operator=jwt.fresh_key(nkeys.PREFIX_BYTE_OPERATOR).seed,
        system=account(),
        accounts={zone.value: account() for zone in Zone},
        scopes={role: account() for role in IDENTITIES},
    )


@contextmanager
def open_authority(folder: Path, *, write: bool = False) -> Generator[Authority]:
    """The authority of a site; makes what is missing, for example of a role that is new.

    One at a time; with `write` what was changed is kept when the block ends well. Raises Rejected.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)
    lock = os.open(folder / ".authority.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        keys, changed = _load(folder / FILE)
        if changed:
            write_private(folder / FILE, msgspec.json.encode(keys))
        yield Authority(keys)
        if write:
            write_private(folder / FILE, msgspec.json.encode(keys))
    finally:
        os.close(lock)


def _load(path: Path) -> tuple[Keys, bool]:
    raw = read_private(path)
    if raw is None:
        return _fresh(), True
    try:
        keys = msgspec.json.decode(raw, type=Keys)
    except msgspec.DecodeError as error:
        raise Rejected(f"{path} is damaged: {error}") from error
    missing = [role for role in IDENTITIES if role not in keys.scopes]
    absent = [zone.value for zone in Zone if zone.value not in keys.accounts]
    for role in missing:
        keys.scopes[role] = jwt.fresh_key(nkeys.PREFIX_BYTE_ACCOUNT).seed
    for zone in absent:
        keys.accounts[zone] = jwt.fresh_key(nkeys.PREFIX_BYTE_ACCOUNT).seed
    return keys, bool(missing or absent)

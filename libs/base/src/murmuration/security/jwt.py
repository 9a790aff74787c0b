"""NATS' decentralised JWTs (nats-io/jwt v2), as much of them as a site needs.

A claim is JSON signed with an nkey (Ed25519); header, claims and signature are base64url without
padding, joined by dots. `jti` is base32 of SHA-512/256 over the claims with an empty `jti`.

Invariants: what `decode` returns was signed by the key that it names as issuer; whether that issuer
may issue is the caller's question.
"""

import base64
import binascii
import hashlib
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import nkeys
from nacl.exceptions import CryptoError
from nacl.signing import VerifyKey

from murmuration.kernel.errors import Rejected
from murmuration.security import ed25519

JWT_BYTES_MAX = 65_536  # an account's permission templates take about a third of it
SIGNATURE_BYTES = 64
PUBLIC_BYTES = 35  # prefix, 32 of key, two of CRC-16
_HEADER = {"typ": "JWT", "alg": "ed25519-nkey"}
Claims = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Key:
    """A key pair: the seed is secret and not shown; `public` is the name others know it by."""

    seed: str
    public: str

    def __repr__(self) -> str:
        return f"Key({self.public})"

    def sign(self, data: bytes) -> bytes:
        """Ed25519 signature of `data`, 64 bytes."""
        return bytes(nkeys.from_seed(bytearray(self.seed.encode())).sign(data))


def fresh_key(prefix: int) -> Key:
    """A new key pair of a kind: nkeys.PREFIX_BYTE_OPERATOR, _ACCOUNT or _USER."""
    return key_of(nkeys.encode_seed(os.urandom(32), prefix).decode())


def fresh_user() -> Key:
    """A new key pair of a user."""
    return fresh_key(nkeys.PREFIX_BYTE_USER)


def key_of(seed: str) -> Key:
    """The key pair of a seed. Raises Rejected."""
    try:
        ed25519.decode_seed(seed)  # the library does not look at a seed's check
        pair = nkeys.from_seed(bytearray(seed.encode()))
        return Key(seed, bytes(pair.public_key).decode())
    except Exception as error:  # nkeys raises whatever its parts do
        raise Rejected("a seed is not an nkey") from error


def is_public(text: str) -> bool:
    """Whether `text` is the public part of an nkey."""
    return _raw_public(text) is not None


def verify(public: str, data: bytes, signature: bytes) -> bool:
    """Whether `signature` is that of `data` by the key `public`; False for what is no key."""
    raw = _raw_public(public)
    if raw is None or len(signature) != SIGNATURE_BYTES:
        return False
    try:
        VerifyKey(raw).verify(data, signature)
    except CryptoError:
        return False
    return True


def encode(claims: Mapping[str, Any], issuer: Key) -> str:
    """The claims as a JWT of `issuer`; `iss`, `iat` and `jti` are filled in."""
    whole: Claims = {"jti": "", "iat": int(time.time()), "iss": issuer.public, **claims}
    digest = hashlib.new("sha512_256", msgspec.json.encode(whole)).digest()
    whole["jti"] = base64.b32encode(digest).decode().rstrip("=")
    body = f"{_part(msgspec.json.encode(_HEADER))}.{_part(msgspec.json.encode(whole))}"
    return f"{body}.{_part(issuer.sign(body.encode()))}"


def decode(token: str) -> Claims:
    """The claims of a JWT whose signature is good. Raises Rejected."""
    if len(token) > JWT_BYTES_MAX:
        raise Rejected("a JWT is longer than any of ours")
    try:
        header, body, signature = token.split(".")
        claims = msgspec.json.decode(_whole(body), type=Claims)
        if msgspec.json.decode(_whole(header)) != _HEADER:
            raise Rejected("a JWT is not signed by an nkey")
        good = verify(str(claims.get("iss")), f"{header}.{body}".encode(), _whole(signature))
    except (ValueError, msgspec.MsgspecError) as error:
        raise Rejected("a JWT is not well formed") from error
    if not good:
        raise Rejected("a JWT's signature is not its issuer's")
    return claims


def _part(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _whole(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _raw_public(text: str) -> bytes | None:
    try:
        raw = base64.b32decode(text + "=" * (-len(text) % 8))
    except ValueError:
        return None
    if len(raw) != PUBLIC_BYTES or binascii.crc_hqx(raw[:-2], 0) != raw[-2] | raw[-1] << 8:
        return None
    return raw[1:-2]

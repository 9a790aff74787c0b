"""Logging in to NATS with an nkey: Ed25519 (RFC 8032) in whole numbers, once per connection.

The standard library has no Ed25519, and a library that has one costs more memory than this whole
process. Not made for secrecy against who can time it: it signs one nonce of the server's per login.
"""

import binascii

try:
    from _sha512 import sha512  # pyright: ignore  # until 3.11
except ImportError:
    from _sha2 import sha512  # pyright: ignore  # from 3.12 on

SEED_BYTES = 36  # two of prefix, 32 of seed, two of CRC-16
_P = 2**255 - 19
_ORDER = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, _P - 2, _P) % _P
_Point = tuple[int, int, int, int]  # extended coordinates: X, Y, Z, XY/Z
_BASE_X = 15112221349535400772501151409588531511454012693041857206046113283949847762202
_BASE_Y = 46316835694926478169428394003475163141307993866256225615783033603165251855960
_BASE: _Point = (_BASE_X, _BASE_Y, 1, _BASE_X * _BASE_Y % _P)


def connect_options(seed: str, jwt: str, info: bytes) -> str:
    """The members of CONNECT that say who we are, as JSON. Raises ValueError for a bad seed."""
    nonce = _nonce(info)
    signature = binascii.b2a_base64(sign(decode_seed(seed), nonce), newline=False).decode()
    signature = signature.replace("+", "-").replace("/", "_").rstrip("=")
    return f'"jwt":"{jwt}","sig":"{signature}"'


def decode_seed(text: str) -> bytes:
    """The 32 secret bytes of an nkey's seed. Raises ValueError."""
    value = 0
    for letter in text:
        place = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".find(letter)
        if place < 0:
            raise ValueError("a seed is base32")
        value = value << 5 | place
    spare = len(text) * 5 - SEED_BYTES * 8
    if not 0 <= spare < 5:
        raise ValueError("a seed has another length")
    raw = (value >> spare).to_bytes(SEED_BYTES, "big")
    if binascii.crc_hqx(raw[:-2], 0) != raw[-2] | raw[-1] << 8:
        raise ValueError("a seed's check does not hold")
    return raw[2:-2]


def sign(seed: bytes, message: bytes) -> bytes:
    """The signature of `message`, 64 bytes (RFC 8032, 5.1.6)."""
    secret = sha512(seed).digest()
    scalar = int.from_bytes(secret[:32], "little") & (1 << 254) - 8 | 1 << 254
    public = _packed(_times(scalar))
    nonce = int.from_bytes(sha512(secret[32:] + message).digest(), "little") % _ORDER
    point = _packed(_times(nonce))
    challenge = int.from_bytes(sha512(point + public + message).digest(), "little")
    return point + ((nonce + challenge * scalar) % _ORDER).to_bytes(32, "little")


def _nonce(info: bytes) -> bytes:
    """The server's challenge in its INFO, empty when it asks none."""
    _, found, rest = info.partition(b'"nonce":"')
    return rest.partition(b'"')[0] if found else b""


def _times(factor: int) -> _Point:
    """`factor` times the base point."""
    result: _Point = (0, 1, 1, 0)
    point = _BASE
    while factor:
        if factor & 1:
            result = _sum(result, point)
        point = _sum(point, point)
        factor >>= 1
    return result


def _sum(one: _Point, other: _Point) -> _Point:
    a = (one[1] - one[0]) * (other[1] - other[0]) % _P
    b = (one[1] + one[0]) * (other[1] + other[0]) % _P
    c = 2 * one[3] * other[3] * _D % _P
    d = 2 * one[2] * other[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % _P, g * h % _P, f * g % _P, e * h % _P)


def _packed(point: _Point) -> bytes:
    x, y, z, _ = point
    inverse = pow(z, _P - 2, _P)
    x, y = x * inverse % _P, y * inverse % _P
    return (y | (x & 1) << 255).to_bytes(32, "little")

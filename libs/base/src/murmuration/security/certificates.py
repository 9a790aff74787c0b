"""The site's own certificate authority: who vouches for its servers, and how that changes.

A leaf lives for LEAF_DAYS and is made anew well before its end, an authority for AUTHORITY_YEARS.
An authority is replaced in stages, so that nobody meets a certificate that it cannot check:

| stage | trusted | signs | ends |
|---|---|---|---|
| steady | A | A | when a rotation is asked for, or A comes near its end |
| announced | A, B | A | when everybody has had the time to learn of B |
| retiring | A, B | B | when every server shows what B signed, and that time has gone by again |

Invariants: private keys of authorities are in one file (0600) that no server reads; a server's key
and certificate are one file, replaced as a whole; what is published follows from the book alone, so
a run that was killed is made good by the next. X.509 as RFC 5280 has it, names by RFC 6125.
"""

import enum
import fcntl
import ipaddress
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from murmuration.kernel.errors import Rejected
from murmuration.runtime.files import read_private, write_private
from murmuration.security.tls import (
    BUNDLE,
    SUMMARY,
    CertificateSummary,
    Summary,
    folder_of,
    pair_of,
)

BOOK = "certificates.json"
AUTHORITY_YEARS = 10
LEAF_DAYS = 30  # a key that was stolen unseen is of use no longer
LEAF_RENEW_DAYS = 10  # before its end: time to notice that renewing fails
AUTHORITY_RENEW_DAYS = 365
CLOCK_SLACK = timedelta(hours=1)  # of not-before: clocks of hosts differ
SPREAD = timedelta(minutes=30)  # three of the rounds (10 min) by which agents learn of authorities


class Stage(enum.StrEnum):
    """Where a rotation of the authority is."""

    STEADY = "steady"
    ANNOUNCED = "announced"
    RETIRING = "retiring"


class Authority(msgspec.Struct, frozen=True):
    """A certificate that signs, and its key, both PEM."""

    certificate: str
    key: str


class Book(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept: one authority, or during a rotation the old and the new, in this order."""

    authorities: tuple[Authority, ...]
    stage: Stage = Stage.STEADY
    since: datetime  # when this stage began

    @property
    def signer(self) -> Authority:
        """Who signs now."""
        return self.authorities[-1 if self.stage is Stage.RETIRING else 0]


def following(
    book: Book, now: datetime, *, asked: bool, hurry: bool, fresh: Authority
) -> tuple[Book, str]:
    """The book one stage on, if it is time, and why; the same book when it is not.

    `asked`: an operator wants a rotation; `hurry`: without waiting; `fresh` becomes the successor.
    Going from `retiring` to `steady` is the caller's to allow: see `keep`.
    """
    waited = hurry or not book.since <= now < book.since + SPREAD
    match book.stage:
        case Stage.STEADY:
            ends = load(book.authorities[0].certificate).not_valid_after_utc
            old = ends - now < timedelta(days=AUTHORITY_RENEW_DAYS)
            if asked or old:
                both = (book.authorities[0], fresh)
                why = "a new authority is made known" if asked else "the authority nears its end"
                return Book(authorities=both, stage=Stage.ANNOUNCED, since=now), why
        case Stage.ANNOUNCED if waited:
            moved = msgspec.structs.replace(book, stage=Stage.RETIRING, since=now)
            return moved, "the new authority signs"
        case Stage.RETIRING if waited:
            return Book(authorities=book.authorities[-1:], since=now), "the old one is dropped"
        case _:
            pass
    return book, ""


def keep(
    credentials: Path,
    leaves: Mapping[str, Sequence[str]],
    *,
    now: datetime,
    renew: bool = False,
    asked: bool = False,
    hurry: bool = False,
    may_retire: bool = True,
) -> tuple[Summary, list[str]]:
    """Bring what is published in line with the book and the clock; what is there, what changed.

    `leaves` names each server's addresses and names; `renew` makes all leaves anew. `may_retire`
    tells that every server shows the newest leaf, without which the old authority stays trusted.
    May be repeated; one at a time. What changed: names of leaves, and `ca`. Raises Rejected.
    """
    folder = folder_of(credentials)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _locked(folder):
        book = _read(credentials / BOOK, now)
        if book.stage is not Stage.RETIRING or may_retire:
            fresh = make_authority(now) if book.stage is Stage.STEADY else book.authorities[-1]
            after, _ = following(book, now, asked=asked, hurry=hurry, fresh=fresh)
            if after is not book:
                book = after
                write_private(credentials / BOOK, msgspec.json.encode(book))
        changed: list[str] = []
        bundle = "".join(each.certificate for each in book.authorities).encode()
        if read_private(folder / BUNDLE) != bundle:
            write_private(folder / BUNDLE, bundle)
            changed.append("ca")
        for name, names in leaves.items():
            path = pair_of(credentials, name)
            if renew or not is_good(read_private(path), names, book.signer, now):
                write_private(path, make_leaf(name, names, book.signer, now))
                changed.append(name)
        summary = _summary(folder, book, leaves, credentials)
        write_private(folder / SUMMARY, msgspec.json.encode(summary))
        return summary, changed


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _read(path: Path, now: datetime) -> Book:
    raw = read_private(path)
    if raw is None:
        book = Book(authorities=(make_authority(now),), since=now)
        write_private(path, msgspec.json.encode(book))
        return book
    try:
        book = msgspec.json.decode(raw, type=Book)
    except msgspec.DecodeError as error:
        raise Rejected(f"{path} is damaged: {error}") from error
    if len(book.authorities) != (1 if book.stage is Stage.STEADY else 2):
        raise Rejected(f"{path} is damaged: {len(book.authorities)} authorities at {book.stage}")
    return book


def load(pem: str | bytes) -> x509.Certificate:
    """The first certificate of a PEM text. Raises ValueError."""
    return x509.load_pem_x509_certificate(pem.encode() if isinstance(pem, str) else pem)


def make_authority(now: datetime) -> Authority:
    """A new authority: ECDSA P-256, signs leaves and nothing below them."""
    key = ec.generate_private_key(ec.SECP256R1())
    serial = x509.random_serial_number()
    name = _name(f"Murmuration site authority {serial:040x}"[:-28])
    usage = _usage(signs_certificates=True)
    builder = _builder(name, name, key.public_key(), now, days=AUTHORITY_YEARS * 365)
    certificate = (
        builder.serial_number(serial)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Authority(certificate.public_bytes(Encoding.PEM).decode(), _pem(key).decode())


def make_leaf(name: str, names: Sequence[str], signer: Authority, now: datetime) -> bytes:
    """A server's key and certificate for its addresses and names, PEM, key first."""
    authority = load(signer.certificate)
    authority_key = _private(signer.key)
    key = ec.generate_private_key(ec.SECP256R1())
    identifier = x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key())
    builder = _builder(_name(name), authority.subject, key.public_key(), now, days=LEAF_DAYS)
    certificate = (
        builder.serial_number(x509.random_serial_number())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(_alternatives(names)), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier),
            critical=False,
        )
        .sign(authority_key, hashes.SHA256())
    )
    return _pem(key) + certificate.public_bytes(Encoding.PEM)


def is_good(raw: bytes | None, names: Sequence[str], signer: Authority, now: datetime) -> bool:
    """Whether a server's file is whole, of this signer, for these names and not near its end."""
    if raw is None:
        return False
    try:
        certificate = load(raw)
        key = _private(raw)
        load(signer.certificate).public_key()
        certificate.verify_directly_issued_by(load(signer.certificate))
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False
    left = certificate.not_valid_after_utc - now
    return (
        certificate.public_key() == key.public_key()
        and certificate.not_valid_before_utc <= now
        and left > timedelta(days=LEAF_RENEW_DAYS)
        and set(found) == set(_alternatives(names))
    )


def _summary(
    folder: Path, book: Book, leaves: Mapping[str, Sequence[str]], credentials: Path
) -> Summary:
    certificates = [load(each.certificate) for each in book.authorities]
    found = [_told("ca", certificate) for certificate in certificates]
    for name in leaves:
        found.append(_told(name, load(pair_of(credentials, name).read_bytes())))
    return Summary(stage=book.stage.value, since=book.since, certificates=tuple(found))


def _told(name: str, certificate: x509.Certificate) -> CertificateSummary:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        names = tuple(str(each.value) for each in extension.value)
    except x509.ExtensionNotFound:
        names = ()
    return CertificateSummary(
        name=name,
        serial=f"{certificate.serial_number:x}",
        issuer=_common_name(certificate.issuer),
        names=names,
        starts_at=certificate.not_valid_before_utc,
        expires_at=certificate.not_valid_after_utc,
        sha256=certificate.fingerprint(hashes.SHA256()).hex(),
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    now: datetime,
    *,
    days: int,
) -> x509.CertificateBuilder:
    start = now.astimezone(UTC).replace(microsecond=0)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .not_valid_before(start - CLOCK_SLACK)
        .not_valid_after(start + timedelta(days=days))
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _common_name(name: x509.Name) -> str:
    return str(name.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


def _alternatives(names: Sequence[str]) -> list[x509.GeneralName]:
    found: list[x509.GeneralName] = []
    for name in dict.fromkeys(names):
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            found.append(x509.DNSName(name))
    return found


def _private(pem: str | bytes) -> ec.EllipticCurvePrivateKey:
    key = load_pem_private_key(pem.encode() if isinstance(pem, str) else pem, None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("it is not an elliptic curve key")  # noqa: TRY004 - the file is wrong
    return key


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

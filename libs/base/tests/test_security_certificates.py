"""The site's authority: what it makes, when it makes it anew, and how it gives way to another."""

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from cryptography import x509

from murmuration.kernel.errors import Rejected
from murmuration.security import certificates
from murmuration.security.certificates import (
    AUTHORITY_RENEW_DAYS,
    AUTHORITY_YEARS,
    LEAF_DAYS,
    LEAF_RENEW_DAYS,
    SPREAD,
    Book,
    Stage,
    following,
    keep,
    load,
    make_authority,
)
from murmuration.security.tls import BUNDLE, folder_of, pair_of, read_summary

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
NAMES = {"nats": ["127.0.0.1", "site.example"], "gateway": ["::1"]}
DAY = timedelta(days=1)
A, B = make_authority(NOW), make_authority(NOW)
OLD = make_authority(NOW - (AUTHORITY_YEARS * 365 - AUTHORITY_RENEW_DAYS + 1) * DAY)


@pytest.mark.parametrize("hurry", [False, True])
@pytest.mark.parametrize("asked", [False, True])
@pytest.mark.parametrize("waited", [False, True])
@pytest.mark.parametrize("stage", list(Stage))
def test_stage_moves_on_only_when_it_is_time(
    stage: Stage, waited: bool, asked: bool, hurry: bool
) -> None:
    since = NOW - SPREAD if waited else NOW - SPREAD + timedelta(seconds=1)
    known = (A,) if stage is Stage.STEADY else (A, B)
    book = Book(authorities=known, stage=stage, since=since)
    after, reason = following(book, NOW, asked=asked, hurry=hurry, fresh=B)
    due = asked if stage is Stage.STEADY else waited or hurry
    if not due:
        assert (after, reason) == (book, "")
        return
    assert reason and after.since == NOW
    assert (after.stage, after.authorities, after.signer) == {
        Stage.STEADY: (Stage.ANNOUNCED, (A, B), A),
        Stage.ANNOUNCED: (Stage.RETIRING, (A, B), B),
        Stage.RETIRING: (Stage.STEADY, (B,), B),
    }[stage]


def test_authority_near_its_end_gets_a_successor_by_itself() -> None:
    book = Book(authorities=(OLD,), since=NOW - DAY)
    after, _ = following(book, NOW, asked=False, hurry=False, fresh=B)
    assert (after.stage, after.authorities) == (Stage.ANNOUNCED, (OLD, B))


def test_clock_that_was_set_back_does_not_hold_a_rotation_for_ever() -> None:
    book = Book(authorities=(A, B), stage=Stage.ANNOUNCED, since=NOW + DAY)
    after, _ = following(book, NOW, asked=False, hurry=False, fresh=B)
    assert after.stage is Stage.RETIRING


def test_certificates_are_made_once_and_kept(tmp_path: Path) -> None:
    summary, changed = keep(tmp_path, NAMES, now=NOW)
    assert changed == ["ca", "nats", "gateway"]
    assert [(each.name, each.expires_at) for each in summary.certificates[1:]] == [
        ("nats", NOW + LEAF_DAYS * DAY),
        ("gateway", NOW + LEAF_DAYS * DAY),
    ]
    assert summary.certificates[1].names == ("127.0.0.1", "site.example")
    assert read_summary(tmp_path) == summary
    assert keep(tmp_path, NAMES, now=NOW + DAY)[1] == []
    for path in (tmp_path / certificates.BOOK, *folder_of(tmp_path).iterdir()):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    authority = load((folder_of(tmp_path) / BUNDLE).read_bytes())
    leaf = load(pair_of(tmp_path, "nats").read_bytes())
    leaf.verify_directly_issued_by(authority)
    assert leaf.serial_number != load(pair_of(tmp_path, "gateway").read_bytes()).serial_number
    assert leaf.not_valid_before_utc < NOW
    basic = authority.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert (basic.ca, basic.path_length) == (True, 0)


def test_leaf_is_made_anew_when_it_nears_its_end(tmp_path: Path) -> None:
    keep(tmp_path, NAMES, now=NOW)
    soon = NOW + (LEAF_DAYS - LEAF_RENEW_DAYS) * DAY
    assert keep(tmp_path, NAMES, now=soon - DAY)[1] == []
    assert keep(tmp_path, NAMES, now=soon)[1] == ["nats", "gateway"]


def test_leaf_is_made_anew_when_asked_damaged_or_of_other_names(tmp_path: Path) -> None:
    keep(tmp_path, NAMES, now=NOW)
    assert keep(tmp_path, NAMES, now=NOW, renew=True)[1] == ["nats", "gateway"]
    nats, gateway = pair_of(tmp_path, "nats"), pair_of(tmp_path, "gateway")
    nats.write_bytes(nats.read_bytes()[:300])
    assert keep(tmp_path, NAMES, now=NOW)[1] == ["nats"]
    other = gateway.read_bytes().partition(b"-----BEGIN CERTIFICATE")
    nats.write_bytes(
        nats.read_bytes().partition(b"-----BEGIN CERTIFICATE")[0] + other[1] + other[2]
    )
    assert keep(tmp_path, NAMES, now=NOW)[1] == ["nats"]
    moved = NAMES | {"nats": ["198.18.0.1"]}
    assert keep(tmp_path, moved, now=NOW)[1] == ["nats"]
    assert keep(tmp_path, moved, now=NOW - 2 * DAY)[1] == ["nats", "gateway"], "not good yet"


def test_rotation_never_shows_what_is_not_trusted_and_drops_the_old_last(tmp_path: Path) -> None:
    def trusted() -> list[x509.Certificate]:
        return x509.load_pem_x509_certificates((folder_of(tmp_path) / BUNDLE).read_bytes())

    def signer() -> x509.Certificate:
        leaf = load(pair_of(tmp_path, "nats").read_bytes())
        return next(each for each in trusted() if each.subject == leaf.issuer)

    keep(tmp_path, NAMES, now=NOW)
    (first,) = trusted()
    assert keep(tmp_path, NAMES, now=NOW, asked=True)[1] == ["ca"]
    assert trusted()[0] == first == signer()
    second = trusted()[1]
    at = NOW + SPREAD
    assert keep(tmp_path, NAMES, now=at - timedelta(seconds=1))[1] == []
    assert keep(tmp_path, NAMES, now=at)[1] == ["nats", "gateway"]
    assert (trusted(), signer()) == ([first, second], second)
    assert keep(tmp_path, NAMES, now=at + SPREAD, may_retire=False)[1] == [], "one shows the old"
    assert keep(tmp_path, NAMES, now=at + SPREAD)[1] == ["ca"]
    assert (trusted(), signer()) == ([second], second)


@pytest.mark.parametrize("stage", [Stage.ANNOUNCED, Stage.RETIRING])
def test_run_that_was_killed_behind_its_decision_is_made_good_by_the_next(
    tmp_path: Path, stage: Stage
) -> None:
    keep(tmp_path, NAMES, now=NOW)
    book = msgspec.json.decode((tmp_path / certificates.BOOK).read_bytes(), type=Book)
    decided = Book(authorities=(*book.authorities, B), stage=stage, since=NOW)
    (tmp_path / certificates.BOOK).write_bytes(msgspec.json.encode(decided))
    changed = keep(tmp_path, NAMES, now=NOW)[1]
    assert changed == (["ca"] if stage is Stage.ANNOUNCED else ["ca", "nats", "gateway"])
    assert keep(tmp_path, NAMES, now=NOW)[1] == []


def test_damaged_book_is_refused_and_not_replaced(tmp_path: Path) -> None:
    (tmp_path / certificates.BOOK).write_text("{")
    with pytest.raises(Rejected, match="damaged"):
        keep(tmp_path, NAMES, now=NOW)
    assert (tmp_path / certificates.BOOK).read_text() == "{"

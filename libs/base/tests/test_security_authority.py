"""What the authority issues, what it refuses to, and that the two ways to sign agree."""

import time
from pathlib import Path

import msgspec
import pytest
from nacl.signing import SigningKey

from murmuration.kernel.errors import Rejected
from murmuration.proto.permissions import IDENTITIES, MANY, Zone, crossings, zone_of
from murmuration.proto.sysinv import JoinHost
from murmuration.pulse import login as pulse_login
from murmuration.runtime.config import read_credentials
from murmuration.security import ed25519, identities, jwt, users
from murmuration.security.authority import open_authority
from murmuration.security.joining import Issuer, issue_token
from murmuration.security.nats import server_config
from murmuration.security.proof import parse_token, proof_text

# RFC 8032, 7.1, tests 1 to 3: secret key, message, signature
VECTORS = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701c"
        "f9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f76098"
        "4dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]


@pytest.mark.parametrize(("secret", "message", "signature"), VECTORS)
def test_signatures_are_those_of_the_standard(secret: str, message: str, signature: str) -> None:
    for sign in (ed25519.sign, pulse_login.sign):
        assert sign(bytes.fromhex(secret), bytes.fromhex(message)).hex() == signature


def test_every_way_to_sign_gives_the_same_for_any_seed() -> None:
    for number in range(8):
        raw = bytes([number * 31 & 255]) * 32
        seed, message = ed25519.fresh_user_seed(raw), bytes(range(number))
        expected = SigningKey(raw).sign(message).signature
        assert jwt.key_of(seed).sign(message) == expected
        assert ed25519.sign(ed25519.decode_seed(seed), message) == expected
        assert pulse_login.sign(pulse_login.decode_seed(seed), message) == expected
        assert jwt.key_of(seed).public == ed25519.public_of(seed)


@pytest.mark.parametrize("seed", ["", "SU", "S" * 58, "1" * 58, "SUAC" + "A" * 54])
def test_seed_that_is_none_is_refused(seed: str) -> None:
    for decode in (ed25519.decode_seed, pulse_login.decode_seed):
        with pytest.raises(ValueError):
            decode(seed)
    with pytest.raises(Rejected):
        jwt.key_of(seed)


def test_jwt_is_refused_when_anything_of_it_was_changed() -> None:
    key = jwt.fresh_user()
    token = jwt.encode({"sub": key.public, "name": "x"}, key)
    assert jwt.decode(token)["name"] == "x"
    other = jwt.encode({"sub": key.public, "name": "y"}, key)
    head, body, signature = token.split(".")
    for forged in (
        f"{head}.{other.split('.')[1]}.{signature}",
        f"{head}.{body}.{other.split('.')[2]}",
        f"{head}.{body}.",
        f"{head}.{body}",
        "eyJhbGciOiJub25lIn0." + body + ".",
        "",
        "a.b.c",
        "x" * 70_000,
    ):
        with pytest.raises(Rejected):
            jwt.decode(forged)


def test_identities_are_made_once_and_readable_by_their_owner_alone(tmp_path: Path) -> None:
    identities.ensure(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    identities.ensure(tmp_path)

    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    assert tmp_path.stat().st_mode & 0o777 == 0o700
    assert {f"{name}.json" for name in IDENTITIES if name not in MANY} < before.keys()
    assert not before.keys() & {f"{name}.json" for name in MANY}


def test_no_file_of_an_identity_holds_what_makes_others(tmp_path: Path) -> None:
    identities.ensure(tmp_path)
    with open_authority(tmp_path) as authority:
        keys = authority.keys
    secrets = {keys.operator, keys.system, *keys.accounts.values(), *keys.scopes.values()}
    for identity in identities.LOCAL:
        text = (tmp_path / f"{identity}.json").read_text()
        held = {secret for secret in secrets if secret in text}
        expected = {keys.scopes["node"], keys.scopes["pulse"]} if identity == "sysinv" else set()
        assert held == expected
    assert not any(secret in _config(tmp_path) for secret in secrets)


def _config(folder: Path) -> str:
    return server_config(folder, host="127.0.0.1", port=1, store_dir=folder / "nats")


def test_login_of_an_older_version_is_replaced_and_its_database_kept(tmp_path: Path) -> None:
    old = {
        "bus": {"user": "fm", "password": "x"},
        "database": {"name": "fm", "user": "fm", "password": "kept"},
    }
    (tmp_path / "fm.json").write_bytes(msgspec.json.encode(old))
    identities.ensure(tmp_path)

    found = read_credentials(tmp_path, "fm")
    assert found.database is not None and found.database.password == "kept"
    assert jwt.decode(found.bus.jwt)["name"] == "fm"


@pytest.mark.parametrize(
    "identity", ["node", "node@", "node@*", "node@a.b", "node@>", "fm@x", "stranger", "node@A"]
)
def test_name_that_would_widen_a_subject_is_not_signed(tmp_path: Path, identity: str) -> None:
    with open_authority(tmp_path) as authority, pytest.raises(Rejected):
        authority.user(identity, jwt.fresh_user().public)


def test_key_that_is_none_is_not_signed(tmp_path: Path) -> None:
    with open_authority(tmp_path) as authority:
        for public in ("", "U" * 56, authority.operator.public):
            with pytest.raises(Rejected):
                authority.user("node@worker-1", public)


def test_everything_that_crosses_has_one_way_and_two_different_ends() -> None:
    for each in crossings():
        assert each.exporter is not each.importer
        assert Zone.SITE in (each.exporter, each.importer)
    assert {zone_of(role) for role in IDENTITIES} == set(Zone)


def joining(folder: Path, host: str = "worker-1", **changed: str) -> JoinHost:
    token = parse_token(issue_token(folder, host))
    nkey = changed.get("node_nkey") or jwt.fresh_user().public
    fields = {
        "operation_id": "operation-1",
        "host": host,
        "token_jwt": token.jwt,
        "node_nkey": nkey,
        "proof": jwt.key_of(token.seed).sign(proof_text(host, nkey)).hex(),
        **changed,
    }
    return JoinHost(**fields)


def test_join_token_is_good_for_its_host_its_key_and_its_time(tmp_path: Path) -> None:
    identities.ensure(tmp_path / "site")
    identities.ensure(tmp_path / "other")
    signing = read_credentials(tmp_path / "site", "sysinv").signing
    assert signing is not None
    issuer, now = Issuer(signing), time.time()
    good = joining(tmp_path / "site")

    shown = issuer.check(good, now_s=now)
    assert (shown.host, shown.node_nkey) == ("worker-1", good.node_nkey)
    claims = jwt.decode(issuer.node_jwt(shown.host, shown.node_nkey))
    assert claims["name"] == "node@worker-1"
    assert claims["nats"]["tags"] == ["name:worker-1"]
    replace = msgspec.structs.replace
    refused = {
        "not for worker-2": replace(good, host="worker-2"),
        "proof": replace(good, node_nkey=jwt.fresh_user().public),
        "hexadecimal": replace(good, proof="zz"),
        "not a join token": joining(tmp_path / "other"),
        "well formed": replace(good, token_jwt="x"),
    }
    for said, request in refused.items():
        with pytest.raises(Rejected, match=said):
            issuer.check(request, now_s=now)
    with pytest.raises(Rejected, match="expired"):
        issuer.check(good, now_s=now + 3_601)
    with open_authority(tmp_path / "site") as authority:
        node = authority.login("node@worker-1")
    with pytest.raises(Rejected, match="not a join token"):
        issuer.check(replace(good, token_jwt=node.jwt), now_s=now)


def test_users_are_listed_and_their_names_are_free_again_when_revoked(tmp_path: Path) -> None:
    text = users.create(tmp_path, role="reader", name="billing", days=3)
    assert "-----BEGIN NATS USER JWT-----" in text
    with pytest.raises(Rejected, match="billing already"):
        users.create(tmp_path, role="reader", name="billing")
    for role, name in (("fm", "x"), ("node", "x"), ("reader", "No"), ("reader", "")):
        with pytest.raises(Rejected):
            users.create(tmp_path, role=role, name=name)
    with open_authority(tmp_path, write=True) as authority:
        assert authority.revoke("billing") is Zone.READERS
    users.create(tmp_path, role="reader", name="billing")

    first, second = users.known(tmp_path)
    assert (bool(first.revoked_at), bool(second.revoked_at)) == (True, False)
    assert first.expires_at - first.created_at == 3 * 86_400
    with open_authority(tmp_path) as authority:
        account = jwt.decode(authority.account_jwt(Zone.READERS))
    assert list(account["nats"]["revocations"]) == [first.public]

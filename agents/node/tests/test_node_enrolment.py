"""What enrolment writes is what the heartbeat sender reads, and survives a reboot."""

from datetime import UTC, datetime
from pathlib import Path

from murmuration.node.adapters import credentials, state
from murmuration.node.core.enrolment import PulseBus, PulseFile, pulse_file, renewed
from murmuration.proto.sysinv import EnrolReply
from murmuration.pulse.settings import parse
from murmuration.security.certificates import make_authority
from murmuration.security.ed25519 import fresh_user_seed

SEED = fresh_user_seed(bytes(range(32)))
JWT = "eyJ0.eyJq.c2ln"
BOOT = "6b1f2e0a-6a52-4a8e-9d0b-1f2e0a6a524a"
REPLY = EnrolReply(
    host="worker-1",
    index=12,
    shard=4,
    pulse_period_ms=250,
    pulse_key="ab" * 32,
    epoch=1,
    change=9,
)


def a_file() -> PulseFile:
    return pulse_file(
        REPLY,
        boot_id=BOOT,
        kernel_boot_id="k1",
        bus=PulseBus(host="127.0.0.1", port=4222, jwt=JWT, seed=SEED),
        udp=(("127.0.0.1", 8790),),
    )


def test_authorities_that_the_site_tells_are_kept_and_nothing_else_is(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    first, second = (make_authority(datetime.now(UTC)).certificate for _ in range(2))
    path.write_text(first)
    for told in ("", "not PEM", "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n"):
        credentials.keep_authorities(str(path), told)
        assert path.read_text() == first
    credentials.keep_authorities(str(path), first + second)
    assert path.read_text() == first + second
    credentials.keep_authorities("", second)


def test_sender_reads_what_the_agent_writes(tmp_path: Path) -> None:
    state.write(tmp_path / "new", a_file())

    found = parse((tmp_path / "new" / "pulse.json").read_text(), "k1")

    assert found is not None
    assert (found.host, found.index, found.shard, found.period_ms) == ("worker-1", 12, 4, 250)
    assert found.key == b"\xab" * 32
    assert found.boot_id.hex() == BOOT.replace("-", "")
    assert found.login == ("127.0.0.1", 4222, False, JWT, SEED)
    assert found.udp == [("127.0.0.1", 8790)]


def test_file_is_private_whole_and_alone(tmp_path: Path) -> None:
    state.write(tmp_path, a_file())
    state.write(tmp_path, a_file())

    assert [path.name for path in tmp_path.iterdir()] == ["pulse.json"]
    assert (tmp_path / "pulse.json").stat().st_mode & 0o777 == 0o600
    assert state.read(tmp_path) == a_file()


def test_file_that_is_not_one_is_as_none(tmp_path: Path) -> None:
    assert state.read(tmp_path) is None
    (tmp_path / "pulse.json").write_text('{"host": 3}')
    assert state.read(tmp_path) is None


def test_file_of_an_earlier_boot_is_renewed_with_index_and_key_kept() -> None:
    before = a_file()

    after = renewed(before, host="worker-1", boot_id="b2", kernel_boot_id="k2")

    assert after is not None
    assert (after.boot_id, after.kernel_boot_id) == ("b2", "k2")
    assert (after.index, after.key, after.bus) == (before.index, before.key, before.bus)


def test_nothing_is_renewed_when_the_file_is_good_absent_or_of_another_host() -> None:
    before = a_file()

    assert renewed(before, host="worker-1", boot_id=BOOT, kernel_boot_id="k1") is None
    assert renewed(None, host="worker-1", boot_id="b2", kernel_boot_id="k2") is None
    assert renewed(before, host="worker-2", boot_id="b2", kernel_boot_id="k2") is None
